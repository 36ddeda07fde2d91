#include "domain/telemetry/capture.h"

#include <algorithm>

#include "codec/json/value.h"
#include "codec/text/encoding.h"

namespace nacelle::telemetry {
namespace {

/// Property texts come percent-decoded from clients and may hold any bytes; readers insist on UTF-8.
std::string mended(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t good = text::valid_utf8_prefix(text);
    out.append(text.substr(0, good));
    if (good == text.size()) return out;
    text::append_utf8(out, 0xfffd);
    text.remove_prefix(good + 1);
  }
}

void put_text(avro::Encoder& record, std::string_view text) {
  if (text::valid_utf8_prefix(text) == text.size())
    record.put_string(text);
  else
    record.put_string(mended(text));
}

void put_properties(avro::Encoder& record, const Properties& properties) {
  if (!properties.empty()) record.put_count(properties.size());
  for (const auto& [name, value] : properties) {
    put_text(record, name);
    put_text(record, value);
  }
  record.put_count(0);
}

Result<BytesView> read_body(avro::Decoder& record) {
  TRY_LET(const std::size_t branch, record.read_index(2));
  if (branch == 0) return BytesView();
  return record.read_bytes();
}

Result<Properties> read_properties(avro::Decoder& record) {
  std::vector<Properties::Entry> entries;
  TRY(record.read_map([&entries](std::string_view name, std::string_view value) { entries.emplace_back(name, value); }));
  return Properties(std::move(entries));
}

void append_properties(std::string& line, const Properties& properties) {
  line += '{';
  bool first = true;
  for (const auto& [name, value] : properties) {
    if (!first) line += ',';
    first = false;
    json::append_quoted(line, mended(name));
    line += ':';
    json::append_quoted(line, mended(value));
  }
  line += '}';
}

}  // namespace

void append_capture_record(Bytes& out, const Message& message) {
  append_capture_head(out, message);
  append_capture_body(out, message);
}

void append_capture_head(Bytes& out, const Message& message) {
  avro::Encoder record(out);
  record.put_string(format_iso8601(message.enqueued_at, 7));
  put_properties(record, message.application);
  put_properties(record, message.system);
}

void append_capture_body(Bytes& out, const Message& message) { avro::Encoder(out).put_union(1).put_bytes(message.body); }

Result<CaptureView> read_capture_view(avro::Decoder& record) {
  CaptureView view;
  TRY_LET(view.enqueued_at, record.read_string());
  TRY(record.read_map([](std::string_view, std::string_view) {}));
  TRY(record.read_map([&view](std::string_view name, std::string_view value) {
    if (name == "connectionDeviceId") view.device_id = value;
  }));
  TRY_LET(view.body, read_body(record));
  return view;
}

Result<Message> read_capture_record(avro::Decoder& record) {
  Message message;
  TRY_LET(const std::string_view enqueued_at, record.read_string());
  const auto time = parse_iso8601(enqueued_at);
  if (!time) return record.corrupt("EnqueuedTimeUtc is no time: " + time.error().message);
  message.enqueued_at = *time;
  TRY_LET(message.application, read_properties(record));
  TRY_LET(message.system, read_properties(record));
  TRY_LET(message.body, read_body(record));
  if (!message.module_id().empty()) message.source = Source::module_messages;
  return message;
}

bool says_utf8_json(const Message& message) {
  const std::string_view type = message.system.get("contentType");
  const bool json = text::equal_ignoring_case(text::trim(type.substr(0, type.find(';'))), "application/json");
  return json && text::equal_ignoring_case(text::trim(message.system.get("contentEncoding")), "utf-8");
}

std::string print_capture_line(const Message& message) {
  std::string line = R"({"EnqueuedTimeUtc":")" + format_iso8601(message.enqueued_at, 7) + R"(","Properties":)";
  append_properties(line, message.application);
  line += R"(,"SystemProperties":)";
  append_properties(line, message.system);
  line += R"(,"Body":)";
  if (says_utf8_json(message) && json::parse(message.body)) {
    // Embedded as it stands, so that no number changes; ends of line are white space there, and would end ours.
    std::string body = message.body;
    std::replace_if(
        body.begin(), body.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    line += body;
  } else {
    line += '"' + text::base64_encode(message.body) + '"';
  }
  return line + '}';
}

}  // namespace nacelle::telemetry
