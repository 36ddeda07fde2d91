#pragma once
// Broker: who has subscribed to which topics, and the retained messages: a tree of topic levels. Private to net/mqtt.

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "net/mqtt/message.h"

namespace nacelle::net {

/// Filters of more levels are refused: they bound the depth of every walk.
inline constexpr std::size_t max_filter_levels = 128;

/// Any thread. Clients are known by the names of their sessions.
class Broker {
 public:
  struct Limits {
    std::size_t max_retained = 100'000;
    ByteCount max_retained_bytes = 64_MiB;
  };
  explicit Broker(Limits limits) : limits_(limits) {}

  /// Adds the subscription or replaces the one with the same filter; true if there was none. Invalid shared filters and
  /// those of too many levels were refused before (subscribable).
  bool subscribe(const std::string& client, const mqtt::Subscription& subscription);
  bool unsubscribe(const std::string& client, std::string_view filter);
  static bool subscribable(std::string_view filter);

  /// One client's share of a message: several of its subscriptions may have matched.
  struct Match {
    std::string client;
    mqtt::QoS qos;
    bool retain_as_published;
    std::vector<std::uint32_t> subscription_ids;
  };
  using Online = std::function<bool(const std::string& client)>;
  /// Every client with a subscription that matches, once; and one client of each shared subscription (in turn, those that
  /// are `online` first), again for each. `from` published it: not to its own subscriptions with "no local".
  std::vector<Match> match(std::string_view topic, const std::string& from, const Online& online);

  /// Keeps the message for its topic, or forgets the topic's one if the payload is empty. False: there is no room, and the
  /// topic's older one is forgotten too.
  bool retain(const MqttMessagePtr& message);
  /// The retained messages that match, in the order of their topics; expired ones are forgotten, and their topics added to
  /// `forgotten`.
  std::vector<MqttMessagePtr> retained(std::string_view filter, Timestamp now, std::vector<std::string>& forgotten);
  std::size_t retained_count() const;

 private:
  struct Subscriber {
    std::string client;
    mqtt::QoS qos;
    mqtt::SubscriptionOptions options;
  };
  struct Group {
    std::vector<Subscriber> members;
    std::size_t next = 0;
  };
  struct Node {
    std::map<std::string, Node, std::less<>> children;
    std::vector<Subscriber> subscribers;
    std::map<std::string, Group, std::less<>> groups;
    bool empty() const { return children.empty() && subscribers.empty() && groups.empty(); }
  };
  struct Walk;

  static bool remove(Node& node, std::string_view rest, bool at_end, std::string_view group, const std::string& client);
  static void visit(Node& node, std::string_view rest, bool at_end, bool first, Walk& walk);
  static void collect(Node& node, Walk& walk);
  void forget(std::map<std::string, MqttMessagePtr, std::less<>>::iterator at);

  const Limits limits_;
  mutable std::mutex mutex_;
  Node root_;                                                    // guarded by mutex_
  std::map<std::string, MqttMessagePtr, std::less<>> retained_;  // guarded by mutex_
  ByteCount retained_bytes_ = 0;                                 // guarded by mutex_
};

}  // namespace nacelle::net
