#include <algorithm>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/telemetry/topic.h"

namespace nacelle::telemetry {
namespace {

/// Where the query of a user name starts: at the first segment after the ids that says so. All that follows belongs to
/// it, since some old clients leave slashes in DeviceClientType.
std::size_t find_query(std::string_view text) {
  int segment = 0;
  for (std::size_t start = 0;; ++segment) {
    const std::size_t slash = text.find('/', start);
    const std::string_view part = text.substr(start, slash - start);
    if (segment >= 2 && (part.starts_with('?') || part.find("api-version=") != std::string_view::npos)) return start;
    if (slash == std::string_view::npos) return slash;
    start = slash + 1;
  }
}

/// Known names of the query; of duplicates the first wins, unknown names are passed over (wire facts 1.2).
Result<> read_query(std::string_view query, UserName& name) {
  bool version_seen = false;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view key = part.substr(0, equals);
    std::string* target = key == "api-version"        ? &name.api_version
                          : key == "DeviceClientType" ? &name.client_type
                          : key == "model-id"         ? &name.model_id
                                                      : nullptr;
    version_seen = version_seen || key == "api-version";
    if (!target || !target->empty()) continue;
    const std::string_view raw = part.substr(std::min(equals + 1, part.size()));
    TRY_LET(*target, in(text::percent_decode(raw), fmt::format("user name: value of '{}'", key)));
  }
  if (!version_seen) return fail(Fault::invalid_input, "user name: expected 'api-version=' in its query");
  return {};
}

}  // namespace

Result<UserName> parse_user_name(std::string_view text) {
  const std::size_t at = find_query(text);
  if (at == std::string_view::npos)
    return fail(Fault::invalid_input, "user name: expected '{hub}/{device}[/{module}]/?api-version=...', found no query");
  const std::vector<std::string_view> ids = text::split(text.substr(0, at - 1), '/');
  const bool empty_id = std::any_of(ids.begin(), ids.end(), [](std::string_view id) { return id.empty(); });
  if (ids.size() > 3 || empty_id)
    return fail(Fault::invalid_input,
                fmt::format("user name: expected hub, device and perhaps module before the query, found {} parts{}", ids.size(),
                            empty_id ? ", one of them empty" : ""));
  UserName name;
  name.hub = ids[0];
  name.device_id = ids[1];
  if (ids.size() == 3) name.module_id = ids[2];
  std::string_view query = text.substr(at);
  if (query.starts_with('?')) query.remove_prefix(1);
  TRY(read_query(query, name));
  return name;
}

std::string print_user_name(const UserName& name) {
  std::string text = fmt::format("{}/{}/", name.hub, name.device_id);
  if (!name.module_id.empty()) text += name.module_id + '/';
  text += fmt::format("?api-version={}", name.api_version.empty() ? "2021-04-12" : name.api_version);
  // The Node SDK's order, and like it the model id is not encoded.
  if (!name.model_id.empty()) text += "&model-id=" + name.model_id;
  if (!name.client_type.empty()) text += "&DeviceClientType=" + text::percent_encode(name.client_type);
  return text;
}

}  // namespace nacelle::telemetry
