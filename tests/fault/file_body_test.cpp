// Bodies from and into files: the right bytes, in bounded memory, from the beginning in each attempt; and what happens
// when the server, the network or the file itself gives way in the middle.

#include <mlflowha/mlflowha.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/http.hpp"
#include "support/raw_server.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha_tests;
using mlflowha::AttemptTimeouts;
using mlflowha::FileBody;
using mlflowha::Method;
using mlflowha::Progress;
using mlflowha::Request;
using mlflowha::Resend;
using mlflowha::TransportFault;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20U;
/// More than the sockets' buffers and libcurl's take: who sends it must wait for who reads it.
constexpr std::size_t large = 48 * mib;

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t x = 1;
  for (char& byte : bytes) byte = static_cast<char>((x = x * 1664525U + 1013904223U) >> 24U);
  return bytes;
}
std::string file_of(const TemporaryDirectory& directory, const std::string& name, const std::string& bytes) {
  const std::string path = directory / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}
/// Takes no room on the disk.
std::string sparse_file(const TemporaryDirectory& directory, const std::string& name, std::size_t size) {
  const std::string path = file_of(directory, name, "");
  REQUIRE(::truncate(path.c_str(), static_cast<off_t>(size)) == 0);
  return path;
}
std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
Request put(const std::string& path, std::uint64_t size, std::uint64_t offset = 0) {
  Request request;
  request.method = Method::put;
  request.target = "/file";
  request.resend = Resend::allowed;
  request.file = FileBody{path, offset, size};
  return request;
}
void polite(RawConnection& peer) {
  while (peer.read_request()) peer.send(ok_answer());
}
std::size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("a file is sent byte by byte, on a handle that sends other things too", "[fault][file_body]") {
  RawServer server(polite);
  const auto transport = make_transport();
  TemporaryDirectory directory;
  const std::string bytes = pattern(3 * mib + 17);
  const std::string path = file_of(directory, "f", bytes);
  const auto last = [&] { return server.requests().back(); };

  for (int round = 0; round < 2; ++round) {
    (void)answer_of(call(*transport, server.uri(), put(path, bytes.size())));
    CHECK(last().body == bytes);
    CHECK_THAT(last().head, starts_with("PUT /file HTTP/1.1\r\n"));
    CHECK_THAT(last().head, contains("\r\nContent-Length: " + std::to_string(bytes.size())));
    CHECK_THAT(last().head, !contains("Expect"));
    (void)answer_of(call(*transport, server.uri(), put(path, mib, 5)));
    CHECK(last().body == bytes.substr(5, mib));
    (void)answer_of(call(*transport, server.uri(), put(path, 0)));
    CHECK(last().body.empty());
    CHECK_THAT(last().head, contains("\r\nContent-Length: 0"));
    (void)answer_of(call(*transport, server.uri(), post("/create", bytes)));
    CHECK(last().body == bytes);
    (void)answer_of(call(*transport, server.uri(), post("/same", "{}", Resend::allowed)));
    CHECK(last().body == "{}");
    (void)answer_of(call(*transport, server.uri(), get("/read")));
    CHECK_THAT(last().head, !contains("Content-Length"));
  }
  CHECK(server.connections() == 1);
}

TEST_CASE("memory doesn't grow with the file", "[fault][file_body]") {
  TemporaryDirectory directory;
  const std::string path = sparse_file(directory, "f", 256 * mib);
  const std::size_t before = resident_bytes();
  std::atomic<std::size_t> most{0};
  RawServer server([&](RawConnection& peer) {
    for (int i = 0; i < 256; ++i) {
      if (!peer.skip(mib)) return;
      most = std::max(most.load(), resident_bytes());
    }
    peer.send(ok_answer());
    peer.wait_closed();
  });
  const auto transport = make_transport();
  CHECK(answer_of(call(*transport, server.uri(), put(path, 256 * mib))).status == 200);
  REQUIRE(most > 0);
  CHECK(most.load() < before + 32 * mib);
}

