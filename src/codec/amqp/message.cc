#include "codec/amqp/message.h"

#include <fmt/format.h>

namespace nacelle::amqp {
namespace {

enum Section : std::uint64_t {
  header = 0x70,
  delivery_annotations,
  message_annotations,
  properties,
  application_properties,
  data,
  sequence,
  value,
  footer,
};

constexpr std::pair<std::string_view, Section> symbols[] = {{"amqp:header:list", header},
                                                            {"amqp:delivery-annotations:map", delivery_annotations},
                                                            {"amqp:message-annotations:map", message_annotations},
                                                            {"amqp:properties:list", properties},
                                                            {"amqp:application-properties:map", application_properties},
                                                            {"amqp:data:binary", data},
                                                            {"amqp:amqp-sequence:list", sequence},
                                                            {"amqp:amqp-value:*", value},
                                                            {"amqp:footer:map", footer}};

Failure wrong(std::string_view section, std::string_view expected) {
  return fail(Fault::invalid_input, fmt::format("AMQP message: {}: expected {}", section, expected));
}

Result<Section> section_of(const Value& descriptor) {
  if (const auto* number = descriptor.as<std::uint64_t>(); number && *number >= header && *number <= footer)
    return static_cast<Section>(*number);
  for (const auto& [name, section] : symbols)
    if (const auto* symbol = descriptor.as<Symbol>(); symbol && symbol->text == name) return section;
  return fail(Fault::invalid_input, "AMQP message: a section with an unknown descriptor");
}

Result<Map> map_of(const Value& content, std::string_view section) {
  if (content.is_null()) return Map();
  const Map* map = content.as<Map>();
  if (!map) return wrong(section, "a map");
  return *map;
}

Result<> read_text(const List& list, std::size_t at, std::string_view name, std::string& into) {
  if (at >= list.size() || list[at].is_null()) return {};
  if (!list[at].as<std::string>() && !list[at].as<Symbol>()) return wrong("properties", fmt::format("text as {}", name));
  into = list[at].text();
  return {};
}

Result<> read_instant(const List& list, std::size_t at, std::string_view name, std::optional<Instant>& into) {
  if (at >= list.size() || list[at].is_null()) return {};
  const auto* instant = list[at].as<Instant>();
  if (!instant) return wrong("properties", fmt::format("a timestamp as {}", name));
  into = *instant;
  return {};
}

Result<Value> read_id(const List& list, std::size_t at, std::string_view name) {
  if (at >= list.size() || list[at].is_null()) return Value();
  const Value& id = list[at];
  if (!id.as<std::uint64_t>() && !id.as<Uuid>() && !id.as<Binary>() && !id.as<std::string>())
    return wrong("properties", fmt::format("text, bytes, a ulong or a UUID as {}", name));
  return id;
}

/// Section 3.2.4.
Result<> read_properties(const Value& content, Message& message) {
  const List* list = content.as<List>();
  if (!list) return wrong("properties", "a list");
  TRY_LET(message.message_id, read_id(*list, 0, "message-id"));
  if (list->size() > 1 && !(*list)[1].is_null()) {
    const auto* user = (*list)[1].as<Binary>();
    if (!user) return wrong("properties", "bytes as user-id");
    message.user_id = user->bytes;
  }
  TRY(read_text(*list, 2, "to", message.to));
  TRY(read_text(*list, 3, "subject", message.subject));
  TRY(read_text(*list, 4, "reply-to", message.reply_to));
  TRY_LET(message.correlation_id, read_id(*list, 5, "correlation-id"));
  TRY(read_text(*list, 6, "content-type", message.content_type));
  TRY(read_text(*list, 7, "content-encoding", message.content_encoding));
  TRY(read_instant(*list, 8, "absolute-expiry-time", message.absolute_expiry));
  return read_instant(*list, 9, "creation-time", message.creation);
}

Value text_value(const std::string& text) { return text.empty() ? Value() : Value(text); }
Value symbol_value(const std::string& text) { return text.empty() ? Value() : Value(Symbol{text}); }

List properties_of(const Message& message) {
  List list{message.message_id,
            message.user_id.empty() ? Value() : Value(Binary{message.user_id}),
            text_value(message.to),
            text_value(message.subject),
            text_value(message.reply_to),
            message.correlation_id,
            symbol_value(message.content_type),
            symbol_value(message.content_encoding),
            message.absolute_expiry ? Value(*message.absolute_expiry) : Value(),
            message.creation ? Value(*message.creation) : Value()};
  while (!list.empty() && list.back().is_null()) list.pop_back();
  return list;
}

void put_section(Bytes& out, Section section, const Value& content) {
  out += '\0';
  encode(out, Value(std::uint64_t{section}));
  encode(out, content);
}

}  // namespace

Result<Message> decode_message(BytesView bytes) {
  Message message;
  List sequences;
  while (!bytes.empty()) {
    TRY_LET(const Value read, in(decode(bytes), "AMQP message"));
    const auto* described = read.as<Described>();
    if (!described) return fail(Fault::invalid_input, "AMQP message: expected a section");
    TRY_LET(const Section section, section_of(*described->descriptor));
    const Value& content = *described->value;
    switch (section) {
      case message_annotations: {
        TRY_LET(message.annotations, map_of(content, "message-annotations"));
        break;
      }
      case properties: TRY(read_properties(content, message)); break;
      case application_properties: {
        TRY_LET(message.application, map_of(content, "application-properties"));
        break;
      }
      case Section::data: {
        const auto* binary = content.as<Binary>();
        if (!binary) return wrong("data", "bytes");
        message.data += binary->bytes;
        break;
      }
      case sequence: {
        const auto* list = content.as<List>();
        if (!list) return wrong("amqp-sequence", "a list");
        sequences.insert(sequences.end(), list->begin(), list->end());
        message.value = sequences;
        break;
      }
      case Section::value: message.value = content; break;
      case header:
      case delivery_annotations:
      case footer: break;
    }
  }
  if (!message.value.is_null() && !message.data.empty())
    return fail(Fault::invalid_input, "AMQP message: a body of data and of something else");
  return message;
}

Bytes encode_message(const Message& message) {
  Bytes out;
  if (!message.annotations.empty()) put_section(out, message_annotations, message.annotations);
  if (const List list = properties_of(message); !list.empty()) put_section(out, properties, list);
  if (!message.application.empty()) put_section(out, application_properties, message.application);
  if (!message.value.is_null())
    put_section(out, Section::value, message.value);
  else
    put_section(out, Section::data, Binary{message.data});
  return out;
}

}  // namespace nacelle::amqp
