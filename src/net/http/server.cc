#include "net/http/server.h"

#include <exception>

#include <fmt/format.h>
#include <boost/beast/http/status.hpp>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/task_scope.h"
#include "net/http/detail/body_budget.h"
#include "net/http/detail/reader.h"
#include "net/http/detail/websocket.h"
#include "net/socket/wake.h"

namespace nacelle::net {
namespace {

/// A refused request may still be on its way: closing with unread bytes resets the connection, and the answer with it.
constexpr auto linger_for = std::chrono::seconds{2};
constexpr std::size_t linger_bytes = 4 * 1024 * 1024;

/// Headers are looked up one by one, so that many small ones would be a lever against us.
constexpr std::ptrdiff_t max_fields = 256;

/// The connection's own business, whatever a handler says.
bool is_framing(std::string_view name) {
  return text::equal_ignoring_case(name, "Content-Length") || text::equal_ignoring_case(name, "Connection") ||
         text::equal_ignoring_case(name, "Transfer-Encoding");
}

using detail::http::error;
using Parser = detail::http::request_parser<detail::http::string_body>;

/// The answer to a request that cannot be read; the connection ends after it.
HttpResponse refusal(const boost::beast::error_code& why) {
  if (why == error::body_limit) return text_response(413, "the body is larger than this server takes\n");
  if (why == error::header_limit) return text_response(431, "the header is larger than this server takes\n");
  return text_response(400, fmt::format("not an HTTP/1.1 request: {}\n", why.message()));
}

Bytes print(const HttpResponse& response, bool keep_alive, bool with_body) {
  Bytes out;
  out.reserve(256 + response.body.size());
  const auto reason = detail::http::obsolete_reason(static_cast<detail::http::status>(response.status));
  out += fmt::format("HTTP/1.1 {} {}\r\n", response.status, std::string_view(reason.data(), reason.size()));
  for (const auto& [name, value] : response.headers)
    if (!is_framing(name)) detail::append_header(out, name, value);
  // RFC 9110 section 8.6: none with 1xx and 204.
  const ByteCount size = response.source ? response.source->size() : response.body.size();
  if (response.status != 204) out += fmt::format("Content-Length: {}\r\n", size);
  out += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  if (with_body && response.status != 204 && response.status != 304) out += response.body;
  return out;
}

/// What handler and connection tell each other while a request is answered. On the connection's strand.
struct Exchange {
  Wake wake;
  HttpResponse response;
  bool handled = false;
  bool peer_gone = false;
};

class Connection {
 public:
  /// What all connections of a server share.
  struct Shared {
    HttpServer::Handler handler;
    HttpLimits limits;
    std::vector<WebSocketRoute> websockets;
    HttpServer::BeforeBody before_body;
    detail::BodyBudget bodies{limits.max_bodies_bytes};
  };

  Connection(StreamPtr stream, Shared& shared)
      : stream_(std::move(stream)),
        shared_(shared),
        handler_(shared.handler),
        limits_(shared.limits),
        websockets_(shared.websockets) {}

  awaitable<void> serve() {
    while (true) {
      auto request = co_await receive();
      if (!request) co_return;
      if (!websockets_.empty() && detail::asks_for_websocket(*request)) {
        const detail::ChosenRoute chosen = detail::choose_route(*request, websockets_);
        if (chosen.route != nullptr) {
          co_await hand_over(std::move(*request), chosen);
          co_return;
        }
      }
      const bool head = request->method == "HEAD";
      const auto response = co_await answer(std::move(*request));
      room_ = {};  // the handler has done with the body
      if (!response) co_return;
      stream_->set_deadline(limits_.request);
      const Bytes bytes = print(*response, keep_alive_, !head);
      const auto sent = co_await stream_->write_all(bytes);
      if (!sent) co_return;
      if (response->source && !head) {
        const bool whole = co_await send_pieces(*response->source);
        if (!whole) co_return;
      }
      if (!keep_alive_) co_return;
    }
  }