TEST_CASE("a file that can't be sent is said before anything is", "[fault][file_body]") {
  RawServer server(polite);
  const auto transport = make_transport();
  TemporaryDirectory directory;
  std::string path = file_of(directory, "f", "0123456789");
  std::uint64_t size = 10;
  std::uint64_t offset = 0;
  std::string words;
  SECTION("not there") {
    path += "x";
    words = "can't be opened";
  }
  SECTION("a directory") {
    path = directory.path();
    words = "no regular file";
  }
  SECTION("a FIFO, which nobody writes") {
    path = directory / "fifo";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    words = "no regular file";
  }
  SECTION("too short") {
    size = 11;
    words = "has 10 bytes; expected at least 11";
  }
  SECTION("an offset behind its end") {
    offset = ~std::uint64_t{0};
    words = "has 10 bytes";
  }
  bool whole = false;
  SECTION("longer than what is said to be all of it") {
    whole = true;
    size = 9;
    words = "has 10 bytes; expected 9: it has changed";
  }
  SECTION("longer, from an offset on") {
    whole = true;
    offset = 4;
    size = 5;
    words = "has 10 bytes; expected 9: it has changed";
  }
  Request request = put(path, size, offset);
  request.file->whole = whole;
  const auto failure = failure_of(call(*transport, server.uri(), request));
  CHECK(failure.fault == TransportFault::bad_file);
  CHECK(failure.progress == Progress::not_sent);
  CHECK_THAT(failure.detail, contains(words));
  CHECK(server.connections() == 0);
}

TEST_CASE("a file has no place where a body has none", "[fault][file_body]") {
  RawServer server(polite);
  const auto transport = make_transport();
  TemporaryDirectory directory;
  Request request = put(file_of(directory, "f", "x"), 1);
  SECTION("GET") { request.method = Method::get; }
  SECTION("DELETE") { request.method = Method::del; }
  SECTION("a second body") { request.body = "{}"; }
  CHECK(failure_of(call(*transport, server.uri(), request)).fault == TransportFault::bad_request);
  CHECK(server.connections() == 0);
}

TEST_CASE("a file that shrinks or can't be read any more while it is sent is the file's fault", "[fault][file_body]") {
  TemporaryDirectory directory;
  const std::string path = sparse_file(directory, "f", large);
  RawServer server([&](RawConnection& peer) {
    if (peer.index() > 0) return polite(peer);
    if (!peer.skip(mib)) return;
    (void)::truncate(path.c_str(), static_cast<off_t>(mib));
    peer.wait_closed();
  });
  const auto transport = make_transport();
  const auto failure = failure_of(call(*transport, server.uri(), put(path, large)));
  CHECK(failure.fault == TransportFault::bad_file);
  CHECK(failure.progress == Progress::sent);
  CHECK_THAT(failure.detail, contains("has shrunk while it was sent"));
  CHECK(answer_of(call(*transport, server.uri(), put(path, mib))).status == 200);
}

TEST_CASE("a file that is removed or replaced while it is sent is sent as it was", "[fault][file_body]") {
  TemporaryDirectory directory;
  const std::string bytes = pattern(24 * mib);
  const std::string path = file_of(directory, "f", bytes);
  const std::string other = file_of(directory, "g", "other");
  RawServer server([&](RawConnection& peer) {
    std::filesystem::rename(other, path);
    polite(peer);
  });
  const auto transport = make_transport();
  CHECK(answer_of(call(*transport, server.uri(), put(path, bytes.size()))).status == 200);
  CHECK(server.requests().back().body == bytes);
}

TEST_CASE("a server that hangs up in the middle of a file has lost the connection", "[fault][file_body]") {
  const bool reset = GENERATE(false, true);
  RawServer server([&](RawConnection& peer) {
    if (peer.index() > 0) return polite(peer);
    (void)peer.skip(mib);
    if (reset) peer.reset_on_close();
  });
  TemporaryDirectory directory;
  const std::string path = sparse_file(directory, "f", large);
  const auto transport = make_transport();
  const auto failure = failure_of(call(*transport, server.uri(), put(path, large)));
  CHECK(failure.fault == TransportFault::connection_lost);
  CHECK(failure.progress == Progress::sent);
  CHECK(server.connections() == 1);
  CHECK(answer_of(call(*transport, server.uri(), put(path, 100))).status == 200);
  CHECK(server.requests().back().body == std::string(100, '\0'));
}

