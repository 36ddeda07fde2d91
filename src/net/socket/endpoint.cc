#include <fmt/format.h>
#include <charconv>

#include "net/socket/stream.h"

namespace nacelle::net {
namespace {

Result<std::uint16_t> parse_port(std::string_view digits, std::string_view whole) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size())
    return fail(Fault::invalid_input, fmt::format("address '{}': expected a port from 0 to 65535, found '{}'", whole, digits));
  return port;
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port) {
  const auto refuse = [&] {
    return fail(Fault::invalid_input, fmt::format("expected host:port, [::1]:port or unix:///path, found '{}'", text));
  };
  Endpoint endpoint;
  endpoint.port = default_port;
  constexpr std::string_view unix_scheme = "unix://";
  if (text.starts_with(unix_scheme)) {
    endpoint.unix_path = text.substr(unix_scheme.size());
    if (!endpoint.unix_path.starts_with('/')) return refuse();
    return endpoint;
  }
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return refuse();
    endpoint.host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return refuse();
  } else {
    const auto colon = text.find(':');
    endpoint.host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (endpoint.host.empty()) return refuse();
  if (!rest.empty()) {
    TRY_LET(endpoint.port, parse_port(rest.substr(1), text));
  }
  return endpoint;
}

}  // namespace nacelle::net