 private:
  /// Whether all that was announced has gone out.
  awaitable<bool> send_pieces(BodySource& source) {
    for (ByteCount left = source.size(); left > 0;) {
      const auto piece = co_await source.next();
      if (!piece || piece->empty() || piece->size() > left) {
        log::warn("http", "an answer ends {} bytes too early: {}", left, piece ? "there are no more" : piece.error().message);
        co_return false;
      }
      stream_->set_deadline(limits_.request);
      const auto sent = co_await stream_->write_all(*piece);
      if (!sent) co_return false;
      left -= piece->size();
    }
    co_return true;
  }

  awaitable<void> hand_over(HttpRequest request, detail::ChosenRoute chosen) {
    stream_->set_deadline(limits_.request);
    auto socket = co_await detail::accept_websocket(std::move(stream_), std::move(buffer_), std::move(request), chosen.protocol);
    if (!socket) {
      log::info("http", "{}", socket.error().message);
      co_return;
    }
    StreamPtr stream = std::move(*socket);
    stream->set_deadline(std::nullopt);
    co_await chosen.route->serve(std::move(stream));
  }

  /// The next request; nothing when the connection is to end.
  awaitable<std::optional<HttpRequest>> receive() {
    Parser parser;
    parser.eager(true);
    parser.header_limit(static_cast<std::uint32_t>(limits_.max_header_bytes));
    parser.body_limit(limits_.max_body_bytes);
    stream_->set_deadline(buffer_.empty() ? limits_.idle : limits_.request);
    bool begun = !buffer_.empty();
    bool continued = false;
    bool admitted = false;
    while (true) {
      if (const auto why = detail::feed(parser, buffer_); why) {
        co_await refuse(refusal(why));
        co_return std::nullopt;
      }
      if (parser.is_header_done() && std::distance(parser.get().begin(), parser.get().end()) > max_fields) {
        co_await refuse(text_response(431, "the header has more fields than this server takes\n"));
        co_return std::nullopt;
      }
      if (!admitted && parser.is_header_done() && expected_body(parser) > limits_.small_body) {
        admitted = true;
        auto refused = co_await admit(parser);
        if (refused) {
          co_await refuse(std::move(*refused));
          co_return std::nullopt;
        }
      }
      if (parser.is_done()) break;
      if (parser.is_header_done() && !continued && text::equal_ignoring_case(view(parser.get()["Expect"]), "100-continue")) {
        continued = true;
        const auto asked = co_await stream_->write_all("HTTP/1.1 100 Continue\r\n\r\n");
        if (!asked) co_return std::nullopt;
      }
      const auto read = co_await detail::read_more(*stream_, buffer_);
      if (!read) {
        if (begun && read.error().fault == Fault::timed_out) {
          const Bytes farewell = print(text_response(408, "the request did not arrive in time\n"), false, true);
          stream_->close_with(farewell);
        }
        co_return std::nullopt;
      }
      if (!begun) stream_->set_deadline(limits_.request);
      begun = true;
    }
    room_.shrink(parser.get().body().size());
    co_return take(parser);
  }

  /// Bytes of the body, as far as they are known: of a chunked one, those that have come.
  static ByteCount expected_body(const Parser& parser) {
    const auto length = parser.content_length();
    return length ? static_cast<ByteCount>(*length) : parser.get().body().size();
  }

  /// Whether the rest of a large body may be read: an answer refuses it.
  awaitable<std::optional<HttpResponse>> admit(const Parser& parser) {
    if (shared_.before_body) {
      HttpRequest head = head_of(parser);
      auto refused = shared_.before_body(head);
      if (refused) co_return refused;
    }
    const ByteCount bytes = parser.content_length() ? expected_body(parser) : limits_.max_body_bytes;
    const bool there = co_await shared_.bodies.take(bytes, limits_.room_within);
    if (!there) {
      HttpResponse busy = text_response(503, "the server holds as many large bodies as it can; come again\n");
      busy.headers.set("retry-after", "5");
      co_return busy;
    }
    room_ = detail::BodyRoom(shared_.bodies, bytes);
    stream_->set_deadline(limits_.request);  // the wait was not the peer's
    co_return std::nullopt;
  }

  HttpRequest head_of(const Parser& parser) {
    const auto& message = parser.get();
    HttpRequest head;
    head.method = view(message.method_string());
    head.target = view(message.target());
    head.headers = detail::take_headers(message);
    head.peer = stream_->peer_address();
    head.peer_certificates_der = stream_->peer_certificates_der();
    return head;
  }

