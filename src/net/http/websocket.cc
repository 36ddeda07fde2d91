// WebSockets over Stream, with Beast. The third file that sees Beast's templates; no other needs to.
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cstring>

#include "codec/text/encoding.h"
#include "net/http/detail/websocket.h"

namespace nacelle::net::detail {
namespace {

namespace websocket = boost::beast::websocket;
namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::role_type;

/// Our Stream as Beast wants one. Every operation is a small coroutine on the stream's strand.
class Layer {
 public:
  using executor_type = Executor;

  Layer(StreamPtr stream, Bytes ahead) : stream_(std::move(stream)), ahead_(std::move(ahead)) {}
  executor_type get_executor() { return stream_->executor(); }
  Stream& stream() { return *stream_; }
  /// What the last failing read or write met.
  const Error& last_error() const { return last_error_; }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    const asio::mutable_buffer first = first_of(buffers);
    auto start = [this, first](auto handler) { run(read(first), std::move(handler)); };
    return asio::async_initiate<Token, void(error_code, std::size_t)>(std::move(start), token);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    Bytes bytes;
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
      const asio::const_buffer piece(*at);
      bytes.append(static_cast<const char*>(piece.data()), piece.size());
    }
    auto start = [this, text = std::move(bytes)](auto handler) mutable { run(write(std::move(text)), std::move(handler)); };
    return asio::async_initiate<Token, void(error_code, std::size_t)>(std::move(start), token);
  }

 private:
  struct Outcome {
    error_code error;
    std::size_t count = 0;
  };

  template <class Buffers>
  static asio::mutable_buffer first_of(const Buffers& buffers) {
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at)
      if (const asio::mutable_buffer piece(*at); piece.size() > 0) return piece;
    return {};
  }

  template <class Handler>
  void run(awaitable<Outcome> operation, Handler handler) {
    auto held = std::make_shared<Handler>(std::move(handler));
    auto ended = [held](std::exception_ptr failure, Outcome outcome) {
      if (failure) std::rethrow_exception(failure);
      (*held)(outcome.error, outcome.count);
    };
    const auto slot = asio::get_associated_cancellation_slot(*held);
    asio::co_spawn(get_executor(), std::move(operation), asio::bind_cancellation_slot(slot, std::move(ended)));
  }

  awaitable<Outcome> read(asio::mutable_buffer into) {
    co_await asio::this_coro::throw_if_cancelled(false);
    if (into.size() == 0) co_return Outcome{};
    if (!ahead_.empty()) {
      const std::size_t count = std::min(into.size(), ahead_.size());
      std::memcpy(into.data(), ahead_.data(), count);
      ahead_.erase(0, count);
      co_return Outcome{{}, count};
    }
    const auto count = co_await stream_->read_some(static_cast<char*>(into.data()), into.size());
    if (count) co_return Outcome{{}, *count};
    co_return failed(count.error());
  }

  awaitable<Outcome> write(Bytes bytes) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto written = co_await stream_->write_all(bytes);
    if (written) co_return Outcome{{}, bytes.size()};
    co_return failed(written.error());
  }

  Outcome failed(const Error& error) {
    last_error_ = error;
    return {asio::error::connection_reset, 0};
  }

  StreamPtr stream_;
  Bytes ahead_;
  Error last_error_{Fault::unavailable, "the connection is closed"};
};

/// Both are found by Beast by their argument: the end of the layer below.
void beast_close_socket(Layer& layer) { layer.stream().close(); }
template <class Handler>
void async_teardown(role_type, Layer& layer, Handler&& handler) {
  asio::post(layer.get_executor(), [held = std::forward<Handler>(handler)]() mutable { held(error_code{}); });
}

constexpr std::string_view close_frame("\x88\x02\x03\xe8", 4);  // section 5.5.1: normal closure

/// A whole unmasked binary message (section 5.2).
Bytes binary_frame(BytesView payload) {
  Bytes frame("\x82");
  const std::size_t size = payload.size();
  const auto put = [&](int bytes) {
    while (bytes-- > 0) frame += static_cast<char>(size >> (8 * bytes) & 0xff);
  };
  if (size < 126) {
    put(1);
  } else if (size < 65'536) {
    frame += static_cast<char>(126);
    put(2);
  } else {
    frame += static_cast<char>(127);
    put(8);
  }
  return frame.append(payload);
}

class WebSocketStream final : public Stream {
 public:
  WebSocketStream(StreamPtr stream, Bytes ahead) : socket_(std::move(stream), std::move(ahead)) {
    socket_.read_message_max(0);  // who reads the stream bounds what it keeps
    socket_.binary(true);
    socket_.auto_fragment(false);  // what is written together leaves together
  }