TEST_CASE("libcurl doesn't send a file a second time, though it might", "[fault][file_body]") {
  // A body in memory is rewound and sent again, unseen; a file is the call plan's business.
  RawServer server([](RawConnection& peer) {
    if (!peer.read_request()) return;
    peer.send(ok_answer());
    if (peer.index() == 0) {
      (void)peer.read_request();
      return;
    }
    polite(peer);
  });
  const std::size_t size = GENERATE(std::size_t{1}, 3 * mib);
  TemporaryDirectory directory;
  const std::string path = file_of(directory, "f", pattern(size));
  const auto transport = make_transport();
  (void)answer_of(call(*transport, server.uri(), get("/first")));
  const auto failure = failure_of(call(*transport, server.uri(), put(path, size)));
  CHECK(failure.fault == TransportFault::connection_lost);
  CHECK(failure.progress == Progress::sent);
  CHECK(server.requests().size() == 2);
  CHECK(answer_of(call(*transport, server.uri(), put(path, size))).status == 200);
  CHECK(server.requests().back().body.size() == size);
}

TEST_CASE("an answer that comes before the end of the file is the answer", "[fault][file_body]") {
  RawServer server([](RawConnection& peer) {
    if (peer.index() > 0) return polite(peer);
    if (!peer.skip(mib)) return;
    peer.send(answer(503, "Content-Type: text/plain\r\nConnection: close\r\n", "full"));
    peer.wait_closed();
  });
  TemporaryDirectory directory;
  const std::string path = sparse_file(directory, "f", large);
  const auto transport = make_transport();
  const auto refused = answer_of(call(*transport, server.uri(), put(path, large)));
  CHECK(refused.status == 503);
  CHECK(refused.body == "full");
  CHECK(answer_of(call(*transport, server.uri(), put(path, 100))).status == 200);
  CHECK(answer_of(call(*transport, server.uri(), post("/create", "{}"))).status == 200);
}

TEST_CASE("a file of which no byte moves is given up, one that moves slowly isn't", "[fault][file_body]") {
  TemporaryDirectory directory;
  const std::string path = sparse_file(directory, "f", large);
  const auto transport = make_transport();
  SECTION("nothing is read any more") {
    RawServer server([](RawConnection& peer) {
      (void)peer.skip(mib);
      (void)peer.closed_within(20s);
    });
    const auto began = std::chrono::steady_clock::now();
    const auto failure = failure_of(call(*transport, server.uri(), put(path, large), {20s, 20s, 400ms}));
    CHECK(failure.fault == TransportFault::timeout);
    CHECK(failure.progress == Progress::sent);
    CHECK_THAT(failure.detail, contains("no byte moved for 400 ms"));
    const auto took = std::chrono::steady_clock::now() - began;
    CHECK(took >= 400ms);
    CHECK(took < 10s);
  }
  SECTION("slowly, and with a pause before the answer") {
    RawServer server([](RawConnection& peer) {
      for (int i = 0; i < 16; ++i) {  // 2.4 s in all
        if (peer.closed_within(150ms) || !peer.skip(3 * mib)) return;
      }
      if (!peer.closed_within(2500ms)) peer.send(ok_answer());
      peer.wait_closed();
    });
    CHECK(answer_of(call(*transport, server.uri(), put(path, large), {20s, 20s, 2s})).status == 200);
  }
  SECTION("the whole has a limit, too") {
    RawServer server([](RawConnection& peer) {
      while (!peer.closed_within(20ms) && peer.skip(mib / 2)) {
      }
    });
    const auto failure = failure_of(call(*transport, server.uri(), put(path, large), {20s, 600ms, 20s}));
    CHECK(failure.fault == TransportFault::timeout);
    CHECK_THAT(failure.detail, contains("600 ms"));
  }
}

