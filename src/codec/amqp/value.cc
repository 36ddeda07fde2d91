#include "codec/amqp/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "codec/text/encoding.h"

namespace nacelle::amqp {

bool Array::operator==(const Array& other) const { return elements == other.elements; }

bool Described::operator==(const Described& other) const {
  const auto same = [](const auto& a, const auto& b) { return a == b || (a && b && *a == *b); };
  return same(descriptor, other.descriptor) && same(value, other.value);
}

std::string_view Value::text() const {
  if (const auto* string = as<std::string>()) return *string;
  if (const auto* symbol = as<Symbol>()) return symbol->text;
  return {};
}

std::optional<std::int64_t> Value::integer() const {
  if (const auto* number = as<std::int32_t>()) return *number;
  if (const auto* number = as<std::uint32_t>()) return *number;
  if (const auto* number = as<std::int64_t>()) return *number;
  const auto* number = as<std::uint64_t>();
  if (number && *number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return static_cast<std::int64_t>(*number);
  return std::nullopt;
}

const Value* find(const Map& map, std::string_view key) {
  const auto at = std::find_if(map.begin(), map.end(), [key](const Entry& entry) { return entry.key.text() == key; });
  return at == map.end() ? nullptr : &at->value;
}

std::string_view text_at(const Map& map, std::string_view key) {
  const Value* value = find(map, key);
  return value ? value->text() : std::string_view();
}

std::string id_text(const Value& id) {
  if (const auto* uuid = id.as<Uuid>()) {
    const std::string hex = text::hex_encode(BytesView(reinterpret_cast<const char*>(uuid->bytes.data()), uuid->bytes.size()));
    return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4), hex.substr(20));
  }
  if (const auto* binary = id.as<Binary>()) return text::hex_encode(binary->bytes);
  if (const auto* number = id.as<std::uint64_t>()) return std::to_string(*number);
  if (const auto number = id.integer()) return std::to_string(*number);
  return std::string(id.text());
}

}  // namespace nacelle::amqp
