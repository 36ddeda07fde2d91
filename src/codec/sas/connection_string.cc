#include "codec/sas/connection_string.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"

namespace nacelle::sas {
namespace {

Failure refuse(std::string_view why) { return fail(Fault::invalid_input, fmt::format("connection string: {}", why)); }

/// A part's name as it may stand in a message: a broken string can have a piece of the key where a name belongs.
std::string shown(std::string_view name) {
  const bool looks_like_a_name = name.size() <= 24 && std::all_of(name.begin(), name.end(), [](char c) {
                                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
                                 });
  return looks_like_a_name ? fmt::format("'{}'", name) : "(not shown)";
}

Result<> check(const ConnectionString& parts) {
  if (parts.host_name.empty()) return refuse("HostName is missing");
  if (parts.is_service() == !parts.device_id.empty())
    return refuse(parts.is_service() ? "has both DeviceId and SharedAccessKeyName" : "DeviceId or SharedAccessKeyName is missing");
  if (!parts.module_id.empty() && parts.device_id.empty()) return refuse("ModuleId needs a DeviceId");
  if (parts.x509 && (parts.is_service() || !parts.shared_access_key.empty()))
    return refuse("x509=true goes with neither a key nor a policy");
  if (!parts.x509 && parts.shared_access_key.empty()) return refuse("SharedAccessKey is missing");
  if (!text::base64_decode(parts.shared_access_key)) return refuse("SharedAccessKey is not base64");
  return {};
}

}  // namespace

Result<ConnectionString> parse_connection_string(std::string_view text) {
  ConnectionString parts;
  std::string x509;
  const std::pair<std::string_view, std::string*> slots[] = {{"HostName", &parts.host_name},
                                                             {"DeviceId", &parts.device_id},
                                                             {"ModuleId", &parts.module_id},
                                                             {"GatewayHostName", &parts.gateway_host_name},
                                                             {"SharedAccessKeyName", &parts.policy_name},
                                                             {"SharedAccessKey", &parts.shared_access_key},
                                                             {"x509", &x509}};
  for (const std::string_view piece : text::split(text::trim(text), ';')) {
    const std::string_view part = text::trim(piece);
    if (part.empty()) continue;  // a final `;` is common
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return refuse("a part has no '='");
    const std::string_view name = part.substr(0, equals);
    const auto slot = std::find_if(std::begin(slots), std::end(slots), [&](const auto& s) { return s.first == name; });
    if (slot == std::end(slots)) return refuse(fmt::format("unknown part {}", shown(name)));
    *slot->second = part.substr(equals + 1);
  }
  if (!x509.empty() && !text::equal_ignoring_case(x509, "true") && !text::equal_ignoring_case(x509, "false"))
    return refuse("x509 is neither true nor false");
  parts.x509 = text::equal_ignoring_case(x509, "true");
  TRY(check(parts));
  return parts;
}

std::string print_connection_string(const ConnectionString& parts) {
  std::string text = "HostName=" + parts.host_name;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) text += fmt::format(";{}={}", name, value);
  };
  add("DeviceId", parts.device_id);
  add("ModuleId", parts.module_id);
  add("SharedAccessKeyName", parts.policy_name);
  add("SharedAccessKey", parts.shared_access_key);
  if (parts.x509) text += ";x509=true";
  add("GatewayHostName", parts.gateway_host_name);
  return text;
}

}  // namespace nacelle::sas
