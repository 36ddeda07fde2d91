#pragma once
// MqttMessageStore: what is on its way through a server and must outlive it: retained messages, what sessions that are kept
// have not acknowledged, packet identifiers of QoS 2, wills whose delay runs. The messages themselves are durable already
// when the server publishes them (MqttMessage::kept_at); the store keeps what has become of them.
// docs/decisions/0230-broker-state-beside-the-log.md.

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "net/mqtt/message.h"

namespace nacelle::net {

/// A delivery to a session that is kept, as found at the start.
struct MqttKeptDelivery {
  std::uint64_t id = 0;
  std::string session;
  MqttMessagePtr message;
  mqtt::QoS qos = mqtt::QoS::at_least_once;
  bool retain = false;
  std::vector<std::uint32_t> subscription_ids;
  mqtt::PacketId packet_id = 0;  ///< QoS 2: what it was sent with, or may have been; 0: never sent
  bool received = false;         ///< QoS 2: PUBREC has come
};

/// An identifier of QoS 2 whose message is stored and which its sender has not released. `since`: when its session began.
struct MqttKeptIdentifier {
  std::string session;
  Timestamp since{};
  mqtt::PacketId packet_id = 0;
};

struct MqttKeptWill {
  std::uint64_t id = 0;
  std::string session;
  Timestamp due{};
  mqtt::Will will;
  std::string from;  ///< what the policy said of the connection (MqttPolicy::describe)
};

struct MqttKeptMessages {
  std::vector<MqttKeptDelivery> deliveries;  ///< of each session in order
  std::vector<MqttKeptIdentifier> identifiers;
  std::vector<MqttMessagePtr> retained;
  std::vector<MqttKeptWill> wills;
};

/// A message whose publishing the store has not seen the end of.
struct MqttReplayed {
  MqttMessagePtr message;
  std::string from;              ///< the session that published it
  Timestamp at{};                ///< when
  MqttKeptIdentifier unsettled;  ///< of a QoS 2 message that was not released; a packet id of 0: none
};

/// Any thread, but load() and replay() come first and once. Calls that take a Done are answered when the change is on disk,
/// with all changes made before it; the others get there within a second. Every call returns at once.
class MqttMessageStore {
 public:
  using Done = std::function<void(Result<>)>;
  virtual ~MqttMessageStore() = default;

  virtual Result<MqttKeptMessages> load() = 0;
  /// Whatever was made durable after what load() knows, in the order in which it was.
  virtual Result<> replay(const std::function<void(const MqttReplayed&)>& take) = 0;

  enum class Retained { unchanged, set, cleared };
  struct Waiting {
    std::string session;
    mqtt::QoS qos = mqtt::QoS::at_least_once;
    bool retain = false;
    std::vector<std::uint32_t> subscription_ids;
  };
  /// The message is about to be handed out: what becomes of its topic's retained one, and which sessions that are kept must
  /// get it. Together: after a crash it is published again, or all of this is known. The id of the first of `waiting`; the
  /// others follow it.
  virtual std::uint64_t published(const MqttMessagePtr& message, Retained retained, std::span<const Waiting> waiting) = 0;
  /// One more session must get it (a retained message, for a new subscription). Its id.
  virtual std::uint64_t wait(const MqttMessagePtr& message, const Waiting& waiting) = 0;
  /// A QoS 2 delivery is about to be sent with this identifier; PUBREC has come for it.
  virtual void sent(std::uint64_t id, mqtt::PacketId packet_id, Done done) = 0;
  virtual void received(std::uint64_t id, Done done) = 0;
  /// Acknowledged, or given up.
  virtual void settled(std::uint64_t id) = 0;

  /// Found by replay(), and still to be released.
  virtual void unreleased(const MqttKeptIdentifier& identifier, const MqttPlace& at) = 0;
  /// PUBREL has come: the identifier may be used again.
  virtual void released(const std::string& session, mqtt::PacketId packet_id, Done done) = 0;

  virtual void forget_retained(const std::string& topic) = 0;
  /// Its id. On disk as soon as can be.
  virtual std::uint64_t hold_will(MqttKeptWill will) = 0;
  virtual void drop_will(std::uint64_t id) = 0;
  /// All that waits for it, and its identifiers.
  virtual void forget_session(const std::string& session) = 0;

  /// What is known now gets on disk; nothing that comes later counts. Blocks.
  virtual void close() = 0;
};

}  // namespace nacelle::net
