#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>

#include "net/http/client.h"
#include "net/http/server.h"
#include "net/socket/runtime.h"
#include "net/socket/wake.h"
#include "net/tls/certificates.h"
#include "net/tls/context.h"

namespace nacelle::net {
namespace {

/// Three pieces of 100,000 letters; a torn one fails after the first.
class Pieces final : public BodySource {
 public:
  explicit Pieces(bool torn) : torn_(torn) {}
  ByteCount size() const override { return 300'000; }
  awaitable<Result<Bytes>> next() override {
    if (torn_ && given_ == 1) co_return fail(Fault::corrupt, "the disk says no");
    co_return Bytes(100'000, static_cast<char>('a' + given_++));
  }

 private:
  const bool torn_;
  int given_ = 0;
};

/// Answers with what it was asked; `/wait` waits until cancelled; `/pieces` comes in pieces.
class HttpTest : public ::testing::Test {
 protected:
  void SetUp() override { start({}, {}); }
  void TearDown() override { runtime_.block_on(server_->close()); }

  void start(Endpoint endpoint, HttpLimits limits, std::shared_ptr<TlsServerContext> tls = nullptr) {
    if (server_) runtime_.block_on(server_->close());
    auto server = HttpServer::listen(
        runtime_.executor(), endpoint, std::move(tls), [this](HttpRequest r) { return answer(std::move(r)); }, limits);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  awaitable<HttpResponse> answer(HttpRequest request) {
    if (request.path() == "/wait") {
      waiting_.set_value();
      co_await until_cancelled();
      cancelled_.set_value();
    }
    if (request.path() == "/throw") throw std::runtime_error("a bug");
    if (request.path() == "/pieces" || request.path() == "/torn") {
      HttpResponse pieces;
      pieces.source = std::make_shared<Pieces>(request.path() == "/torn");
      co_return pieces;
    }
    HttpResponse response =
        text_response(request.method == "DELETE" ? 204 : 200, request.method + " " + request.target + "\n" + request.body);
    response.headers.set("X-Seen", request.headers.get("x-given"));
    co_return response;
  }

  awaitable<Result<HttpResponse>> ask(HttpClientOptions options, HttpRequest request) {
    HttpClient client(std::move(options));
    co_return co_await client.send(std::move(request));
  }
  Result<HttpResponse> get(std::string target) {
    HttpRequest request;
    request.target = std::move(target);
    return runtime_.block_on(ask({.endpoint = {.port = server_->port()}}, std::move(request)));
  }

  /// What the server answers to raw bytes, until it closes.
  awaitable<Bytes> raw(std::uint16_t port, Bytes bytes) {
    Endpoint endpoint;
    endpoint.port = port;
    auto stream = co_await connect(endpoint, nullptr);
    if (!stream) co_return "no connection";
    static_cast<void>(co_await (*stream)->write_all(bytes));
    Bytes all;
    char piece[4096];
    while (true) {
      const auto count = co_await (*stream)->read_some(piece, sizeof(piece));
      if (!count) break;
      all.append(piece, *count);
    }
    co_return all;
  }
  Bytes send_raw(Bytes bytes) { return runtime_.block_on(raw(server_->port(), std::move(bytes))); }

  /// One answer with a length, or what came of it.
  static awaitable<std::string> read_answer(Stream& stream) {
    std::string all;
    char piece[4096];
    while (true) {
      const auto head = all.find("\r\n\r\n");
      const auto length = all.find("Content-Length: ");
      if (head != std::string::npos && length < head && all.size() >= head + 4 + std::stoul(all.substr(length + 16))) break;
      const auto count = co_await stream.read_some(piece, sizeof(piece));
      if (!count) break;
      all.append(piece, *count);
    }
    co_return all;
  }

  Runtime runtime_{2};
  std::vector<std::string> answers_;
  std::unique_ptr<HttpServer> server_;
  std::promise<void> waiting_;
  std::promise<void> cancelled_;
};

TEST_F(HttpTest, a_request_is_answered_with_its_headers_and_body) {
  HttpRequest request{.method = "PUT",
                      .target = "/a%20b?x=1",
                      .headers = {{"X-Given", "seen"}},
                      .body = "body",
                      .peer = {},
                      .peer_certificates_der = {}};
  const auto response = runtime_.block_on(ask({.endpoint = {.port = server_->port()}}, request));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "PUT /a%20b?x=1\nbody");
  EXPECT_EQ(response->headers.get("x-seen"), "seen");
}

TEST_F(HttpTest, body_in_pieces_is_sent_whole_and_the_connection_goes_on) {
  const Bytes both = send_raw("GET /pieces HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(both.find("Content-Length: 300000\r\n"), Bytes::npos);
  const Bytes body = Bytes(100'000, 'a') + Bytes(100'000, 'b') + Bytes(100'000, 'c');
  EXPECT_NE(both.find("\r\n\r\n" + body + "HTTP/1.1 200"), Bytes::npos);
  EXPECT_NE(both.find("GET /next\n"), Bytes::npos);
  const Bytes head = send_raw("HEAD /pieces HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 300000\r\n"), Bytes::npos);
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST_F(HttpTest, body_that_breaks_off_ends_the_connection) {
  const Bytes torn = send_raw("GET /torn HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(torn.ends_with(Bytes(1000, 'a')));
  EXPECT_EQ(torn.find("GET /next"), Bytes::npos) << "its answer could be taken for the rest";
}

TEST_F(HttpTest, no_body_comes_with_204_and_head) {
  const Bytes deleted = send_raw("DELETE / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(deleted.find("204 No Content"), Bytes::npos);
  EXPECT_EQ(deleted.find("Content-Length"), Bytes::npos);
  const Bytes head = send_raw("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 8"), Bytes::npos);
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST_F(HttpTest, pipelined_requests_are_answered_in_order) {
  const Bytes both = send_raw("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_LT(both.find("GET /1\n"), both.find("GET /2\n"));
  EXPECT_NE(both.find("GET /2\n"), Bytes::npos);
}

TEST_F(HttpTest, chunked_bodies_are_put_together) {
  const Bytes answer = send_raw(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\nabcde")) << answer;
}

TEST_F(HttpTest, a_client_that_expects_100_is_told_to_go_on) {
  const Bytes answer =
      send_raw("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  EXPECT_NE(answer.find("HTTP/1.1 200"), Bytes::npos) << answer;
}

TEST_F(HttpTest, what_is_not_http_is_refused_and_closes_only_that_connection) {
  for (const Bytes bad :
       {"nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nbroken header\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    EXPECT_TRUE(send_raw(bad).starts_with("HTTP/1.1 400")) << bad;
  }
  EXPECT_TRUE(get("/still-here"));
}

TEST_F(HttpTest, sizes_are_bounded) {
  start({}, {.max_header_bytes = 1024, .max_body_bytes = 100});
  EXPECT_TRUE(send_raw("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n").starts_with("HTTP/1.1 413"));
  EXPECT_TRUE(send_raw("GET / HTTP/1.1\r\nX: " + Bytes(4000, 'x') + "\r\n\r\n").starts_with("HTTP/1.1 431"));
  start({}, {});
  Bytes many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 300; ++i) many += "a:b\r\n";
  EXPECT_TRUE(send_raw(many + "\r\n").starts_with("HTTP/1.1 431"));
}

TEST_F(HttpTest, large_bodies_wait_for_room_and_are_told_to_come_again_when_there_is_none) {
  HttpLimits limits;
  limits.small_body = 100;
  limits.max_body_bytes = 1000;
  limits.max_bodies_bytes = 1500;
  limits.room_within = std::chrono::seconds{0};
  start({}, limits);
  const auto post = [](const std::string& path, std::size_t bytes) {
    return "POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n";
  };
  // The first is held by its handler; beside it there is room for 500 bytes more, and for what is small.
  auto first = [&]() -> awaitable<void> {
    const Endpoint at{"127.0.0.1", server_->port(), {}};
    auto holder = co_await connect(at, nullptr);
    const std::string held = post("/wait", 1000) + std::string(1000, 'x');
    static_cast<void>(co_await (*holder)->write_all(held));
    waiting_.get_future().wait();
    auto other = co_await connect(at, nullptr);
    const std::string too_much = post("/", 501) + std::string(501, 'x');
    static_cast<void>(co_await (*other)->write_all(too_much));
    answers_.push_back(co_await read_answer(**other));
    auto third = co_await connect(at, nullptr);
    const std::string fits = post("/", 500) + std::string(500, 'x');
    static_cast<void>(co_await (*third)->write_all(fits));
    answers_.push_back(co_await read_answer(**third));
    const std::string small = post("/", 100) + std::string(100, 'x');
    static_cast<void>(co_await (*third)->write_all(small));
    answers_.push_back(co_await read_answer(**third));
    const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nc8\r\n" + std::string(200, 'x');
    auto fourth = co_await connect(at, nullptr);
    static_cast<void>(co_await (*fourth)->write_all(chunked));
    answers_.push_back(co_await read_answer(**fourth));
    (*holder)->close();  // its handler ends with it, and its room is free
    cancelled_.get_future().wait();
    auto last = co_await connect(at, nullptr);
    const std::string again = post("/", 1000) + std::string(1000, 'x');
    while (true) {
      static_cast<void>(co_await (*last)->write_all(again));
      const std::string answer = co_await read_answer(**last);
      if (answer.starts_with("HTTP/1.1 200")) break;  // the room is given back a moment after the handler has ended
      last = co_await connect(at, nullptr);
    }
  };
  runtime_.block_on(first());
  ASSERT_EQ(answers_.size(), 4u);
  EXPECT_TRUE(answers_[0].starts_with("HTTP/1.1 503")) << answers_[0];
  EXPECT_NE(answers_[0].find("retry-after: 5"), std::string::npos) << answers_[0];
  EXPECT_TRUE(answers_[1].starts_with("HTTP/1.1 200")) << answers_[1];
  EXPECT_TRUE(answers_[2].starts_with("HTTP/1.1 200")) << answers_[2];
  EXPECT_TRUE(answers_[3].starts_with("HTTP/1.1 503")) << "of unknown length, it may become 1000: " << answers_[3];
}

TEST_F(HttpTest, a_large_body_is_refused_by_its_head_before_it_is_sent) {
  runtime_.block_on(server_->close());
  HttpLimits limits;
  limits.small_body = 100;
  const auto before = [](const HttpRequest& head) -> std::optional<HttpResponse> {
    if (head.headers.get("authorization") == "yes") return std::nullopt;
    return text_response(401, head.method + " " + head.target);
  };
  server_ = HttpServer::listen(
                runtime_.executor(), {}, nullptr, [this](HttpRequest r) { return answer(std::move(r)); }, limits, {}, before)
                .value();
  auto story = [&]() -> awaitable<void> {
    const Endpoint at{"127.0.0.1", server_->port(), {}};
    auto stranger = co_await connect(at, nullptr);
    const std::string head = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n";
    static_cast<void>(co_await (*stranger)->write_all(head));
    answers_.push_back(co_await read_answer(**stranger));
    auto known = co_await connect(at, nullptr);
    const std::string whole =
        "POST /x HTTP/1.1\r\nHost: h\r\nAuthorization: yes\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x');
    static_cast<void>(co_await (*known)->write_all(whole));
    answers_.push_back(co_await read_answer(**known));
  };
  runtime_.block_on(story());
  EXPECT_TRUE(answers_[0].starts_with("HTTP/1.1 401")) << answers_[0];
  EXPECT_TRUE(answers_[1].starts_with("HTTP/1.1 200")) << answers_[1];
}

TEST_F(HttpTest, a_handler_that_throws_answers_500) {
  const auto response = get("/throw");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 500);
}

TEST_F(HttpTest, a_long_poll_ends_with_its_peer) {
  auto leave = [](std::uint16_t port, std::future<void> waiting) -> awaitable<bool> {
    Endpoint endpoint;
    endpoint.port = port;
    auto stream = co_await connect(endpoint, nullptr);
    static_cast<void>(co_await (*stream)->write_all("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"));
    waiting.wait();
    (*stream)->close();
    co_return true;
  };
  runtime_.block_on(leave(server_->port(), waiting_.get_future()));
  cancelled_.get_future().wait();  // hangs, and times out, if the handler is not told
}

TEST_F(HttpTest, a_long_poll_ends_with_its_server) {
  auto poll = [](std::uint16_t port) -> awaitable<bool> {
    HttpClient client({.endpoint = {.port = port}});
    HttpRequest request;
    request.target = "/wait";
    const auto response = co_await client.send(request);
    co_return response.has_value();
  };
  std::promise<bool> answered;
  asio::co_spawn(asio::make_strand(runtime_.executor()), poll(server_->port()),
                 [&](std::exception_ptr, bool ok) { answered.set_value(ok); });
  waiting_.get_future().wait();
  runtime_.block_on(server_->close());
  EXPECT_FALSE(answered.get_future().get());
}

TEST_F(HttpTest, a_unix_socket_serves_as_well) {
  const auto path = std::filesystem::temp_directory_path() / ("nacelle-http-" + std::to_string(::getpid()));
  start({.unix_path = path.string()}, {});
  const auto response = runtime_.block_on(ask({.endpoint = {.unix_path = path.string()}}, {.target = "/over/unix"}));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "GET /over/unix\n");
  EXPECT_EQ(std::filesystem::status(path).permissions() & std::filesystem::perms::mask, std::filesystem::perms(0600));
}

TEST_F(HttpTest, one_connection_over_tls_serves_many_requests) {
  const Timestamp now = SystemClock().now();
  const auto root = make_root("test root", std::chrono::hours{1}, now);
  ASSERT_TRUE(root);
  const auto leaf = issue(*root, {.common_name = "h", .dns_names = {"localhost"}, .ip_addresses = {"127.0.0.1"}}, now);
  ASSERT_TRUE(leaf);
  start({}, {}, *TlsServerContext::make(leaf->certificate_pem, leaf->key_pem));
  auto many = [](std::uint16_t port, std::shared_ptr<TlsClientContext> tls) -> awaitable<int> {
    HttpClient client({.endpoint = {.port = port}, .tls = tls});
    int good = 0;
    for (int i = 0; i < 20; ++i) {
      HttpRequest request;
      request.method = "POST";
      request.body = Bytes(static_cast<std::size_t>(i) * 5000, 'b');
      const auto response = co_await client.send(request);
      if (response && response->body.size() == 7 + request.body.size()) ++good;
    }
    co_return good;
  };
  EXPECT_EQ(runtime_.block_on(many(server_->port(), *TlsClientContext::make(root->certificate_pem))), 20);
}

TEST(HttpRequest, segments_and_query_are_decoded) {
  HttpRequest request;
  request.target = "/devices/a%2Fb/?x=1%202&y&z=";
  ASSERT_TRUE(request.segments());
  EXPECT_EQ(*request.segments(), (std::vector<std::string>{"devices", "a/b"}));
  EXPECT_EQ(request.query("x"), "1 2");
  EXPECT_EQ(request.query("y"), "");
  request.target = "/%zz";
  EXPECT_FALSE(request.segments());
}

}  // namespace
}  // namespace nacelle::net
