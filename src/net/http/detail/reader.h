#pragma once
// Reading HTTP/1.1 messages off a Stream with Beast's parser. Seen by server.cc and client.cc only: Beast is dear to compile.

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>

#include "net/socket/stream.h"

namespace nacelle::net::detail {

namespace http = boost::beast::http;

/// Feeds `parser` from `buffer`, which keeps what was read beyond what is parsed.
/// True when the parser has made progress to `done`, false when it needs more bytes; an error otherwise.
template <class Parser>
boost::beast::error_code feed(Parser& parser, Bytes& buffer) {
  boost::beast::error_code error;
  std::size_t used = 0;
  while (used < buffer.size() && !parser.is_done()) {
    error = {};
    const std::size_t count = parser.put(boost::asio::buffer(buffer.data() + used, buffer.size() - used), error);
    used += count;
    if (error || count == 0) break;
  }
  buffer.erase(0, used);
  if (error == http::error::need_more) error = {};
  return error;
}

/// One read of the stream onto the end of `buffer`.
inline awaitable<Result<>> read_more(Stream& stream, Bytes& buffer) {
  constexpr std::size_t piece = 16 * 1024;
  const std::size_t before = buffer.size();
  buffer.resize(before + piece);
  const auto count = co_await stream.read_some(buffer.data() + before, piece);
  buffer.resize(before + (count ? *count : 0));
  if (!count) co_return fail(count.error());
  co_return Result<>{};
}

template <class Fields>
Headers take_headers(const Fields& fields) {
  Headers headers;
  for (const auto& field : fields) {
    const std::string_view name(field.name_string().data(), field.name_string().size());
    const std::string_view value(field.value().data(), field.value().size());
    const auto had = headers.get(name);
    headers.set(name, had.empty() ? std::string(value) : std::string(had) + ", " + std::string(value));
  }
  return headers;
}

/// A header value must not end its line: whoever made it from input would let that input write headers.
inline void append_header(Bytes& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  out.append("\r\n");
}

}  // namespace nacelle::net::detail
