#pragma once
// The turbofan router's decisions (T-42, T-43), pure: a message in, the messages that go out.

#include <string>
#include <string_view>
#include <vector>

#include "domain/telemetry/message.h"
#include "service/turbofan/reading_form.h"

namespace nacelle::turbofan {

namespace input {
inline constexpr std::string_view device = "deviceInput";
inline constexpr std::string_view rul = "rulInput";
}  // namespace input
namespace output {
inline constexpr std::string_view classify = "classOutput";
inline constexpr std::string_view hub = "hubOutput";
inline constexpr std::string_view avro = "avroOutput";
inline constexpr std::string_view dead = "deadMessages";
}  // namespace output

/// Application properties that say over all hops whose reading it was, and when it came.
inline constexpr std::string_view original_device = "originalDeviceId";
inline constexpr std::string_view original_enqueued = "originalEnqueuedTime";
inline constexpr std::string_view original_created = "originalCreationTime";
inline constexpr std::string_view enqueued_at_edge = "iothub-enqueuedtime";  ///< put on by the edge at delivery

struct Outgoing {
  std::string output;
  telemetry::Message message;
};

/// A reading of a leaf device: to the classifier, or, if it cannot be read or has been classified before, to the dead
/// letters with DeadLetter=true and DeadLetterReason. A one-element array is taken as its element; longer ones are refused.
/// A missing correlation id is made from device, message id (or, if there is none, time of arrival) and body, so that a
/// repeated delivery gets the same one.
Outgoing route_reading(const telemetry::Message& message);

/// An answer of the classifier: the full record to the writer, and the prediction alone to the hub; without a prediction
/// one dead letter.
std::vector<Outgoing> route_prediction(const telemetry::Message& message, const ReadingForm& form = ReadingForm::turbofan());

/// Any other input: a dead letter.
Outgoing dead_letter(const telemetry::Message& message, std::string_view why);

/// Whose reading `message` is: originalDeviceId, else the sender.
std::string origin_of(const telemetry::Message& message);

}  // namespace nacelle::turbofan
