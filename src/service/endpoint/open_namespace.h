#pragma once
// The open namespace: every topic that is not IoT Hub's, for any MQTT client, under access rules (docs/mqtt.md).

#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::endpoint {

/// Who a plain client is, as its credentials prove.
struct Principal {
  enum class Kind { anonymous, device, policy };
  Kind kind = Kind::anonymous;
  std::string name;   ///< of the device (`d` or `d/m`) or of the shared access policy; empty for anonymous
  Timestamp until{};  ///< when its credentials end

  std::string text() const;  ///< `device:pump-1`, `policy:service`, `anonymous`
};

/// The key that a connection's credentials were made with. The backend's own marks: it can tell later whether they still hold.
struct Credential {
  std::string policy;  ///< of this shared access policy; empty: the identity's own
  std::string key;     ///< a mark of the key, from which nobody learns it; empty: a certificate
};

/// Whether a topic, or a filter without its `$share/GROUP/`, lies in the open namespace: not below `$` and `devices/`.
bool is_open_topic(std::string_view topic_or_filter);
/// The same for a filter as a client sends it.
bool is_open_filter(std::string_view filter);

/// `{"rules":[{"who":"device:pump-*","publish":["plant/%n/#"],"subscribe":["plant/#"]}]}`: what is not allowed is refused.
/// `who` is `*`, `anonymous`, `device:NAME`, `policy:NAME`, the name with an optional `*` at its end; `%n` as a whole level of
/// a filter stands for the principal's name. Immutable; any thread.
class AccessRules {
 public:
  /// Everything to everyone who may connect.
  static AccessRules all();
  /// Fault::invalid_input says which rule is wrong.
  static Result<AccessRules> parse(const json::Value& document);

  bool may_publish(const Principal& who, std::string_view topic) const;
  /// Every topic that `filter` (without `$share/GROUP/`) can match must be allowed by one rule's filter.
  bool may_subscribe(const Principal& who, std::string_view filter) const;

 private:
  struct Rule {
    std::string who;
    std::vector<std::string> publish;
    std::vector<std::string> subscribe;
  };
  static Result<Rule> parse_rule(const json::Value& document, const std::string& where);
  static bool is_for(const Rule& rule, const Principal& who);
  std::vector<Rule> rules_;
};

struct OpenNamespace {
  AccessRules rules = AccessRules::all();
  bool allow_anonymous = false;
};

}  // namespace nacelle::endpoint
