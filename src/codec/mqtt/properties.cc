// MQTT 5.0 section 2.2.2.2, table 2-4, as a table: each property with its identifier, type, places and range.

#include <algorithm>
#include <array>
#include <limits>
#include <variant>

#include "codec/mqtt/detail/property_codec.h"

namespace nacelle::mqtt {
namespace {

constexpr std::uint32_t in_place(std::uint8_t place) { return 1u << place; }
template <class... Places>
constexpr std::uint32_t in(Places... places) {
  return (in_place(static_cast<std::uint8_t>(places)) | ...);
}

using Byte = std::optional<std::uint8_t> Properties::*;
using Number = std::optional<std::uint16_t> Properties::*;
using LongNumber = std::optional<std::uint32_t> Properties::*;
/// Text and bytes are one C++ type, so the wish for UTF-8 is said.
struct Text {
  std::optional<std::string> Properties::*field;
  bool utf8;
};
struct SubscriptionIds {};
struct UserProperties {};
using Field = std::variant<Byte, Number, LongNumber, Text, SubscriptionIds, UserProperties>;

struct Rule {
  std::uint8_t id;
  std::string_view name;
  std::uint32_t places;
  Field field;
  std::uint32_t least = 0;
  std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
};

constexpr std::uint32_t with_user_properties = in(will_place, connect, connack, publish, puback, pubrec, pubrel, pubcomp, subscribe,
                                                  suback, unsubscribe, unsuback, disconnect, auth);
constexpr std::uint32_t with_reason_string = in(connack, puback, pubrec, pubrel, pubcomp, suback, unsuback, disconnect, auth);

const auto rules = std::to_array<Rule>({
    {0x01, "payload format", in(publish, will_place), &Properties::payload_format, 0, 1},
    {0x02, "message expiry", in(publish, will_place), &Properties::message_expiry},
    {0x03, "content type", in(publish, will_place), Text{&Properties::content_type, true}},
    {0x08, "response topic", in(publish, will_place), Text{&Properties::response_topic, true}},
    {0x09, "correlation data", in(publish, will_place), Text{&Properties::correlation_data, false}},
    {0x0b, "subscription identifier", in(publish, subscribe), SubscriptionIds{}, 1},
    {0x11, "session expiry", in(connect, connack, disconnect), &Properties::session_expiry},
    {0x12, "assigned client identifier", in(connack), Text{&Properties::assigned_client_id, true}},
    {0x13, "server keep alive", in(connack), &Properties::server_keep_alive},
    {0x15, "authentication method", in(connect, connack, auth), Text{&Properties::authentication_method, true}},
    {0x16, "authentication data", in(connect, connack, auth), Text{&Properties::authentication_data, false}},
    {0x17, "request problem information", in(connect), &Properties::request_problem_information, 0, 1},
    {0x18, "will delay", in(will_place), &Properties::will_delay},
    {0x19, "request response information", in(connect), &Properties::request_response_information, 0, 1},
    {0x1a, "response information", in(connack), Text{&Properties::response_information, true}},
    {0x1c, "server reference", in(connack, disconnect), Text{&Properties::server_reference, true}},
    {0x1f, "reason string", with_reason_string, Text{&Properties::reason_string, true}},
    {0x21, "receive maximum", in(connect, connack), &Properties::receive_maximum, 1},
    {0x22, "topic alias maximum", in(connect, connack), &Properties::topic_alias_maximum},
    {0x23, "topic alias", in(publish), &Properties::topic_alias, 1},
    {0x24, "maximum QoS", in(connack), &Properties::maximum_qos, 0, 1},
    {0x25, "retain available", in(connack), &Properties::retain_available, 0, 1},
    {0x26, "user property", with_user_properties, UserProperties{}},
    {0x27, "maximum packet size", in(connect, connack), &Properties::maximum_packet_size, 1},
    {0x28, "wildcard subscriptions available", in(connack), &Properties::wildcard_subscriptions_available, 0, 1},
    {0x29, "subscription identifiers available", in(connack), &Properties::subscription_ids_available, 0, 1},
    {0x2a, "shared subscriptions available", in(connack), &Properties::shared_subscriptions_available, 0, 1},
});

constexpr std::uint8_t topic_alias_id = 0x23;

const Rule* rule_of(std::uint32_t id) {
  const auto at = std::find_if(rules.begin(), rules.end(), [id](const Rule& rule) { return rule.id == id; });
  return at == rules.end() ? nullptr : &*at;
}

/// Reads one property into its field.
class PropertyReader {
 public:
  PropertyReader(Fields& fields, const Rule& rule, std::uint8_t place, Properties& into)
      : fields_(fields), rule_(rule), place_(place), into_(into) {}

