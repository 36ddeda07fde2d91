#include <gtest/gtest.h>

#include "codec/text/encoding.h"
#include "net/http/server.h"
#include "net/socket/runtime.h"

namespace nacelle::net {
namespace {

/// Echoes what comes over WebSockets; answers other requests with 200.
class WebSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto answer = [](HttpRequest) -> awaitable<HttpResponse> { co_return text_response(200, "plain\n"); };
    auto server = HttpServer::listen(runtime_.executor(), {}, nullptr, answer, {}, {{"/$x/ws", {"mqtt"}, echo}});
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  void TearDown() override { runtime_.block_on(server_->close()); }

  static awaitable<void> echo(StreamPtr stream) {
    Bytes piece(4096, '\0');
    while (true) {
      const auto count = co_await stream->read_some(piece.data(), piece.size());
      if (!count) co_return;
      const BytesView view(piece.data(), *count);
      const auto written = co_await stream->write_all(view);
      if (!written) co_return;
    }
  }

  static Bytes request(std::string_view path, std::string_view protocols) {
    return "GET " + std::string(path) +
           " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " +
           std::string(protocols) + "\r\n\r\n";
  }
  /// A client's frame: masked (RFC 6455 section 5.3).
  static Bytes frame(unsigned first, BytesView payload) {
    Bytes out(1, static_cast<char>(first));
    if (payload.size() < 126) {
      out += static_cast<char>(0x80 | payload.size());
    } else {
      out += static_cast<char>(0x80 | 126);
      out += static_cast<char>(payload.size() >> 8);
      out += static_cast<char>(payload.size() & 0xff);
    }
    const Bytes mask("\x11\x22\x33\x44");
    out += mask;
    for (std::size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ mask[i % 4]);
    return out;
  }

  /// Sends `bytes` and reads until `until` has been seen, or to the end if it is empty.
  awaitable<Bytes> talk(Bytes bytes, Bytes until) {
    Endpoint endpoint;
    endpoint.port = server_->port();
    auto stream = co_await connect(endpoint, nullptr);
    if (!stream) co_return "no connection";
    (*stream)->set_deadline(std::chrono::seconds{20});
    static_cast<void>(co_await (*stream)->write_all(bytes));
    Bytes seen;
    Bytes piece(4096, '\0');
    while (until.empty() || seen.find(until) == Bytes::npos) {
      const auto count = co_await (*stream)->read_some(piece.data(), piece.size());
      if (!count) break;
      seen.append(piece, 0, *count);
    }
    co_return seen;
  }
  Bytes run(Bytes bytes, Bytes until = {}) { return runtime_.block_on(talk(std::move(bytes), std::move(until))); }

  Runtime runtime_{2};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(WebSocketTest, the_handshake_is_the_standards_and_the_protocol_is_spelled_as_the_client_did) {
  const Bytes seen = run(request("/%24x/ws?a=b", "other, MQTT"), "\r\n\r\n");
  EXPECT_NE(seen.find("101 Switching Protocols"), Bytes::npos) << seen;
  EXPECT_NE(seen.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), Bytes::npos) << seen;  // RFC 6455 section 1.3
  EXPECT_NE(seen.find("Sec-WebSocket-Protocol: MQTT\r\n"), Bytes::npos) << seen;
}

TEST_F(WebSocketTest, messages_and_their_pieces_are_one_stream_and_pings_are_answered) {
  const Bytes sent = request("/$x/ws", "mqtt") + frame(0x82, "one ") + frame(0x02, "tw") + frame(0x89, "ping") + frame(0x80, "o") +
                     frame(0x82, Bytes(300, 'x')) + frame(0x82, "end");
  const Bytes seen = run(sent, "end");
  EXPECT_NE(seen.find(BytesView("\x82\x04one ", 6)), Bytes::npos);
  EXPECT_NE(seen.find(BytesView("\x8a\x04ping", 6)), Bytes::npos);
  EXPECT_NE(seen.find(Bytes(300, 'x')), Bytes::npos);
}

TEST_F(WebSocketTest, what_breaks_the_protocol_ends_its_connection) {
  const Bytes start = request("/$x/ws", "mqtt");
  EXPECT_EQ(run(start + frame(0x81, "text")).find("text"), Bytes::npos);
  EXPECT_EQ(run(start + Bytes("\x82\x05plain")).find("plain"), Bytes::npos);  // not masked
  EXPECT_EQ(run(start + frame(0xf2, "reserved")).find("reserved"), Bytes::npos);
  EXPECT_NE(run(start + frame(0x88, "")).find("101"), Bytes::npos);  // closed in order
}

TEST_F(WebSocketTest, other_paths_protocols_and_requests_are_answered_as_http) {
  EXPECT_NE(run(request("/$x/other", "mqtt"), "plain").find("200 OK"), Bytes::npos);
  EXPECT_NE(run(request("/$x/ws", "amqp"), "plain").find("200 OK"), Bytes::npos);
  EXPECT_NE(run("GET /$x/ws HTTP/1.1\r\nHost: x\r\n\r\n", "plain").find("200 OK"), Bytes::npos);
}

TEST_F(WebSocketTest, a_handshake_that_is_none_is_answered_400) {
  Bytes broken = request("/$x/ws", "mqtt");
  broken.replace(broken.find("Version: 13"), 11, "Version: 12");
  const Bytes seen = run(broken);
  EXPECT_NE(seen.find(" 4"), Bytes::npos) << seen;
  EXPECT_EQ(seen.find("101"), Bytes::npos) << seen;
}

TEST_F(WebSocketTest, the_servers_end_ends_them) {
  auto hold = [this]() -> awaitable<bool> {
    Endpoint endpoint;
    endpoint.port = server_->port();
    auto stream = co_await connect(endpoint, nullptr);
    if (!stream) co_return false;
    const Bytes asked = request("/$x/ws", "mqtt") + frame(0x82, "here");
    static_cast<void>(co_await (*stream)->write_all(asked));
    Bytes seen;
    Bytes piece(4096, '\0');
    while (seen.find("here") == Bytes::npos) {
      const auto count = co_await (*stream)->read_some(piece.data(), piece.size());
      if (!count) co_return false;
      seen.append(piece, 0, *count);
    }
    co_await server_->close();  // while the echo waits for more
    co_return true;
  };
  EXPECT_TRUE(runtime_.block_on(hold()));
}

}  // namespace
}  // namespace nacelle::net
