#include <algorithm>

#include "codec/text/encoding.h"
#include "domain/telemetry/message.h"

namespace nacelle::telemetry {
namespace {

auto locate(auto& entries, std::string_view name) {
  return std::find_if(entries.begin(), entries.end(), [name](const Properties::Entry& entry) {
    return entry.first.size() == name.size() && text::equal_ignoring_case(entry.first, name);
  });
}

}  // namespace

const std::string* Properties::find(std::string_view name) const {
  const auto at = locate(entries_, name);
  return at == entries_.end() ? nullptr : &at->second;
}

std::string_view Properties::get(std::string_view name) const {
  const std::string* value = find(name);
  return value ? std::string_view(*value) : std::string_view();
}

void Properties::set(std::string_view name, std::string_view value) {
  const auto at = locate(entries_, name);
  if (at != entries_.end())
    at->second = value;
  else
    entries_.emplace_back(name, value);
}

bool Properties::erase(std::string_view name) {
  const auto at = locate(entries_, name);
  if (at == entries_.end()) return false;
  entries_.erase(at);
  return true;
}

ByteCount Message::size_in_bytes() const {
  ByteCount total = body.size();
  for (const auto& [name, value] : system) total += name.size() + value.size();
  for (const auto& [name, value] : application) total += name.size() + value.size();
  return total;
}

}  // namespace nacelle::telemetry