  Result<> operator()(Byte field) {
    TRY(once((into_.*field).has_value()));
    TRY_LET(const std::uint8_t value, fields_.byte(rule_.name));
    TRY(in_range(value));
    into_.*field = value;
    return {};
  }
  Result<> operator()(Number field) {
    TRY(once((into_.*field).has_value()));
    TRY_LET(const std::uint16_t value, fields_.number(rule_.name));
    TRY(in_range(value));
    into_.*field = value;
    return {};
  }
  Result<> operator()(LongNumber field) {
    TRY(once((into_.*field).has_value()));
    TRY_LET(const std::uint32_t value, fields_.long_number(rule_.name));
    TRY(in_range(value));
    into_.*field = value;
    return {};
  }
  Result<> operator()(const Text& text) {
    TRY(once((into_.*text.field).has_value()));
    const auto value = text.utf8 ? fields_.text(rule_.name) : fields_.binary(rule_.name);
    if (!value) return fail(value.error());
    into_.*text.field = std::string(*value);
    return {};
  }
  Result<> operator()(SubscriptionIds) {
    // One to subscribe with; a message may match several subscriptions.
    if (place_ == subscribe) TRY(once(!into_.subscription_ids.empty()));
    TRY_LET(const std::uint32_t value, fields_.varint(rule_.name));
    TRY(in_range(value));
    into_.subscription_ids.push_back(value);
    return {};
  }
  Result<> operator()(UserProperties) {
    if (into_.user.size() >= max_user_properties)
      return fields_.refuse(rule_.name, "there are more of them than this server takes", Reason::implementation_specific_error);
    TRY_LET(const std::string_view name, fields_.text(rule_.name));
    TRY_LET(const std::string_view value, fields_.text(rule_.name));
    into_.user.emplace_back(name, value);
    return {};
  }

 private:
  Result<> once(bool there_already) const {
    if (there_already) return fields_.refuse(rule_.name, "stands there twice", Reason::protocol_error);
    return {};
  }
  Result<> in_range(std::uint32_t value) const {
    if (value >= rule_.least && value <= rule_.most) return {};
    return fields_.refuse(rule_.name, fmt::format("{} is out of its range", value),
                          rule_.id == topic_alias_id ? Reason::topic_alias_invalid : Reason::protocol_error);
  }

