#include "domain/device/identity.h"

#include <algorithm>

#include <fmt/format.h>

namespace nacelle::device {
namespace {

constexpr std::size_t max_id_size = 128;
constexpr std::string_view id_specials = "-:.+%_#*?!(),=@$'";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// Wire facts 1.2, and no `.` or `..`: ids become parts of paths.
Result<> check_id(std::string_view text, std::string_view what, std::string_view more_specials) {
  if (text.empty())
    return fail(Fault::invalid_input, fmt::format("{} id: expected 1 to {} characters, found none", what, max_id_size));
  if (text.size() > max_id_size)
    return fail(Fault::invalid_input,
                fmt::format("{} id: expected at most {} characters, found {}", what, max_id_size, text.size()));
  const auto bad = std::find_if(text.begin(), text.end(), [&](char c) {
    return !is_alphanumeric(c) && id_specials.find(c) == std::string_view::npos && more_specials.find(c) == std::string_view::npos;
  });
  if (bad != text.end())
    return fail(Fault::invalid_input,
                fmt::format("{} id: expected ASCII letters, digits and {}{}, found byte 0x{:02x} at {}", what, id_specials,
                            more_specials, static_cast<unsigned char>(*bad), bad - text.begin() + 1));
  if (text == "." || text == "..") return fail(Fault::invalid_input, fmt::format("{} id: '{}' is not one", what, text));
  return {};
}

}  // namespace

std::string IdentityName::client_id() const { return is_module() ? device.str() + '/' + module.str() : device.str(); }

Result<DeviceId> parse_device_id(std::string_view text) {
  TRY(check_id(text, "device", ";"));
  return DeviceId(text);
}

Result<ModuleId> parse_module_id(std::string_view text) {
  TRY(check_id(text, "module", ""));
  return ModuleId(text);
}

Result<IdentityName> parse_client_id(std::string_view client_id) {
  const std::size_t slash = client_id.find('/');
  IdentityName name;
  TRY_LET(name.device, parse_device_id(client_id.substr(0, slash)));
  if (slash == std::string_view::npos) return name;
  TRY_LET(name.module, parse_module_id(client_id.substr(slash + 1)));
  return name;
}

std::string edge_scope(const Identity& edge_device) {
  return fmt::format("ms-azure-iot-edge://{}-{}", edge_device.name.device.str(), edge_device.generation_id);
}

}  // namespace nacelle::device
