// docs/formats/message-record.md describes these bytes field by field.
#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "domain/telemetry/record.h"

namespace nacelle::telemetry {
namespace {

constexpr char record_version = 1;
/// The same, with how it was published behind the body.
constexpr char published_version = 2;

// Codes 1, 2, ... of the system names seen on nearly every message. Append only: the codes lie in files.
constexpr auto known_names = std::to_array<std::string_view>({
    "connectionDeviceId",
    "connectionModuleId",
    "connectionDeviceGenerationId",
    "connectionAuthMethod",
    "enqueuedTime",
    "messageId",
    "correlationId",
    "contentType",
    "contentEncoding",
    "outputName",
    "userId",
    "to",
    "expiryTimeUtc",
    "iothub-creation-time-utc",
    "messageSchema",
    "dt-subject",
    "iothub-interface-id",
    "ack",
    "operation",
    "iothub-message-source",
});

void put_varint(Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_text(Bytes& out, std::string_view text) {
  put_varint(out, text.size());
  out += text;
}

void put_system_name(Bytes& out, std::string_view name) {
  const auto at = std::find(known_names.begin(), known_names.end(), name);
  if (at != known_names.end()) {
    put_varint(out, static_cast<std::uint64_t>(at - known_names.begin()) + 1);
    return;
  }
  put_varint(out, 0);
  put_text(out, name);
}

class Reader {
 public:
  explicit Reader(BytesView rest) : rest_(rest) {}

  std::size_t left() const { return rest_.size(); }

  Result<BytesView> take(std::size_t size, std::string_view what) {
    if (size > rest_.size())
      return fail(Fault::corrupt, fmt::format("message record: {} needs {} bytes, {} are left", what, size, rest_.size()));
    const BytesView taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  Result<std::uint32_t> varint(std::string_view what) {
    std::uint64_t value = 0;
    for (int shift = 0; shift <= 28; shift += 7) {
      TRY_LET(const BytesView byte, take(1, what));
      const auto bits = static_cast<std::uint8_t>(byte[0]);
      value |= std::uint64_t{bits & 0x7fu} << shift;
      if (bits < 0x80 && value <= 0xffffffffu) return static_cast<std::uint32_t>(value);
    }
    return fail(Fault::corrupt, fmt::format("message record: {} is longer than 32 bits", what));
  }

  Result<BytesView> text(std::string_view what) {
    TRY_LET(const std::uint32_t size, varint(what));
    return take(size, what);
  }

  Result<BytesView> system_name() {
    TRY_LET(const std::uint32_t code, varint("a system property's name"));
    if (code == 0) return text("a system property's name");
    if (code > known_names.size())
      return fail(Fault::corrupt, fmt::format("message record: system property code {} is not known", code));
    return known_names[code - 1];
  }

 private:
  BytesView rest_;
};

Result<Properties> read_properties(Reader& reader, bool system) {
  const std::string_view kind = system ? "a system property" : "an application property";
  TRY_LET(const std::uint32_t count, reader.varint("the number of properties"));
  if (count > reader.left() / 2)  // each takes two bytes at least: no count makes us allocate beyond the record
    return fail(Fault::corrupt, fmt::format("message record: {} properties do not fit {} bytes", count, reader.left()));
  std::vector<Properties::Entry> entries;
  entries.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY_LET(const BytesView name, system ? reader.system_name() : reader.text(kind));
    TRY_LET(const BytesView value, reader.text(kind));
    entries.emplace_back(name, value);
  }
  return Properties(std::move(entries));
}

}  // namespace

RecordProperties encode_properties(const Properties& system, const Properties& application) {
  RecordProperties out;
  out.system_count = static_cast<std::uint32_t>(system.size());
  out.application_count = static_cast<std::uint32_t>(application.size());
  for (const auto& [name, value] : system) {
    put_system_name(out.system, name);
    put_text(out.system, value);
    out.text_bytes += name.size() + value.size();
  }
  for (const auto& [name, value] : application) {
    put_text(out.application, name);
    put_text(out.application, value);
    out.text_bytes += name.size() + value.size();
  }
  return out;
}

void append_record(Bytes& out, Source source, Timestamp enqueued_at, std::span<const RecordProperties* const> parts,
                   BytesView body) {
  out += record_version;
  out += static_cast<char>(source);
  const auto micros = static_cast<std::uint64_t>(enqueued_at.time_since_epoch().count());
  char time[8];
  for (int i = 0; i < 8; ++i) time[i] = static_cast<char>(micros >> (8 * i));
  out.append(time, sizeof time);
  std::uint32_t system = 0;
  std::uint32_t application = 0;
  for (const RecordProperties* part : parts) {
    system += part->system_count;
    application += part->application_count;
  }
  put_varint(out, system);
  for (const RecordProperties* part : parts) out += part->system;
  put_varint(out, application);
  for (const RecordProperties* part : parts) out += part->application;
  put_text(out, body);
}

Bytes encode_record(const Message& message) {
  const RecordProperties properties = encode_properties(message.system, message.application);
  const RecordProperties* parts[] = {&properties};
  Bytes out;
  out.reserve(static_cast<std::size_t>(message.size_in_bytes()) + 32);
  append_record(out, message.source, message.enqueued_at, parts, message.body);
  if (!message.published.empty()) {
    out[0] = published_version;
    put_text(out, message.published);
  }
  return out;
}

bool was_published(BytesView record) { return !record.empty() && record[0] == published_version; }

namespace {

Result<> read_head(Reader& reader, Message& message) {
  TRY_LET(const BytesView head, reader.take(10, "the head"));
  if (head[0] != record_version && head[0] != published_version)
    return fail(Fault::corrupt, fmt::format("message record: version is {}, this program reads {} and {}",
                                            int(static_cast<std::uint8_t>(head[0])), int(record_version), int(published_version)));
  if (static_cast<std::uint8_t>(head[1]) > static_cast<std::uint8_t>(Source::connection_state))
    return fail(Fault::corrupt, fmt::format("message record: source {} is not known", int(static_cast<std::uint8_t>(head[1]))));
  message.source = static_cast<Source>(head[1]);
  std::uint64_t micros = 0;
  for (int i = 0; i < 8; ++i) micros |= std::uint64_t{static_cast<std::uint8_t>(head[2 + i])} << (8 * i);
  message.enqueued_at = Timestamp{std::chrono::microseconds{static_cast<std::int64_t>(micros)}};
  TRY_LET(message.system, read_properties(reader, true));
  TRY_LET(message.application, read_properties(reader, false));
  return {};
}

Result<> read_rest(Reader& reader, bool published, Message& message) {
  TRY_LET(const BytesView body, reader.text("the body"));
  message.body = body;
  message.published.clear();
  if (published) {
    TRY_LET(message.published, reader.text("how it was published"));
  }
  if (reader.left() > 0) return fail(Fault::corrupt, fmt::format("message record: {} bytes after the body", reader.left()));
  return {};
}

}  // namespace

Result<Message> decode_record(BytesView record) {
  Reader reader(record);
  Message message;
  TRY(read_head(reader, message));
  TRY(read_rest(reader, was_published(record), message));
  return message;
}

Result<const Message*> RecordDecoder::decode(BytesView record) {
  if (head_.empty() || !record.starts_with(head_)) {
    head_.clear();
    Reader reader(record);
    TRY(read_head(reader, message_));
    head_ = record.substr(0, record.size() - reader.left());
  }
  Reader rest(record.substr(head_.size()));
  TRY(read_rest(rest, was_published(record), message_));
  return &message_;
}

}  // namespace nacelle::telemetry
