#pragma once
// Message enrichment: application properties that are put on messages for some endpoints, as IoT Hub does.
//
//   TRY_LET(const Enrichment site, Enrichment::make("site", "$twin.tags.site", {"events"}));
//   enrich(message, {&site, 1}, twin, "hub1");  // the message now has the property `site`

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "codec/json/view.h"
#include "domain/telemetry/message.h"
#include "foundation/result.h"

namespace nacelle::route {

class Enrichment {
 public:
  /// `value`: a text as it stands, `$iothubname`, or a path `$twin.tags.x`, `$twin.properties.desired.x`,
  /// `$twin.properties.reported.x`. Fault::invalid_input says what is wrong with key, value or names.
  static Result<Enrichment> make(std::string key, std::string value, std::vector<std::string> endpoints);

  const std::string& key() const { return key_; }
  const std::string& value() const { return value_; }
  const std::vector<std::string>& endpoints() const { return endpoints_; }  ///< names; at least one
  bool applies_to(std::string_view endpoint) const;
  bool uses_twin() const { return kind_ == Kind::twin; }
  /// What a message of a device with that twin gets. Texts and Booleans as they are, numbers and structures as JSON; of a path that
  /// is not there the path itself, as IoT Hub does.
  std::string text(const json::Value* twin, std::string_view hub) const;
  bool operator==(const Enrichment& other) const;

  static constexpr std::size_t most = 10;             ///< of a hub
  static constexpr std::size_t longest_key = 128;     ///< characters
  static constexpr std::size_t longest_value = 4096;  ///< bytes, as configured

 private:
  enum class Kind { text, hub_name, twin };
  Enrichment() = default;

  Kind kind_ = Kind::text;
  std::string key_;
  std::string value_;
  std::vector<std::string> endpoints_;
  std::vector<std::string> path_;  // of a twin path
};

/// Puts the properties on `message`, in place of those of the same name that it came with: what the hub says counts. One that would
/// take the message beyond max_message_bytes is left out. Answers how many were.
std::size_t enrich(telemetry::Message& message, std::span<const Enrichment> enrichments, const json::Value* twin,
                   std::string_view hub);

}  // namespace nacelle::route
