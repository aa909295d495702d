// Which authorities are trusted, on a machine whose own authorities are a test's: a child with a view of the file
// system of its own has them where libcurl was built to look.

#include <curl/curl.h>
#include <openssl/x509.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "support/http.hpp"
#include "support/tls_server.hpp"

using namespace mlflowha_tests;
using mlflowha::CurlTransportOptions;

namespace {

constexpr int no_view = 77;  ///< this machine lets nobody have a view of its own

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Puts the authority into a folder as libcurl's file and as OpenSSL's directory have them.
void add_authority(const TestAuthority& authority, const TestFolder& folder, const std::string& file) {
  const std::string pem = text_of(authority.file());
  const OpenSsl<BIO> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const OpenSsl<X509> certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  REQUIRE(certificate);
  std::array<char, 16> hashed{};
  (void)std::snprintf(hashed.data(), hashed.size(), "%08lx.0", X509_subject_name_hash(certificate.get()));
  (void)folder.write(hashed.data(), pem);
  (void)folder.write(file, pem);
}

/// 0 when the server is trusted, 1 when not, for a process that finds `folder` where `path` was.
int trusts(const std::string& folder, const char* path, const RawServer& server, const CurlTransportOptions& options) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ::_exit(no_view);
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(no_view);
    if (::mount(folder.c_str(), path, nullptr, MS_BIND, nullptr) != 0) ::_exit(no_view);
    const auto result = call(*make_transport(options), server.uri(), get("/x"));
    if (std::holds_alternative<mlflowha::Response>(result)) ::_exit(0);
    ::_exit(std::get<mlflowha::TransportFailure>(result).fault == mlflowha::TransportFault::tls ? 1 : 2);
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

#if LIBCURL_VERSION_NUM >= 0x075400
TEST_CASE("authorities that were chosen replace the machine's", "[fork][tls]") {
  const curl_version_info_data* const libcurl = curl_version_info(CURLVERSION_NOW);
  const std::string path = libcurl->capath != nullptr ? libcurl->capath : "";
  const std::string file = libcurl->cainfo != nullptr ? libcurl->cainfo : "";
  if (path.empty() || file.rfind(path + "/", 0) != 0) return;  // not built as Debian's, which has both in one place

  const TestAuthority machines("the machine's");  // OpenSSL looks them up by their names
  const TestAuthority chosen("the chosen one");
  const TestFolder etc;
  const TestFolder folder;
  add_authority(machines, etc, file.substr(path.size() + 1));
  add_authority(chosen, folder, "chosen.pem");
  RawServer server(
      [](RawConnection& peer) {
        while (peer.read_request()) peer.send(ok_answer());
      },
      tls_wrap({machines.issue("127.0.0.1"), ""}), "https");
  RawServer other(
      [](RawConnection& peer) {
        while (peer.read_request()) peer.send(ok_answer());
      },
      tls_wrap({chosen.issue("127.0.0.1"), ""}), "https");

  CurlTransportOptions options;
  const int without = trusts(etc.path(), path.c_str(), server, options);
  if (without == no_view) return;
  REQUIRE(without == 0);
  SECTION("a file") { options.tls.ca_file = chosen.file(); }
  SECTION("a directory") { options.tls.ca_path = folder.path(); }
  SECTION("both") {
    options.tls.ca_file = chosen.file();
    options.tls.ca_path = folder.path();
  }
  CHECK(trusts(etc.path(), path.c_str(), other, options) == 0);
  CHECK(trusts(etc.path(), path.c_str(), server, options) == 1);
}
#endif