  Fields& fields_;
  const Rule& rule_;
  const std::uint8_t place_;
  Properties& into_;
};

/// Rules that need more than one property.
Result<> check_together(const Fields& fields, const Properties& properties) {
  if (properties.authentication_data && !properties.authentication_method)
    return fields.refuse("authentication data", "stands without a method", Reason::protocol_error);
  // [MQTT-3.3.2-14]; and as any topic, not empty.
  if (properties.response_topic && !valid_topic_name(*properties.response_topic))
    return fields.refuse("response topic", "is not a topic name", Reason::protocol_error);
  return {};
}

void put_number(Bytes& out, std::uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

void put_text(Bytes& out, std::string_view text) {
  INVARIANT(text.size() <= max_text_bytes, "the caller checks the length of texts");
  put_number(out, static_cast<std::uint16_t>(text.size()));
  out += text;
}

/// Appends the properties to `out`.
struct PropertyWriter {
  Bytes& out;
  const Rule& rule;
  const Properties& from;

  void id() const { out += static_cast<char>(rule.id); }
  void operator()(Byte field) const {
    if (!(from.*field)) return;
    id();
    out += static_cast<char>(*(from.*field));
  }
  void operator()(Number field) const {
    if (!(from.*field)) return;
    id();
    put_number(out, *(from.*field));
  }
  void operator()(LongNumber field) const {
    if (!(from.*field)) return;
    id();
    put_number(out, static_cast<std::uint16_t>(*(from.*field) >> 16));
    put_number(out, static_cast<std::uint16_t>(*(from.*field) & 0xffff));
  }
  void operator()(const Text& text) const {
    if (!(from.*text.field)) return;
    id();
    put_text(out, *(from.*text.field));
  }
  void operator()(SubscriptionIds) const {
    for (const std::uint32_t value : from.subscription_ids) {
      id();
      put_varint(out, value);
    }
  }
  void operator()(UserProperties) const {
    for (const auto& [name, value] : from.user) {
      id();
      put_text(out, name);
      put_text(out, value);
    }
  }
};

/// The bytes that PropertyWriter writes.
struct PropertySize {
  const Properties& from;

  std::size_t operator()(Byte field) const { return from.*field ? 2 : 0; }
  std::size_t operator()(Number field) const { return from.*field ? 3 : 0; }
  std::size_t operator()(LongNumber field) const { return from.*field ? 5 : 0; }
  std::size_t operator()(const Text& text) const { return from.*text.field ? 3 + (from.*text.field)->size() : 0; }
  std::size_t operator()(SubscriptionIds) const {
    std::size_t size = 0;
    for (const std::uint32_t value : from.subscription_ids) size += 1 + varint_size(value);
    return size;
  }
  std::size_t operator()(UserProperties) const {
    std::size_t size = 0;
    for (const auto& [name, value] : from.user) size += 5 + name.size() + value.size();
    return size;
  }
};

std::size_t inner_size(const Properties& properties) {
  std::size_t size = 0;
  for (const Rule& rule : rules) size += std::visit(PropertySize{properties}, rule.field);
  return size;
}

}  // namespace

Result<PropertiesPtr> read_properties(Fields& fields, std::uint8_t place) {
  TRY_LET(const std::uint32_t size, fields.varint("properties"));
  TRY_LET(const BytesView bytes, fields.take("properties", size));
  if (bytes.empty()) return PropertiesPtr{};
  Fields inside = fields.part(bytes);
  auto properties = std::make_shared<Properties>();
  while (!inside.at_end()) {
    TRY_LET(const std::uint32_t id, inside.varint("property identifier"));
    const Rule* rule = rule_of(id);
    if (rule == nullptr) return fields.refuse("property identifier", fmt::format("{} is none", id));
    if ((rule->places & in_place(place)) == 0) return fields.refuse(rule->name, "may not stand in this packet");
    TRY(std::visit(PropertyReader(inside, *rule, place, *properties), rule->field));
  }
  TRY(check_together(fields, *properties));
  return PropertiesPtr(std::move(properties));
}

std::size_t properties_size(const PropertiesPtr& properties) {
  const std::size_t inner = properties ? inner_size(*properties) : 0;
  return inner + varint_size(static_cast<std::uint32_t>(inner));
}

void put_properties(Bytes& out, const PropertiesPtr& properties) {
  if (!properties) return put_varint(out, 0);
  put_varint(out, static_cast<std::uint32_t>(inner_size(*properties)));
  for (const Rule& rule : rules) std::visit(PropertyWriter{out, rule, *properties}, rule.field);
}

std::size_t varint_size(std::uint32_t value) { return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4; }

void put_varint(Bytes& out, std::uint32_t value) {
  INVARIANT(value <= max_varint, "the caller checks the size of packets");
  do {
    const auto low = static_cast<char>(value & 0x7f);
    value >>= 7;
    out += value ? static_cast<char>(low | 0x80) : low;
  } while (value);
}

}  // namespace nacelle::mqtt
