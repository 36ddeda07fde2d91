#include "codec/amqp/frame.h"

#include <fmt/format.h>

#include <algorithm>

namespace nacelle::amqp {
namespace {

constexpr std::string_view magic = "AMQP";
constexpr std::size_t frame_header_bytes = 8;

enum class Type { ubyte, ushort, uint, ulong, boolean, string, symbol, symbols, binary, map, composite, any };

struct Field {
  std::string_view name;
  Type type = Type::any;
  bool required = false;
};

struct Performative {
  std::uint64_t code = 0;
  std::string_view name;
  std::vector<Field> fields;
  bool sasl = false;
  bool with_payload = false;
};

/// Part 2, section 2.7, and part 5, section 5.3.3.
const std::vector<Performative>& performatives() {
  using enum Type;
  static const std::vector<Performative> all{
      {0x10,
       "open",
       {{"container-id", string, true},
        {"hostname", string},
        {"max-frame-size", uint},
        {"channel-max", ushort},
        {"idle-time-out", uint},
        {"outgoing-locales", symbols},
        {"incoming-locales", symbols},
        {"offered-capabilities", symbols},
        {"desired-capabilities", symbols},
        {"properties", map}}},
      {0x11,
       "begin",
       {{"remote-channel", ushort},
        {"next-outgoing-id", uint, true},
        {"incoming-window", uint, true},
        {"outgoing-window", uint, true},
        {"handle-max", uint},
        {"offered-capabilities", symbols},
        {"desired-capabilities", symbols},
        {"properties", map}}},
      {0x12,
       "attach",
       {{"name", string, true},
        {"handle", uint, true},
        {"role", boolean, true},
        {"snd-settle-mode", ubyte},
        {"rcv-settle-mode", ubyte},
        {"source", composite},
        {"target", composite},
        {"unsettled", map},
        {"incomplete-unsettled", boolean},
        {"initial-delivery-count", uint},
        {"max-message-size", ulong},
        {"offered-capabilities", symbols},
        {"desired-capabilities", symbols},
        {"properties", map}}},
      {0x13,
       "flow",
       {{"next-incoming-id", uint},
        {"incoming-window", uint, true},
        {"next-outgoing-id", uint, true},
        {"outgoing-window", uint, true},
        {"handle", uint},
        {"delivery-count", uint},
        {"link-credit", uint},
        {"available", uint},
        {"drain", boolean},
        {"echo", boolean},
        {"properties", map}}},
      {0x14,
       "transfer",
       {{"handle", uint, true},
        {"delivery-id", uint},
        {"delivery-tag", binary},
        {"message-format", uint},
        {"settled", boolean},
        {"more", boolean},
        {"rcv-settle-mode", ubyte},
        {"state", composite},
        {"resume", boolean},
        {"aborted", boolean},
        {"batchable", boolean}},
       false,
       true},
      {0x15,
       "disposition",
       {{"role", boolean, true},
        {"first", uint, true},
        {"last", uint},
        {"settled", boolean},
        {"state", composite},
        {"batchable", boolean}}},
      {0x16, "detach", {{"handle", uint, true}, {"closed", boolean}, {"error", composite}}},
      {0x17, "end", {{"error", composite}}},
      {0x18, "close", {{"error", composite}}},
      {0x40, "sasl-mechanisms", {{"sasl-server-mechanisms", symbols, true}}, true},
      {0x41, "sasl-init", {{"mechanism", symbol, true}, {"initial-response", binary}, {"hostname", string}}, true},
      {0x42, "sasl-challenge", {{"challenge", binary, true}}, true},
      {0x43, "sasl-response", {{"response", binary, true}}, true},
      {0x44, "sasl-outcome", {{"code", ubyte, true}, {"additional-data", binary}}, true},
  };
  return all;
}

bool is_natural(const Value& value, std::uint32_t most) {
  const auto* number = value.as<std::uint32_t>();
  return number && *number <= most;
}

bool has_type(const Value& value, Type type) {
  switch (type) {
    case Type::ubyte: return is_natural(value, 0xff);
    case Type::ushort: return is_natural(value, 0xffff);
    case Type::uint: return is_natural(value, 0xffff'ffff);
    case Type::ulong: return value.as<std::uint64_t>();
    case Type::boolean: return value.as<bool>();
    case Type::string: return value.as<std::string>();
    case Type::symbol: return value.as<Symbol>();
    case Type::symbols: return value.as<Symbol>() || value.as<Array>();
    case Type::binary: return value.as<Binary>();
    case Type::map: return value.as<Map>();
    case Type::composite: {
      const auto* described = value.as<Described>();
      return described && described->descriptor->as<std::uint64_t>() && described->value->as<List>();
    }
    case Type::any: return true;
  }
  return false;
}

Result<> check_fields(const Performative& performative, const List& list) {
  const auto& fields = performative.fields;
  if (list.size() > fields.size())
    return fail(Fault::invalid_input,
                fmt::format("AMQP {}: {} fields, it has at most {}", performative.name, list.size(), fields.size()));
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const bool there = i < list.size() && !list[i].is_null();
    if (!there && fields[i].required)
      return fail(Fault::invalid_input, fmt::format("AMQP {}: {} is missing", performative.name, fields[i].name));
    if (there && !has_type(list[i], fields[i].type))
      return fail(Fault::invalid_input, fmt::format("AMQP {}: {} is of the wrong type", performative.name, fields[i].name));
  }
  return {};
}

/// Section 2.7.5.
Result<> check_transfer(const List& list) {
  const auto there = [&list](std::size_t at) { return at < list.size() && !list[at].is_null(); };
  if (there(1) && !there(2)) return fail(Fault::invalid_input, "AMQP transfer: a delivery-id without a delivery-tag");
  constexpr std::size_t longest_tag = 32;
  if (there(2) && list[2].as<Binary>()->bytes.size() > longest_tag)
    return fail(Fault::invalid_input, fmt::format("AMQP transfer: delivery-tag: at most {} bytes", longest_tag));
  return {};
}

}  // namespace

bool is_protocol_header(BytesView unit) { return unit.size() == header_bytes && unit.starts_with(magic); }

Result<std::optional<std::size_t>> frame_size(BytesView bytes, std::size_t max_frame_bytes) {
  if (bytes.size() < 4) return std::optional<std::size_t>{};
  if (bytes.starts_with(magic)) return bytes.size() < header_bytes ? std::optional<std::size_t>{} : std::optional(header_bytes);
  std::size_t size = 0;
  for (const char byte : bytes.substr(0, 4)) size = size << 8 | static_cast<unsigned char>(byte);
  if (size < frame_header_bytes) return fail(Fault::invalid_input, fmt::format("AMQP frame: a size of {} bytes", size));
  if (size > max_frame_bytes)
    return fail(Fault::exhausted, fmt::format("AMQP frame: {} bytes, at most {} are taken", size, max_frame_bytes));
  return bytes.size() < size ? std::optional<std::size_t>{} : std::optional(size);
}

const Value& Frame::field(std::size_t at) const {
  static const Value nothing;
  return at < fields.size() ? fields[at] : nothing;
}

Result<Frame> read_frame(BytesView frame) {
  if (frame.size() < frame_header_bytes) return fail(Fault::invalid_input, "AMQP frame: cut off");
  const std::size_t offset = 4 * static_cast<std::size_t>(static_cast<unsigned char>(frame[4]));
  const auto type = static_cast<unsigned char>(frame[5]);
  if (offset < frame_header_bytes || offset > frame.size())
    return fail(Fault::invalid_input, fmt::format("AMQP frame: its data begin at byte {}", offset));
  if (type > 1) return fail(Fault::invalid_input, fmt::format("AMQP frame: type {}", type));
  BytesView body = frame.substr(offset);
  if (body.empty() && type != 0) return fail(Fault::invalid_input, "AMQP frame: SASL without a performative");
  const auto byte = [frame](std::size_t at) { return static_cast<unsigned char>(frame[at]); };
  Frame found{0, static_cast<std::uint16_t>(byte(6) << 8 | byte(7))};
  if (body.empty()) return found;
  TRY_LET(const Value read, in(decode(body), "AMQP frame"));
  const auto* described = read.as<Described>();
  const auto* code = described ? described->descriptor->as<std::uint64_t>() : nullptr;
  const auto* list = described ? described->value->as<List>() : nullptr;
  if (!code || !list) return fail(Fault::invalid_input, "AMQP frame: expected a performative");
  const auto& all = performatives();
  const auto at = std::find_if(all.begin(), all.end(), [&](const Performative& one) { return one.code == *code; });
  if (at == all.end() || at->sasl != (type == 1))
    return fail(Fault::invalid_input, fmt::format("AMQP frame: {:#x} is no performative of frame type {}", *code, type));
  TRY(check_fields(*at, *list));
  if (at->with_payload) TRY(check_transfer(*list));
  if (!at->with_payload && !body.empty())
    return fail(Fault::invalid_input, fmt::format("AMQP {}: {} bytes behind it", at->name, body.size()));
  found.code = *code;
  found.fields = *list;
  return found;
}

}  // namespace nacelle::amqp
