// https: who is trusted, who isn't, and that nothing is said to a server that isn't.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "support/http.hpp"
#include "support/tls_server.hpp"

using namespace mlflowha_tests;
using mlflowha::CurlTransportOptions;
using mlflowha::Progress;
using mlflowha::TransportFault;

namespace {

void polite(RawConnection& peer) {
  while (peer.read_request()) peer.send(ok_answer());
}

void check_refused(RawServer& server, const CurlTransportOptions& options) {
  const auto transport = make_transport(options);
  const auto failure = failure_of(call(*transport, server.uri(), post("/create", "{\"secret\": 1}")));
  CHECK(failure.fault == TransportFault::tls);
  CHECK(failure.progress == Progress::not_sent);
  CHECK(failure.transport_code != 0);
  CHECK_FALSE(failure.detail.empty());
  CHECK(server.requests().empty());
}

}  // namespace

TEST_CASE("a server with a certificate of a trusted authority is served over one connection", "[fault][tls]") {
  const TestAuthority authority;
  RawServer server(polite, tls_wrap({authority.issue("127.0.0.1"), ""}), "https");
  CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  const auto transport = make_transport(options);
  for (int i = 0; i < 3; ++i) CHECK(answer_of(call(*transport, server.uri(), post("/create", "{}"))).status == 200);
  CHECK(server.connections() == 1);
}

TEST_CASE("a server that can't prove who it is gets not a byte of the request", "[fault][tls]") {
  const TestAuthority authority;
  CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  SECTION("an authority that we don't know") {
    const TestAuthority other;
    RawServer server(polite, tls_wrap({other.issue("127.0.0.1"), ""}), "https");
    check_refused(server, options);
  }
  SECTION("the system's authorities don't know the test's") {
    RawServer server(polite, tls_wrap({authority.issue("127.0.0.1"), ""}), "https");
    check_refused(server, {});
  }
  SECTION("another host") {
    RawServer server(polite, tls_wrap({authority.issue("mlflow.example"), ""}), "https");
    check_refused(server, options);
  }
  SECTION("expired") {
    RawServer server(polite, tls_wrap({authority.issue("127.0.0.1", {-7200, -3600}), ""}), "https");
    check_refused(server, options);
  }
  SECTION("not yet valid") {
    RawServer server(polite, tls_wrap({authority.issue("127.0.0.1", {3600, 7200}), ""}), "https");
    check_refused(server, options);
  }
  SECTION("no TLS at all") {
    RawServer server([](RawConnection& peer) { peer.send("HTTP/1.1 400 Bad Request\r\n\r\n"); }, {}, "https");
    check_refused(server, options);
  }
}

TEST_CASE("any certificate will do only when that was asked for", "[fault][tls]") {
  const TestAuthority authority;
  RawServer server(polite, tls_wrap({authority.issue("mlflow.example", {-7200, -3600}), ""}), "https");
  CurlTransportOptions options;
  options.tls.insecure = true;
  const auto transport = make_transport(options);
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).status == 200);
}

TEST_CASE("a server that asks for a client certificate", "[fault][tls]") {
  const TestAuthority authority;
  const Identity client = authority.issue("client");
  const TestFolder folder;
  RawServer server(polite, tls_wrap({authority.issue("127.0.0.1"), authority.file()}), "https");
  CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  SECTION("gets one from two files") {
    options.tls.client_cert = folder.write("client.pem", client.certificate_pem());
    options.tls.client_key = folder.write("client.key", client.key_pem());
    CHECK(answer_of(call(*make_transport(options), server.uri(), get("/x"))).status == 200);
  }
  SECTION("gets one from one file, as MLflow has it") {
    options.tls.client_cert = folder.write("both.pem", client.certificate_pem() + client.key_pem());
    CHECK(answer_of(call(*make_transport(options), server.uri(), get("/x"))).status == 200);
  }
  SECTION("gets one whose key has a password") {
    options.tls.client_cert = folder.write("client.pem", client.certificate_pem());
    options.tls.client_key = folder.write("client.key", client.key_pem("open sesame"));
    options.tls.client_key_password = "open sesame";
    CHECK(answer_of(call(*make_transport(options), server.uri(), get("/x"))).status == 200);
  }
  SECTION("gets none: a failure that names the certificate, and no request arrives") {
    const auto failure = failure_of(call(*make_transport(options), server.uri(), post("/create", "{}")));
    // TLS 1.3 lets the client speak before the server has looked at the certificate, so the bytes were sent.
    CHECK((failure.fault == TransportFault::tls || failure.fault == TransportFault::connection_lost));
    CHECK(server.requests().empty());
  }
  SECTION("the wrong password is found before anything is sent") {
    options.tls.client_cert = folder.write("client.pem", client.certificate_pem());
    options.tls.client_key = folder.write("client.key", client.key_pem("open sesame"));
    options.tls.client_key_password = "wrong";
    check_refused(server, options);
  }
}

