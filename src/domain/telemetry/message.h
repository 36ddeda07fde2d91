#pragma once
// A message: what a device, a module or a service said, with its properties. Hub and edge share it.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::telemetry {

/// Small ordered map of text; names keep the case they came with, look-up ignores it.
class Properties {
 public:
  using Entry = std::pair<std::string, std::string>;
  Properties() = default;
  Properties(std::initializer_list<Entry> entries) : entries_(entries) {}
  /// Takes entries as they stand; the first of equal names is the one that counts.
  explicit Properties(std::vector<Entry> entries) : entries_(std::move(entries)) {}
  const std::string* find(std::string_view name) const;  ///< null if absent
  std::string_view get(std::string_view name) const;     ///< empty if absent
  void set(std::string_view name, std::string_view value);
  bool erase(std::string_view name);
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  bool operator==(const Properties&) const = default;

 private:
  std::vector<Entry> entries_;
};

/// Where a message came from: the sources a route can name (wire facts 5.8).
enum class Source : std::uint8_t { device_messages, module_messages, twin_changes, device_lifecycle, connection_state };

struct Message {
  Source source = Source::device_messages;
  /// System properties under their route names: messageId, correlationId, contentType, contentEncoding, outputName,
  /// connectionDeviceId, connectionModuleId, connectionAuthMethod, connectionDeviceGenerationId, ... (wire facts 1.6)
  Properties system;
  Properties application;
  Bytes body;
  Timestamp enqueued_at{};
  /// How it was published, if that was in the open namespace: a broker's business, kept with the record and shown to nobody.
  Bytes published{};

  std::string_view device_id() const { return system.get("connectionDeviceId"); }
  std::string_view module_id() const { return system.get("connectionModuleId"); }
  std::string_view output() const { return system.get("outputName"); }
  /// Body plus names and values of all properties: what max_message_bytes bounds.
  ByteCount size_in_bytes() const;
};

inline constexpr ByteCount max_message_bytes = 256_KiB;  ///< body plus properties (wire facts 1.2)

/// Who wrote a bag decides which names in it count.
enum class BagFrom {
  client,  ///< a device or module: names that only the server may set (connection*, enqueuedTime) are dropped
  server,  ///< a hub delivering: `$.cdid` and `$.cmid` name the sender (wire facts 5.6)
};

/// Reads a property bag into system and application properties (wire facts 1.6): keys are percent-decoded first, then
/// looked up (`$.mid` -> messageId); a bare key has an empty value; one final `/` is cut. Of a repeated name the last one
/// counts. Fault::invalid_input for a broken escape; `message` may then hold what came before it.
Result<> read_property_bag(std::string_view bag, Message& message, BagFrom from = BagFrom::client);

/// Whether a client may not set `name`, as a system or an application property, with or without a leading `$` (routes
/// look up `$name` among the application properties first).
bool only_server_sets(std::string_view name);

/// The bag of `message` in wire form, always percent-encoding key and value. `outputName` is left out; `$.cdid` and
/// `$.cmid` are put in when `with_sender` (delivery to a module input, wire facts 5.6).
std::string print_property_bag(const Message& message, bool with_sender);

/// A message as one binary record: how it lies in the event log and in the edge's store (docs/formats/message-record.md).
Bytes encode_record(const Message& message);
/// Fault::corrupt names the field that does not fit.
Result<Message> decode_record(BytesView record);

}  // namespace nacelle::telemetry
