#pragma once
// AMQP 1.0 messages (part 3, section 3.2): sections <-> fields.

#include "codec/amqp/value.h"

namespace nacelle::amqp {

/// What is empty or null is not there. Delivery annotations and the footer are passed over.
struct Message {
  Value message_id;
  Value correlation_id;
  Bytes user_id;
  std::string to;
  std::string subject;
  std::string reply_to;
  std::string content_type;
  std::string content_encoding;
  std::optional<Instant> absolute_expiry;
  std::optional<Instant> creation;
  Map annotations;  ///< keys are symbols
  Map application;  ///< keys are strings
  Bytes data;       ///< all data sections, one behind the other
  Value value;      ///< of an amqp-value section, or the lists of amqp-sequence sections; then there is no data
  bool operator==(const Message&) const = default;
};

/// Fault::invalid_input names the section.
Result<Message> decode_message(BytesView bytes);
/// A body of `value` if that is not null, else of `data`.
Bytes encode_message(const Message& message);

}  // namespace nacelle::amqp
