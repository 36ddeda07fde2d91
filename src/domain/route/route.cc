// Sources, sinks and whole routes.
#include "domain/route/route.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "codec/text/nearest.h"
#include "domain/route/detail/compiler.h"

namespace nacelle::route {
namespace {

using telemetry::Source;

/// Matches a message's own source string piece by piece against a prefix, without building it.
class PrefixMatch {
 public:
  explicit PrefixMatch(std::string_view prefix) : rest_(prefix) {}
  PrefixMatch& then(std::string_view piece) {
    const std::size_t size = std::min(piece.size(), rest_.size());
    if (!text::equal_ignoring_case(piece.substr(0, size), rest_.substr(0, size))) failed_ = true;
    rest_.remove_prefix(size);
    return *this;
  }
  bool matched() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

std::string_view root_of(Source source) {
  switch (source) {
    case Source::device_messages:
    case Source::module_messages: return "/messages/";
    case Source::twin_changes: return "/twinChangeNotifications/";
    case Source::device_lifecycle: return "/deviceLifecycleEvents/";
    case Source::connection_state: return "/deviceConnectionStateEvents/";
  }
  return "/messages/";
}

struct HubName {
  std::string_view name;
  std::string_view path;
};
constexpr HubName hub_names[] = {{"DeviceMessages", "/messages/"},
                                 {"TwinChangeEvents", "/twinChangeNotifications/"},
                                 {"DeviceLifecycleEvents", "/deviceLifecycleEvents/"},
                                 {"DeviceConnectionStateEvents", "/deviceConnectionStateEvents/"}};

Failure bad_source(std::string_view text, std::string_view why) {
  return fail(Fault::invalid_input, fmt::format("route source '{}': {}", text, why));
}

/// A path no message can come from is a typing mistake.
Result<> check_source(std::string_view text, std::string_view prefix) {
  constexpr auto roots = std::to_array<std::string_view>(
      {"messages", "twinChangeNotifications", "deviceLifecycleEvents", "deviceConnectionStateEvents"});
  std::vector<std::string_view> parts = text::split(prefix.substr(1), '/');
  parts.pop_back();  // behind the final slash
  if (parts.empty()) return {};
  const auto is = [&parts](std::size_t i, std::string_view word) { return text::equal_ignoring_case(parts[i], word); };
  if (std::any_of(parts.begin(), parts.end(),
                  [](std::string_view part) { return part.empty() || part.find('*') != std::string_view::npos; }))
    return bad_source(text, "expected a name between slashes; '*' stands at the end only");
  if (std::none_of(roots.begin(), roots.end(), [&](std::string_view root) { return is(0, root); })) {
    const std::string_view near = text::nearest(parts[0], roots);
    return bad_source(
        text, near.empty() ? "expected /*, /messages/*, /messages/modules/{module}/outputs/{output} or /twinChangeNotifications"
                           : fmt::format("did you mean /{}?", near));
  }
  const bool messages = is(0, "messages");
  if ((messages && parts.size() > 1 && !is(1, "modules")) || (parts.size() > 3 && !is(3, "outputs")) || parts.size() > 5 ||
      (!messages && parts.size() > 1))
    return bad_source(text, "expected /messages/modules/{module}/outputs/{output} or a beginning of it");
  return {};
}

Result<Sink> parse_module_sink(TokenStream& tokens) {
  const std::size_t at = tokens.current().at;
  constexpr std::string_view form = "BrokeredEndpoint(\"/modules/{module}/inputs/{input}\")";
  TRY(tokens.advance());
  if (tokens.current().kind != TokenKind::open) return tokens.unexpected("'(' after BrokeredEndpoint");
  TRY(tokens.advance());
  if (tokens.current().kind != TokenKind::string) return tokens.unexpected("a text such as \"/modules/{module}/inputs/{input}\"");
  const std::string path = tokens.current().text;
  TRY(tokens.advance());
  if (tokens.current().kind != TokenKind::close) return tokens.unexpected("')'");
  TRY(tokens.advance());
  const auto parts = text::split(text::trim(path), '/');
  const bool good = parts.size() == 5 && parts[0].empty() && text::equal_ignoring_case(parts[1], "modules") && !parts[2].empty() &&
                    text::equal_ignoring_case(parts[3], "inputs") && !parts[4].empty();
  if (!good) return tokens.complain(at, fmt::format("expected {}, found the path '{}'", form, path));
  return Sink{false, std::string(parts[2]), std::string(parts[4])};
}

Result<Sink> parse_sink(TokenStream& tokens) {
  const Token& token = tokens.current();
  if (token.kind == TokenKind::system_name && text::equal_ignoring_case(token.text, "$upstream")) {
    TRY(tokens.advance());
    return Sink{true, {}, {}};
  }
  if (tokens.at_keyword("BrokeredEndpoint")) return parse_module_sink(tokens);
  return tokens.unexpected("$upstream or BrokeredEndpoint(\"/modules/{module}/inputs/{input}\")");
}

Result<> expect_keyword(TokenStream& tokens, std::string_view keyword, std::string_view expected) {
  if (!tokens.at_keyword(keyword)) return tokens.unexpected(expected);
  return {};
}

}  // namespace

bool SourcePattern::matches(const telemetry::Message& message) const {
  PrefixMatch match(prefix_);
  match.then(root_of(message.source));
  if (message.source == Source::module_messages) {
    match.then("modules/").then(message.module_id()).then("/");
    if (!message.output().empty()) match.then("outputs/").then(message.output()).then("/");
  }
  return match.matched();
}

Result<SourcePattern> parse_source(std::string_view text) {
  text = text::trim(text);
  SourcePattern pattern;
  pattern.text_ = text;
  for (const HubName& hub : hub_names) {
    if (!text::equal_ignoring_case(hub.name, text)) continue;
    pattern.prefix_ = hub.path;
    return pattern;
  }
  if (!text.starts_with('/')) return bad_source(text, "expected a path that begins with '/'");
  std::string_view trimmed = text;
  while (trimmed.ends_with('*') || trimmed.ends_with('/')) trimmed.remove_suffix(1);
  pattern.prefix_ = std::string(trimmed) + '/';
  TRY(check_source(text, pattern.prefix_));
  return pattern;
}

Result<Route> parse_route(std::string_view text) {
  TokenStream tokens(text, "route");
  TRY(tokens.advance());
  if (tokens.at_keyword("SELECT")) {
    TRY(tokens.advance());
    if (!tokens.at_op("*")) return tokens.unexpected("'*' after SELECT");
    TRY(tokens.advance());
  }
  TRY(expect_keyword(tokens, "FROM", "FROM"));
  TRY(tokens.advance_word());
  if (tokens.current().kind == TokenKind::end) return tokens.unexpected("a source such as /messages/*");
  Route route;
  auto source = parse_source(tokens.current().text);
  if (!source) return tokens.complain(tokens.current().at, source.error().message);
  route.source = *std::move(source);
  TRY(tokens.advance());
  if (tokens.at_keyword("WHERE")) {
    TRY(tokens.advance());
    TRY_LET(route.condition, Compiler::compile(tokens));
    TRY(expect_keyword(tokens, "INTO", "an operator or INTO"));
  }
  TRY(expect_keyword(tokens, "INTO", "WHERE or INTO"));
  TRY(tokens.advance());
  TRY_LET(route.sink, parse_sink(tokens));
  if (tokens.current().kind != TokenKind::end) return tokens.unexpected("the end of the route");
  return route;
}

}  // namespace nacelle::route
