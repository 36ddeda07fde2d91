// Shared access policies: names and rights as text, and keys that change (wire facts 2.12).
#include <algorithm>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/device/identity.h"

namespace nacelle::device {
namespace {

constexpr std::size_t longest_policy_name = 64;

struct RightName {
  std::string_view name;
  bool Rights::*flag;
};
constexpr RightName right_names[] = {{"RegistryRead", &Rights::registry_read},
                                     {"RegistryWrite", &Rights::registry_write},
                                     {"ServiceConnect", &Rights::service_connect},
                                     {"DeviceConnect", &Rights::device_connect},
                                     {"EnrollmentRead", &Rights::enrollment_read},
                                     {"EnrollmentWrite", &Rights::enrollment_write},
                                     {"RegistrationStatusRead", &Rights::registration_read},
                                     {"RegistrationStatusWrite", &Rights::registration_write}};

std::string every_right() {
  std::string names;
  for (const auto& right : right_names) names += (names.empty() ? "" : ", ") + std::string(right.name);
  return names;
}

}  // namespace

Rights all_rights() {
  Rights rights;
  for (const auto& right : right_names) rights.*right.flag = true;
  return rights;
}

json::Value rights_json(const Rights& rights) {
  json::Array list;
  for (const auto& right : right_names)
    if (rights.*right.flag) list.emplace_back(right.name);
  return list;
}

Result<Rights> parse_rights(const json::Value& list, std::string_view where) {
  if (!list.is_array())
    return fail(Fault::invalid_input, fmt::format("{}: expected an array of rights, found {}", where, json::type_name(list)));
  Rights rights;
  for (const json::Value& one : list.as_array()) {
    if (!one.is_string())
      return fail(Fault::invalid_input, fmt::format("{}: expected a right's name, found {}", where, json::type_name(one)));
    const auto known = std::find_if(std::begin(right_names), std::end(right_names),
                                    [&](const auto& right) { return text::equal_ignoring_case(right.name, one.as_string()); });
    if (known == std::end(right_names))
      return fail(Fault::invalid_input,
                  fmt::format("{}: expected some of {}, found '{}'", where, every_right(), one.as_string().substr(0, 64)));
    rights.*known->flag = true;
  }
  rights.registry_read = rights.registry_read || rights.registry_write;
  rights.enrollment_read = rights.enrollment_read || rights.enrollment_write;
  rights.registration_read = rights.registration_read || rights.registration_write;
  return rights;
}

Result<> check_policy_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= longest_policy_name && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
  if (good) return {};
  return fail(Fault::invalid_input,
              fmt::format("policy name: expected 1 to {} of letters, digits, '-', '.' and '_'", longest_policy_name));
}

Result<KeyChange> parse_key_change(std::string_view text) {
  if (text == "primary") return KeyChange::primary;
  if (text == "secondary") return KeyChange::secondary;
  if (text == "swap") return KeyChange::swap;
  return fail(Fault::invalid_input, fmt::format("key: expected primary, secondary or swap, found '{}'", text.substr(0, 64)));
}

void change_keys(KeyChange change, std::string& primary, std::string& secondary) {
  switch (change) {
    case KeyChange::primary: primary = sas::random_key(); return;
    case KeyChange::secondary: secondary = sas::random_key(); return;
    case KeyChange::swap: std::swap(primary, secondary); return;
  }
}

}  // namespace nacelle::device