TEST_CASE("a call goes on to the next server with the file's first byte", "[fault][file_body]") {
  TemporaryDirectory directory;
  const std::string bytes = pattern(12 * mib);
  const std::string path = file_of(directory, "f.bin", bytes);
  RawServer first([](RawConnection& peer) { (void)peer.skip(mib); });
  RawServer second(polite);
  mlflowha::ClientOptions options;
  options.endpoints = {first.uri().base(), second.uri().base()};
  options.pool.check_identity = false;
  options.http.use_environment_proxy = false;
  const auto client = mlflowha::Client::create(options).value();
  REQUIRE(client.put_artifact("mlflow-artifacts:/0/r/artifacts", "d/f.bin", path));
  REQUIRE(second.requests().size() == 1);
  CHECK(second.requests()[0].body == bytes);
  CHECK_THAT(second.requests()[0].head,
             starts_with("PUT /api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/d/f.bin HTTP/1.1\r\n"));
  CHECK(first.connections() >= 1);  // later ones are side probes
}

// --- answers into files

TEST_CASE("an answer goes into a file, an error into memory", "[fault][file_body]") {
  TemporaryDirectory directory;
  const std::string bytes = pattern(3 * mib);
  RawServer server([&](RawConnection& peer) {
    while (auto request = peer.read_request()) {
      const bool missing = request->head.find("/missing") != std::string::npos;
      peer.send(missing ? answer(404, "", "no such file") : ok_answer(request->head.find("/empty") == 4 ? "" : bytes));
    }
  });
  mlflowha::CurlTransportOptions small;
  small.max_response_bytes = 1000;
  const auto transport = make_transport(small);
  Request request = get("/whole");
  request.save_to = directory / "out";
  auto response = answer_of(call(*transport, server.uri(), request));
  CHECK(response.body.empty());
  CHECK(content(request.save_to) == bytes);
  struct ::stat about{};
  REQUIRE(::stat(request.save_to.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0600U);
  request.target = "/empty";
  (void)answer_of(call(*transport, server.uri(), request));
  CHECK(content(request.save_to).empty());
  request.target = "/missing";
  request.save_to = directory / "none";
  response = answer_of(call(*transport, server.uri(), request));
  CHECK(response.status == 404);
  CHECK(response.body == "no such file");
  CHECK_FALSE(std::filesystem::exists(request.save_to));
  request.target = "/whole";
  request.save_to.clear();
  CHECK(failure_of(call(*transport, server.uri(), request)).fault == TransportFault::too_large);
}

TEST_CASE("a file that can't be written ends the download", "[fault][file_body]") {
  const std::string bytes = pattern(mib);
  RawServer server([&](RawConnection& peer) {
    while (peer.read_request()) peer.send(ok_answer(bytes));
  });
  const auto transport = make_transport();
  TemporaryDirectory directory;
  Request request = get("/x");
  std::string words;
  SECTION("no such directory") {
    request.save_to = directory / "none/out";
    words = "No such file or directory";
  }
  SECTION("no room") {
    request.save_to = "/dev/full";
    words = "No space left on device";
  }
  const auto failure = failure_of(call(*transport, server.uri(), request));
  CHECK(failure.fault == TransportFault::bad_file);
  CHECK_THAT(failure.detail, contains(words));
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).body == bytes);
}

TEST_CASE("a download that stands still is given up", "[fault][file_body]") {
  RawServer server([](RawConnection& peer) {
    if (!peer.read_request()) return;
    if (peer.closed_within(600ms)) return;  // before the first byte the server may take its time
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
    (void)peer.closed_within(20s);
  });
  const auto transport = make_transport();
  TemporaryDirectory directory;
  Request request = get("/x");
  request.save_to = directory / "out";
  const auto failure = failure_of(call(*transport, server.uri(), request, {20s, 20s, 300ms}));
  CHECK(failure.fault == TransportFault::timeout);
  CHECK_THAT(failure.detail, contains("no byte moved for 300 ms, after 10 bytes"));
}