TEST_CASE("the environment names the authorities when the options don't", "[fault][tls]") {
  const TestAuthority authority;
  RawServer server(polite, tls_wrap({authority.issue("127.0.0.1"), ""}), "https");
  const char* variable = GENERATE("SSL_CERT_FILE", "CURL_CA_BUNDLE");
  ::setenv(variable, authority.file().c_str(), 1);
  const auto transport = make_transport();
  ::unsetenv(variable);  // read once, when the transport is made
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).status == 200);
}

TEST_CASE("a TLS server that hangs up neither hurts nor gets a create twice", "[fault][tls]") {
  const TestAuthority authority;
  RawServer server(
      [](RawConnection& peer) {
        if (!peer.read_request()) return;
        peer.send(ok_answer());
        if (peer.index() == 0) {
          (void)peer.read_request();
          peer.reset_on_close();
          return;
        }
        while (peer.read_request()) peer.send(ok_answer());
      },
      tls_wrap({authority.issue("127.0.0.1"), ""}), "https");
  CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  const auto transport = make_transport(options);
  (void)answer_of(call(*transport, server.uri(), get("/first")));
  const auto failure = failure_of(call(*transport, server.uri(), post("/create", std::string(1000, 'x'))));
  CHECK(failure.fault == TransportFault::connection_lost);
  CHECK(failure.progress == Progress::sent);
  CHECK(server.requests().size() == 2);
  CHECK(answer_of(call(*transport, server.uri(), get("/after"))).status == 200);
}

TEST_CASE("SIGPIPE is kept away wherever TLS may be written", "[fault][tls]") {
  struct Look final : mlflowha::WaitHook {
    std::atomic<int> blocked{-1};
    void waiting() noexcept override {
      sigset_t mask;
      if (::pthread_sigmask(SIG_BLOCK, nullptr, &mask) == 0) blocked = sigismember(&mask, SIGPIPE);
    }
  };
  const auto slow = [](RawConnection& peer) {
    while (peer.read_request()) {
      std::this_thread::sleep_for(150ms);
      peer.send(ok_answer());
    }
  };
  const TestAuthority authority;
  RawServer plain(slow);
  RawServer encrypted(slow, tls_wrap({authority.issue("127.0.0.1"), ""}), "https");
  const auto hook = std::make_shared<Look>();
  CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  options.wait_hook = hook;
  SECTION("not while there is none") {
    const auto transport = make_transport(options);
    (void)answer_of(call(*transport, plain.uri(), get("/x")));
    CHECK(hook->blocked == 0);
  }
  SECTION("an older connection to an https endpoint may be closed in a call to another") {
    const auto transport = make_transport(options);
    (void)answer_of(call(*transport, encrypted.uri(), get("/x")));
    CHECK(hook->blocked == 1);
    hook->blocked = -1;
    (void)answer_of(call(*transport, plain.uri(), get("/x")));
    CHECK(hook->blocked == 1);
  }
  SECTION("a proxy may be spoken to by TLS") {
    ::setenv("http_proxy", plain.uri().base().c_str(), 1);
    const auto transport = mlflowha::make_curl_transport(options).value();
    (void)answer_of(call(*transport, {"http", "mlflow.example", 5000, ""}, get("/x")));
    ::unsetenv("http_proxy");
    CHECK(hook->blocked == 1);
  }
}
