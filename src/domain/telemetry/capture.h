#pragma once
// The capture envelope: a message as a record of IoT Hub's storage endpoint (wire facts 6), in Avro and as a line of JSON.
// The hub's capture writes it, the workbench's importer reads it.

#include <string>
#include <string_view>

#include "codec/avro/encoder.h"
#include "domain/telemetry/message.h"

namespace nacelle::telemetry {

/// The schema of a captured record, as it stands in the file's header.
inline constexpr std::string_view capture_schema =
    R"({"type":"record","name":"Message","namespace":"Microsoft.Azure.Devices","fields":[)"
    R"({"name":"EnqueuedTimeUtc","type":"string"},)"
    R"({"name":"Properties","type":{"type":"map","values":"string"}},)"
    R"({"name":"SystemProperties","type":{"type":"map","values":"string"}},)"
    R"({"name":"Body","type":["null","bytes"]}]})";

/// Appends `message` in Avro's binary encoding under capture_schema. Avro strings are UTF-8: a byte of a property that is
/// not becomes U+FFFD.
void append_capture_record(Bytes& out, const Message& message);
/// The same in two parts: all that stands before the body, and the body.
void append_capture_head(Bytes& out, const Message& message);
void append_capture_body(Bytes& out, const Message& message);

/// What an importer wants of a record, without copies: views into the decoder's bytes.
struct CaptureView {
  std::string_view enqueued_at;  ///< as it stands, `2030-01-01T01:16:22.0950000Z`
  std::string_view device_id;    ///< SystemProperties' connectionDeviceId; empty if absent
  BytesView body;                ///< empty if null
};
/// Reads one record, without memory of its own. The fault is the decoder's: Fault::corrupt names the byte.
Result<CaptureView> read_capture_view(avro::Decoder& record);

/// Reads one record whole. Fault::corrupt also if the enqueued time is none.
Result<Message> read_capture_record(avro::Decoder& record);

/// The record as one line of JSON, without its end of line: the same four names; Body is embedded JSON if the message says
/// it is UTF-8 JSON (contentType, contentEncoding) and it is, else base64 text.
std::string print_capture_line(const Message& message);

/// Reads such a line back. A body that was embedded comes as it stands in the line; a JSON body that is one text is told from
/// base64 by this: what is JSON would have been embedded. Fault::invalid_input says what was expected; Fault::exhausted above
/// max_capture_line_bytes.
Result<Message> read_capture_line(std::string_view line);

/// More than any message makes: each byte of max_message_bytes may be escaped by six.
inline constexpr std::size_t max_capture_line_bytes = 2 << 20;

/// Whether a file that begins so holds lines of captured messages.
bool looks_like_capture_lines(std::string_view beginning);

/// Whether the message's properties say that its body is JSON in UTF-8.
bool says_utf8_json(const Message& message);

}  // namespace nacelle::telemetry