  awaitable<void> refuse(HttpResponse response) {
    const Bytes farewell = print(response, false, true);
    stream_->set_deadline(linger_for);
    const auto sent = co_await stream_->write_all(farewell);
    if (!sent) co_return;
    co_await stream_->end_writing();
    for (std::size_t read = 0; read < linger_bytes;) {
      buffer_.clear();
      const auto more = co_await detail::read_more(*stream_, buffer_);
      if (!more) co_return;
      read += buffer_.size();
    }
  }

  static std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

  HttpRequest take(Parser& parser) {
    HttpRequest request = head_of(parser);
    keep_alive_ = parser.get().keep_alive();
    request.body = std::move(parser.get().body());
    return request;
  }

  /// Runs the handler; a handler that waits is cancelled when the peer goes away. Nothing if it did.
  awaitable<std::optional<HttpResponse>> answer(HttpRequest request) {
    stream_->set_deadline(std::nullopt);
    Exchange exchange;
    TaskScope handling(stream_->executor());
    TaskScope watching(stream_->executor());
    handling.spawn(handle(std::move(request), exchange));
    if (!exchange.handled) watching.spawn(watch(exchange));
    while (!exchange.handled && !exchange.peer_gone) {
      const bool going_on = co_await exchange.wake.wait();
      if (!going_on) exchange.peer_gone = true;
    }
    co_await watching.close();
    co_await handling.close();
    if (!exchange.handled || exchange.peer_gone) co_return std::nullopt;
    co_return std::move(exchange.response);
  }

  awaitable<void> handle(HttpRequest request, Exchange& exchange) {
    const std::string what = fmt::format("{} {}", request.method, request.path());
    try {
      exchange.response = co_await handler_(std::move(request));
    } catch (const std::exception& thrown) {
      log::error("http", "{}: the handler threw: {}", what, thrown.what());
      exchange.response = text_response(500, "internal error\n");
    }
    exchange.handled = true;
    exchange.wake.notify();
  }

  /// Notices the peer's end. What it sends meanwhile is the start of its next request: one piece of it is kept.
  awaitable<void> watch(Exchange& exchange) {
    const auto read = co_await detail::read_more(*stream_, buffer_);
    if (read || exchange.handled) co_return;
    exchange.peer_gone = true;
    exchange.wake.notify();
  }

  StreamPtr stream_;
  Shared& shared_;
  detail::BodyRoom room_;  // for the body of the request that is being read or answered
  const HttpServer::Handler& handler_;
  const HttpLimits& limits_;
  const std::vector<WebSocketRoute>& websockets_;
  Bytes buffer_;  // read and not yet parsed
  bool keep_alive_ = true;
};

class Server final : public HttpServer {
 public:
  Server(Handler handler, HttpLimits limits, std::vector<WebSocketRoute> websockets, BeforeBody before_body)
      : shared_{std::move(handler), limits, std::move(websockets), std::move(before_body)} {}

  Result<> open(Executor executor, const Endpoint& endpoint, std::shared_ptr<TlsServerContext> tls) {
    auto serve = [this](StreamPtr stream) { return serve_one(std::move(stream)); };
    TRY_LET(listener_,
            Listener::listen(std::move(executor), endpoint, std::move(tls), std::move(serve), shared_.limits.max_connections));
    return {};
  }
  std::uint16_t port() const override { return listener_->port(); }
  awaitable<void> close() override { co_await listener_->close(); }

 private:
  awaitable<void> serve_one(StreamPtr stream) {
    Connection connection(std::move(stream), shared_);
    co_await connection.serve();
  }

  Connection::Shared shared_;
  std::unique_ptr<Listener> listener_;  // last: its connections borrow the rest
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(Executor executor, const Endpoint& endpoint,
                                                       std::shared_ptr<TlsServerContext> tls, Handler handler, HttpLimits limits,
                                                       std::vector<WebSocketRoute> websockets, BeforeBody before_body) {
  auto server = std::make_unique<Server>(std::move(handler), limits, std::move(websockets), std::move(before_body));
  TRY(server->open(std::move(executor), endpoint, std::move(tls)));
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace nacelle::net
