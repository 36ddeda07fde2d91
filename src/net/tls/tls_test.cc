#include <gtest/gtest.h>

#include "foundation/task_scope.h"
#include "net/socket/memory_stream.h"
#include "net/socket/runtime.h"
#include "net/socket/wake.h"
#include "net/tls/certificates.h"
#include "net/tls/chain.h"
#include "net/tls/tls_stream.h"

namespace nacelle::net {
namespace {

const Timestamp now = SystemClock{}.now();

struct Authority {
  CertifiedKey root = *make_root("Test root", std::chrono::hours{24 * 3650}, now);
  CertifiedKey intermediate = *issue(root, authority("Test intermediate"), now);
  CertifiedKey server = *issue(intermediate, server_request(), now);

  static CertificateRequest authority(const std::string& name) {
    CertificateRequest request;
    request.common_name = name;
    request.authority = true;
    return request;
  }
  static CertificateRequest server_request() {
    CertificateRequest request;
    request.common_name = "localhost";
    request.dns_names = {"localhost", "hub.example"};
    request.ip_addresses = {"127.0.0.1", "::1"};
    return request;
  }
};

const Authority& authority() {
  static const Authority one;
  return one;
}

std::shared_ptr<TlsServerContext> server_context() {
  return *TlsServerContext::make(authority().server.certificate_pem, authority().server.key_pem);
}

// Made with `openssl req -new -key KEY -subj ..`: P-256 with the name press-7, the same with RSA of 1024 bits, P-256 with /O=Plant.
const std::string signing_request =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIHMMHQCAQAwEjEQMA4GA1UEAwwHcHJlc3MtNzBZMBMGByqGSM49AgEGCCqGSM49\n"
    "AwEHA0IABBe6Y+T1ih6EwdK0Gu/ivtogCBnRFjnLR8kFMpKQX/mT8zqOP2dDYVyh\n"
    "QIB+2LDkp9b/Q+z8978QGX7O8PAEjqqgADAKBggqhkjOPQQDAgNIADBFAiEA2jCu\n"
    "XyhX0Rdl1vbkG2GWaxpuPRkAA5EqKpNbdGdQ6pMCIDcH6Jt01nZp2J2gbUOUu6hV\n"
    "o3N5DRVJsBxmFyRA8s5T\n"
    "-----END CERTIFICATE REQUEST-----\n";
const std::string weak_signing_request =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIIBUTCBuwIBADASMRAwDgYDVQQDDAdwcmVzcy03MIGfMA0GCSqGSIb3DQEBAQUA\n"
    "A4GNADCBiQKBgQDT0rhi/GFZHfOchJ49doyKN+UaWpkwdyR1mC7WAVE6ET9f0Lq1\n"
    "CnAe3ZI1xozT9W5UYkX7ly96fHjXlGS7vFEik7nwLIPi+Syn2Iok0hq4fq1lLeLT\n"
    "f1b2cNMj4ryGO7AVa9KaIz2SH/162voITNFdTz3+KwsfX0olo9WflIZBQwIDAQAB\n"
    "oAAwDQYJKoZIhvcNAQELBQADgYEAxPX2gJHn8RPxePahveiSQ+zVOPThatZJDDNJ\n"
    "vA6vSAFy2kmRI+a9pBFbvyAa/5oPXiJXBiFavPLEvmSSdkubdDPouG0cbnHy81MR\n"
    "LQjlLJTbl+rqWwD5vaPS3F5NbRPMGbJogi+s+oDNDc9RKkl2aZkEist0VHMQVJW8\n"
    "J/ijSEk=\n"
    "-----END CERTIFICATE REQUEST-----\n";
const std::string unnamed_signing_request =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIHJMHICAQAwEDEOMAwGA1UECgwFUGxhbnQwWTATBgcqhkjOPQIBBggqhkjOPQMB\n"
    "BwNCAAQXumPk9YoehMHStBrv4r7aIAgZ0RY5y0fJBTKSkF/5k/M6jj9nQ2FcoUCA\n"
    "ftiw5KfW/0Ps/Pe/EBl+zvDwBI6qoAAwCgYIKoZIzj0EAwIDRwAwRAIgM9x3K7Sr\n"
    "tIeBXSG5lRTeUTTlO01IU1DaiB74BVXkMMMCIAc365oYUCH5Q1ZYy4LO526eoDHX\n"
    "B2wpNxI2ehho2oP5\n"
    "-----END CERTIFICATE REQUEST-----\n";

awaitable<void> echo(StreamPtr stream) {
  std::string buffer(10'000, '\0');
  while (true) {
    const auto count = co_await stream->read_some(buffer.data(), buffer.size());
    if (!count) co_return;
    const auto sent = co_await stream->write_all(BytesView(buffer).substr(0, *count));
    if (!sent) co_return;
  }
}

awaitable<void> send(Stream& stream, const Bytes& bytes, Wake& done) {
  static_cast<void>(co_await stream.write_all(bytes));
  done.notify();
}

awaitable<Result<Bytes>> exchange(Endpoint to, std::shared_ptr<TlsClientContext> tls, std::string name, Bytes bytes) {
  const Executor executor = co_await asio::this_coro::executor;
  CO_TRY_LET(auto stream, co_await connect(to, tls, name));
  Wake sent;
  asio::co_spawn(executor, send(*stream, bytes, sent), [](std::exception_ptr) {});
  Bytes back(bytes.size(), '\0');
  std::size_t have = 0;
  while (have < back.size()) {
    CO_TRY_LET(const auto count, co_await stream->read_some(back.data() + have, back.size() - have));
    have += count;
  }
  co_await sent.wait_for_good();
  co_return back;
}

class Tls : public ::testing::Test {
 protected:
  Tls() {
    listener_ = std::move(*Listener::listen(runtime_.executor(), Endpoint{}, server_, echo));
    to_.port = listener_->port();
  }
  ~Tls() override { runtime_.block_on(listener_->close()); }

  Runtime runtime_{2};
  std::shared_ptr<TlsServerContext> server_ = server_context();
  std::unique_ptr<Listener> listener_;
  Endpoint to_;
};

TEST_F(Tls, carries_megabytes_both_ways_at_once) {
  const auto client = *TlsClientContext::make(authority().root.certificate_pem);
  Bytes bytes(3'000'000, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  for (const auto* name : {"localhost", "hub.example", "127.0.0.1", "::1"}) {
    const auto back = runtime_.block_on(exchange(to_, client, name, bytes));
    ASSERT_TRUE(back) << name << ": " << back.error().message;
    EXPECT_TRUE(*back == bytes);
  }
}

TEST_F(Tls, a_certificate_for_another_host_is_denied) {
  const auto client = *TlsClientContext::make(authority().root.certificate_pem);
  for (const auto* name : {"evil.example", "127.0.0.2", "sub.localhost"}) {
    const auto result = runtime_.block_on(connect(to_, client, name));
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().fault, Fault::denied) << result.error().message;
  }
}

TEST_F(Tls, a_certificate_from_an_unknown_root_is_denied) {
  const auto other = make_root("Other root", std::chrono::hours{24}, now);
  const auto client = *TlsClientContext::make(other->certificate_pem);
  const auto result = runtime_.block_on(connect(to_, client, "localhost"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().fault, Fault::denied);
}

TEST_F(Tls, a_replaced_certificate_serves_new_connections) {
  const auto other = make_root("Other root", std::chrono::hours{24}, now);
  const auto leaf = issue(*other, Authority::server_request(), now);
  ASSERT_TRUE(server_->replace(leaf->certificate_pem, leaf->key_pem));
  EXPECT_FALSE(server_->replace(leaf->certificate_pem, authority().server.key_pem));
  const auto client = *TlsClientContext::make(other->certificate_pem);
  const auto back = runtime_.block_on(exchange(to_, client, "localhost", "hello"));
  ASSERT_TRUE(back) << back.error().message;
}

TEST_F(Tls, a_plain_client_is_shown_the_door_alone) {
  const auto chat = [](Endpoint to) -> awaitable<Result<>> {
    CO_TRY_LET(auto stream, co_await connect(to, nullptr));
    CO_TRY(co_await stream->write_all("GET / HTTP/1.1\r\n\r\n"));
    char c[100];
    while (true) CO_TRY(co_await stream->read_some(c, sizeof(c)));
  };
  EXPECT_FALSE(runtime_.block_on(chat(to_)));
  const auto client = *TlsClientContext::make(authority().root.certificate_pem);
  EXPECT_TRUE(runtime_.block_on(exchange(to_, client, "localhost", "hello")));
}

TEST_F(Tls, failed_handshakes_are_counted_by_their_reason) {
  /// Says `bytes` without TLS and reads to the end.
  const auto talk = [](Endpoint to, Bytes bytes) -> awaitable<Result<>> {
    CO_TRY_LET(auto stream, co_await connect(to, nullptr));
    CO_TRY(co_await stream->write_all(bytes));
    co_await stream->end_writing();
    char c[100];
    while (true) CO_TRY(co_await stream->read_some(c, sizeof(c)));
  };
  const auto all = [this] {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < handshake_failures; ++i) sum += server_->failed(static_cast<HandshakeFailure>(i));
    return sum;
  };
  EXPECT_FALSE(runtime_.block_on(talk(to_, "GET / HTTP/1.1\r\n\r\n")));
  EXPECT_EQ(server_->failed(HandshakeFailure::not_tls), 1u);
  EXPECT_FALSE(runtime_.block_on(talk(to_, Bytes("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", 14))));
  EXPECT_EQ(server_->failed(HandshakeFailure::not_tls), 2u);
  EXPECT_FALSE(runtime_.block_on(talk(to_, Bytes("\x16\x03\x01\x02\x00\x01", 6))));  // the beginning of a ClientHello
  EXPECT_EQ(server_->failed(HandshakeFailure::closed), 1u);
  const auto other = make_root("Other root", std::chrono::hours{24}, now);
  const auto mistrusts = *TlsClientContext::make(other->certificate_pem);
  EXPECT_FALSE(runtime_.block_on(connect(to_, mistrusts, "localhost")));
  const auto trusts = *TlsClientContext::make(authority().root.certificate_pem);
  EXPECT_TRUE(runtime_.block_on(exchange(to_, trusts, "localhost", "hello")));
  runtime_.block_on(listener_->close());  // all have ended
  EXPECT_EQ(server_->failed(HandshakeFailure::rejected), 1u);
  EXPECT_EQ(all(), 4u);
}

awaitable<void> echo_now(StreamPtr stream) {
  std::string buffer(10'000, '\0');
  while (true) {
    const auto count = co_await stream->read_some(buffer.data(), buffer.size());
    if (!count) co_return;
    BytesView left = BytesView(buffer).substr(0, *count);
    left.remove_prefix(stream->write_now(left));
    if (left.empty() && !stream->unsent()) continue;
    const auto sent = co_await stream->write_all(left);
    if (!sent) co_return;
  }
}

TEST_F(Tls, what_is_written_at_once_and_what_must_wait_come_in_order) {
  auto listener = std::move(*Listener::listen(runtime_.executor(), Endpoint{}, server_, echo_now, 10, Serving::own_thread));
  Endpoint to;
  to.port = listener->port();
  const auto client = *TlsClientContext::make(authority().root.certificate_pem);
  Bytes bytes(3'000'000, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  const auto back = runtime_.block_on(exchange(to, client, "localhost", bytes));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_TRUE(*back == bytes);
  runtime_.block_on(listener->close());
}

TEST(TlsStream, close_tells_the_peer) {
  Runtime runtime(1);
  const auto run = []() -> awaitable<Result<>> {
    const Executor executor = co_await asio::this_coro::executor;
    auto pipe = make_memory_pipe(executor);
    TaskScope tasks(executor);
    auto server = [](StreamPtr stream) -> awaitable<void> {
      auto tls = co_await accept_tls(std::move(stream), server_context());
      if (tls) (*tls)->close();
    };
    tasks.spawn(server(std::move(pipe.left)));
    const auto context = *TlsClientContext::make(authority().root.certificate_pem);
    CO_TRY_LET(auto client, co_await connect_tls(std::move(pipe.right), context, "localhost"));
    EXPECT_TRUE(client->peer_certificates_der().size() > 200);
    char c = 0;
    const auto end = co_await client->read_some(&c, 1);
    EXPECT_FALSE(end);
    if (!end) {
      EXPECT_NE(end.error().message.find("the peer closed"), std::string::npos) << end.error().message;
    }
    co_await tasks.close();
    co_return Result<>{};
  };
  const auto result = runtime.block_on(run());
  EXPECT_TRUE(result) << result.error().message;
}

TEST(SigningRequest, gets_a_certificate_for_its_key_and_what_the_issuer_says) {
  CertificateRequest device;
  device.common_name = "press-7";
  device.client = true;
  device.server = false;
  const auto chain = sign(authority().intermediate, signing_request, device, now);
  ASSERT_TRUE(chain) << chain.error().message;
  const auto facts = inspect_all(*chain);
  ASSERT_TRUE(facts);
  ASSERT_EQ(facts->size(), 2u) << "with the intermediate";
  EXPECT_EQ(facts->front().common_name, "press-7");
  EXPECT_FALSE(facts->front().authority);
  EXPECT_TRUE(check_signed_by(authority().intermediate.certificate_pem, *chain, now));
  EXPECT_TRUE(sign(authority().intermediate, unnamed_signing_request, device, now)) << "one that names nobody";
}

TEST(SigningRequest, is_refused_if_it_is_for_another_weak_or_not_its_keys_own) {
  CertificateRequest device;
  device.common_name = "press-8";
  EXPECT_FALSE(sign(authority().intermediate, signing_request, device, now)) << "it names another";
  device.common_name = "press-7";
  EXPECT_FALSE(sign(authority().intermediate, weak_signing_request, device, now));
  EXPECT_FALSE(sign(authority().intermediate, authority().server.certificate_pem, device, now)) << "no request";
  std::string forged = signing_request;  // the signature's last octet
  const auto at = forged.rfind("\n-----END") - 6;
  forged[at] = forged[at] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(sign(authority().intermediate, forged, device, now));
  for (std::size_t cut = 0; cut + 30 < signing_request.size(); cut += 13)
    EXPECT_FALSE(sign(authority().intermediate, signing_request.substr(0, cut), device, now)) << cut;
  EXPECT_FALSE(sign(authority().intermediate, std::string(20'000, 'x'), device, now));
}

TEST(TlsStream, each_side_sees_the_others_whole_chain) {
  Runtime runtime(1);
  const auto run = []() -> awaitable<Result<>> {
    const Executor executor = co_await asio::this_coro::executor;
    auto pipe = make_memory_pipe(executor);
    TaskScope tasks(executor);
    auto seen = std::make_shared<Bytes>();
    auto server = [](StreamPtr stream, std::shared_ptr<Bytes> into) -> awaitable<void> {
      auto tls = co_await accept_tls(std::move(stream), server_context());
      if (!tls) co_return;
      *into = (*tls)->peer_certificates_der();
      (*tls)->close();
    };
    tasks.spawn(server(std::move(pipe.left), seen));
    const auto& own = authority().server;
    const auto context = *TlsClientContext::make(authority().root.certificate_pem, own.certificate_pem, own.key_pem);
    CO_TRY_LET(auto client, co_await connect_tls(std::move(pipe.right), context, "localhost"));
    char c = 0;
    static_cast<void>(co_await client->read_some(&c, 1));  // the server is done
    EXPECT_EQ(client->peer_certificates_der(), *seen) << "they show the same here";
    const auto leaf = inspect_der(*seen);
    EXPECT_TRUE(leaf && leaf->common_name == "localhost");
    const auto anchors = *TrustAnchors::make({authority().root.certificate_pem});
    const auto verdict = anchors->check(*seen, now);
    EXPECT_FALSE(verdict);
    if (!verdict) {
      EXPECT_NE(verdict.error().message.find("purpose"), std::string::npos) << "all links are there: " << verdict.error().message;
    }
    co_await tasks.close();
    co_return Result<>{};
  };
  const auto result = runtime.block_on(run());
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_FALSE(TlsClientContext::make({}, authority().server.certificate_pem, authority().root.key_pem)) << "another's key";
}

TEST(Certificates, facts_are_what_was_asked_for) {
  const auto facts = inspect(authority().server.certificate_pem);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->common_name, "localhost");
  EXPECT_EQ(facts->issuer, "CN=Test intermediate");
  EXPECT_EQ(facts->dns_names, (std::vector<std::string>{"localhost", "hub.example"}));
  EXPECT_EQ(facts->ip_addresses, (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_EQ(unix_seconds(facts->not_before), unix_seconds(now - std::chrono::minutes{5}));
  EXPECT_EQ(facts->sha256_thumbprint.size(), 64u);
}

TEST(Certificates, a_chain_holds_every_certificate_but_the_root) {
  const auto count = [](const std::string& pem) {
    std::size_t found = 0;
    for (auto at = pem.find("BEGIN CERT"); at != std::string::npos; at = pem.find("BEGIN CERT", at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count(authority().root.certificate_pem), 1u);
  EXPECT_EQ(count(authority().intermediate.certificate_pem), 1u);
  EXPECT_EQ(count(authority().server.certificate_pem), 2u);
}

TEST(Certificates, no_certificate_outlives_its_issuer) {
  const auto brief = make_root("Brief", std::chrono::hours{1}, now);
  CertificateRequest request = Authority::server_request();
  request.lifetime = std::chrono::hours{24};
  const auto leaf = issue(*brief, request, now);
  ASSERT_TRUE(leaf);
  EXPECT_EQ(inspect(leaf->certificate_pem)->not_after, inspect(brief->certificate_pem)->not_after);
}

TEST(Certificates, a_leaf_cannot_sign_and_bad_names_are_refused) {
  EXPECT_FALSE(issue(authority().server, Authority::server_request(), now));
  CertificateRequest request = Authority::server_request();
  request.dns_names = {"a,DNS:evil.example"};
  EXPECT_FALSE(issue(authority().root, request, now));
  request.dns_names = {};
  request.ip_addresses = {"300.1.1.1"};
  EXPECT_FALSE(issue(authority().root, request, now));
  EXPECT_FALSE(inspect("nonsense"));
  EXPECT_FALSE(TlsServerContext::make("nonsense", "nonsense"));
}

}  // namespace
}  // namespace nacelle::net
