#include "net/http/client.h"

#include <fmt/format.h>
#include <boost/beast/http/verb.hpp>

#include "net/http/detail/reader.h"

namespace nacelle::net {

using Parser = detail::http::response_parser<detail::http::string_body>;

struct HttpClient::State {
  HttpClientOptions options;
  Executor strand;   // of the stream; the callers may run anywhere
  StreamPtr stream;  // null: not connected
  Bytes buffer;      // read and not yet parsed

  std::string host() const {
    if (!options.server_name.empty()) return options.server_name;
    return options.endpoint.unix_path.empty() ? options.endpoint.host : "localhost";
  }

  Bytes print(const HttpRequest& request) const {
    Bytes out = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
    if (!request.headers.contains("Host")) {
      const bool usual = options.endpoint.port == 0 || options.endpoint.port == (options.tls ? 443 : 80);
      detail::append_header(out, "Host", usual ? host() : fmt::format("{}:{}", host(), options.endpoint.port));
    }
    for (const auto& [name, value] : request.headers) detail::append_header(out, name, value);
    const bool wants_length =
        !request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    if (wants_length) out += fmt::format("Content-Length: {}\r\n", request.body.size());
    out += "\r\n";
    out += request.body;
    return out;
  }

  void drop() {
    if (stream) stream->close();
    stream.reset();
    buffer.clear();
  }

  awaitable<Result<>> ensure_connected() {
    if (stream) co_return Result<>{};
    buffer.clear();
    auto connected = co_await connect(options.endpoint, options.tls, options.server_name, options.timeout);
    if (!connected) co_return fail(std::move(connected).error());
    stream = std::move(*connected);
    co_return Result<>{};
  }

  using Answer = std::optional<Result<HttpResponse>>;
  static awaitable<void> run(std::shared_ptr<State> state, HttpRequest request, std::shared_ptr<Answer> answer);
  awaitable<Result<HttpResponse>> send(HttpRequest request);

  /// One request and its response on the connection there is. `answered` tells whether any byte of an answer came.
  awaitable<Result<HttpResponse>> exchange(const Bytes& bytes, bool head, bool& answered) {
    stream->set_deadline(options.timeout);
    CO_TRY(co_await stream->write_all(bytes));
    Parser parser;
    parser.eager(true);
    parser.body_limit(options.max_body_bytes);
    if (head) parser.skip(true);
    bool ended = false;
    while (!parser.is_done()) {
      if (buffer.empty()) {
        const auto read = co_await detail::read_more(*stream, buffer);
        if (!read && read.error().fault == Fault::unavailable && parser.is_header_done()) {
          boost::beast::error_code error;
          parser.put_eof(error);  // a body without length ends with the connection
          ended = true;
          if (!error && parser.is_done()) break;
        }
        if (!read) co_return fail(read.error());
        answered = true;
      }
      if (const auto error = detail::feed(parser, buffer); error)
        co_return fail(error == detail::http::error::body_limit ? Fault::exhausted : Fault::corrupt,
                       fmt::format("{}:{}: answer is not readable as HTTP: {}", host(), options.endpoint.port, error.message()));
      if (!parser.is_done() && !buffer.empty()) CO_TRY(co_await detail::read_more(*stream, buffer));
    }
    auto& message = parser.get();
    HttpResponse response{.status = static_cast<int>(message.result_int()),
                          .headers = detail::take_headers(message),
                          .body = std::move(message.body())};
    if (ended || !message.keep_alive()) drop();
    co_return response;
  }
};

HttpClient::HttpClient(HttpClientOptions options) : state_(std::make_shared<State>()) { state_->options = std::move(options); }
HttpClient::~HttpClient() {
  // The stream is closed where it lives.
  if (!state_ || !state_->strand) return;
  const Executor strand = state_->strand;
  asio::post(strand, [state = std::move(state_)] { state->drop(); });
}
HttpClient::HttpClient(HttpClient&&) noexcept = default;

awaitable<Result<HttpResponse>> HttpClient::State::send(HttpRequest request) {
  const Bytes bytes = print(request);
  const bool head = request.method == "HEAD";
  while (true) {
    const bool kept_alive = stream != nullptr;
    CO_TRY(co_await ensure_connected());
    bool answered = false;
    auto response = co_await exchange(bytes, head, answered);
    if (response) co_return response;
    drop();
    // RFC 9112 section 9.3.1: a kept connection may have been closed under our request; once more on a fresh one.
    const bool again = kept_alive && !answered && response.error().fault == Fault::unavailable;
    if (!again) co_return response;
  }
}

awaitable<void> HttpClient::State::run(std::shared_ptr<State> state, HttpRequest request, std::shared_ptr<Answer> answer) {
  co_await asio::this_coro::throw_if_cancelled(false);
  auto response = co_await state->send(std::move(request));
  answer->emplace(std::move(response));
}

awaitable<Result<HttpResponse>> HttpClient::send(HttpRequest request) {
  const auto state = state_;
  const Executor caller = co_await asio::this_coro::executor;
  if (!state->strand) state->strand = asio::make_strand(caller);
  auto answer = std::make_shared<State::Answer>();
  auto work = State::run(state, std::move(request), answer);
  const auto [failure] = co_await asio::co_spawn(state->strand, std::move(work), as_result);
  if (failure || !*answer) co_return fail(Fault::unavailable, state->host() + ": the request was cancelled");
  co_return std::move(**answer);
}

}  // namespace nacelle::net
