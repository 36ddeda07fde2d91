#pragma once
// Message records put together from parts: for messages of one sender, most of a record is always the same, and is encoded
// once. The bytes are those of encode_record (docs/formats/message-record.md).
//
//   const RecordProperties sender = encode_properties(stamp.system, {});
//   const RecordProperties* parts[] = {&sender, &bag, &time};
//   append_record(batch.begin(), Source::device_messages, now, parts, packet.payload);

#include <cstdint>
#include <span>

#include "domain/telemetry/message.h"

namespace nacelle::telemetry {

/// Properties as they lie in a record.
struct RecordProperties {
  std::uint32_t system_count = 0;
  std::uint32_t application_count = 0;
  Bytes system;
  Bytes application;
  ByteCount text_bytes = 0;  ///< names and values: what Message::size_in_bytes() counts of them
};

RecordProperties encode_properties(const Properties& system, const Properties& application);

/// Appends a record whose properties are those of all parts, one after another; no name is in two of them.
void append_record(Bytes& out, Source source, Timestamp enqueued_at, std::span<const RecordProperties* const> parts,
                   BytesView body);

/// Decodes records one after another. What came in one piece has the same time and properties in each record: they are decoded
/// once, and only the bodies after that.
class RecordDecoder {
 public:
  /// As decode_record(); valid until the next call.
  Result<const Message*> decode(BytesView record);
  /// Of the record: all before its body. Messages of equal heads differ in nothing but the body, and in how they were published.
  BytesView head() const { return head_; }

 private:
  Message message_;
  Bytes head_;  // empty: none yet
};

/// Whether a record says how it was published (Message::published); looks at its first byte only.
bool was_published(BytesView record);

}  // namespace nacelle::telemetry