  awaitable<Result<>> accept(HttpRequest asked, std::string protocol) {
    auto answer_with = [protocol](websocket::response_type& response) {
      if (!protocol.empty()) response.set(http::field::sec_websocket_protocol, protocol);
    };
    socket_.set_option(websocket::stream_base::decorator(std::move(answer_with)));
    http::request<http::empty_body> request;
    request.version(11);
    request.method(http::verb::get);
    request.target(asked.target);
    for (const auto& [name, value] : asked.headers) request.set(name, value);
    const auto [error] = co_await socket_.async_accept(request, as_result);
    if (error) co_return fail(Fault::invalid_input, "WebSocket handshake: " + error.message());
    co_return Result<>{};
  }

  awaitable<Result<std::size_t>> read_some(char* data, std::size_t size) override {
    const asio::mutable_buffer into(data, size);
    while (true) {
      const auto [error, count] = co_await socket_.async_read_some(into, as_result);
      if (error) co_return failure(error);
      if (count > 0 && socket_.got_text()) co_return fail(Fault::invalid_input, "a WebSocket message of text, expected binary");
      if (count > 0) co_return count;
    }
  }

  awaitable<Result<>> write_all(BytesView bytes) override {
    const asio::const_buffer from(bytes.data(), bytes.size());
    writing_ = true;
    const auto [error, count] = co_await socket_.async_write(from, as_result);
    writing_ = false;
    static_cast<void>(count);
    if (error) co_return failure(error);
    co_return Result<>{};
  }

  /// The closing handshake: what the peer still sends is read and dropped.
  awaitable<void> end_writing() override {
    const websocket::close_reason why(websocket::close_code::normal);
    const auto [error] = co_await socket_.async_close(why, as_result);
    static_cast<void>(error);
  }

  void close() override { close_with({}); }
  void close_with(BytesView farewell) override {
    if (closed_) return;
    closed_ = true;
    if (writing_ || !socket_.is_open()) return below().close();  // in the middle of a frame nothing may be said any more
    Bytes last = farewell.empty() ? Bytes() : binary_frame(farewell);
    last += close_frame;
    below().close_with(last);
  }
  void set_deadline(std::optional<std::chrono::steady_clock::duration> from_now) override { below().set_deadline(from_now); }
  Executor executor() override { return executor_; }
  std::string peer_address() const override { return peer_; }
  Bytes peer_certificates_der() const override { return certificate_; }

 private:
  Stream& below() { return socket_.next_layer().stream(); }
  Failure failure(const error_code& error) {
    if (error == websocket::error::closed) return fail(Fault::unavailable, "the connection is closed");
    if (error == asio::error::connection_reset) return fail(socket_.next_layer().last_error());
    return fail(Fault::invalid_input, "WebSocket: " + error.message());
  }

  static constexpr bool with_compression = false;  // a client's offer may be declined (wire facts 1.1)
  websocket::stream<Layer, with_compression> socket_;
  const Executor executor_ = below().executor();
  const std::string peer_ = below().peer_address();
  const Bytes certificate_ = below().peer_certificates_der();
  bool writing_ = false;
  bool closed_ = false;
};

bool has_token(std::string_view list, std::string_view token) {
  const auto tokens = text::split(list, ',');
  return std::any_of(tokens.begin(), tokens.end(),
                     [&](std::string_view each) { return text::equal_ignoring_case(text::trim(each), token); });
}

}  // namespace

bool asks_for_websocket(const HttpRequest& request) {
  return request.method == "GET" && has_token(request.headers.get("Upgrade"), "websocket") &&
         has_token(request.headers.get("Connection"), "upgrade");
}

ChosenRoute choose_route(const HttpRequest& request, const std::vector<WebSocketRoute>& routes) {
  const auto path = text::percent_decode(request.path());
  if (!path) return {};
  const auto offered = text::split(request.headers.get("Sec-WebSocket-Protocol"), ',');
  for (const WebSocketRoute& route : routes) {
    if (route.path != *path) continue;
    for (const std::string_view each : offered)
      for (const std::string& known : route.protocols)
        if (text::equal_ignoring_case(text::trim(each), known)) return {&route, std::string(text::trim(each))};
  }
  return {};
}

awaitable<Result<StreamPtr>> accept_websocket(StreamPtr stream, Bytes ahead, HttpRequest request, std::string protocol) {
  auto socket = std::make_unique<WebSocketStream>(std::move(stream), std::move(ahead));
  CO_TRY(co_await socket->accept(std::move(request), std::move(protocol)));
  StreamPtr accepted = std::move(socket);
  co_return std::move(accepted);
}

}  // namespace nacelle::net::detail
