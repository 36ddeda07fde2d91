#pragma once
// Registry: all clients of a server: their connections, their sessions, what waits for them. Private to net/mqtt.

#include <list>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "net/mqtt/detail/broker.h"
#include "net/mqtt/detail/connection.h"

namespace nacelle::net {

using ConnectionPtr = std::shared_ptr<Connection>;

/// Any thread; connections keep it alive.
class Registry final : public ConnectionHost, public std::enable_shared_from_this<Registry> {
 public:
  using Delivery = Mailbox::Delivery;

  Registry(MqttPolicy& policy, MqttServer::Options options);

  /// Brings back the kept sessions that messages are published to, what waits for them, and what was under way. Before the
  /// first connection.
  void load_kept();

  /// One stream, from its first byte to its end.
  static awaitable<void> serve(std::shared_ptr<Registry> self, StreamPtr stream);

  /// The client's connection, between its CONNACK and its end.
  ConnectionPtr live(const std::string& client_id) const;
  std::shared_ptr<const Session::Subscriptions> subscriptions(const std::string& client_id) const;
  void publish(const MqttMessagePtr& message, const std::string& from) { publish(message, from, std::nullopt); }
  void forget(const std::string& client_id);
  void sweep();
  std::size_t connections() const;
  std::size_t retained_count() const { return broker_.retained_count(); }
  std::uint64_t dropped() const { return dropped_; }

  /// Tells every connection to end.
  void close_all();
  awaitable<void> all_ended();
  /// What kept sessions still hold is answered: nobody will come back for it.
  void abandon_sessions();

  MqttPolicy& policy() override { return policy_; }
  const MqttLimits& limits() const override { return options_.limits; }
  const Clock& clock() const override { return clock_; }
  Budget& budget() override { return budget_; }
  MqttMessageStore* messages() override { return options_.messages.get(); }
  bool broadcasts(std::string_view filter) const override { return options_.broadcasts && options_.broadcasts(filter); }
  void subscribed(const std::string& client_id, const mqtt::Subscription& subscription) override {
    broker_.subscribe(client_id, subscription);
  }
  void unsubscribed(const std::string& client_id, const std::string& filter) override { broker_.unsubscribe(client_id, filter); }
  std::vector<MqttMessagePtr> retained(const std::string& filter) override;
  void keep(const std::string& client_id, Delivery& delivery) override;
  void hold_will(const std::string& client_id, HeldWill will, std::chrono::seconds delay) override;
  void count_dropped() override { ++dropped_; }

 private:
  struct Client {
    std::shared_ptr<Session> session;
    ConnectionPtr connection;  // the newest accepted one; it may still wait for the one before it to end
    ConnectionPtr serving;     // the one that has the session open: messages go to its mailbox
    bool forgotten = false;
    std::list<Delivery> offline;  // came while no connection had the session open
    std::optional<Timestamp> ends_at;
    std::optional<HeldWill> will;
    Timestamp will_due{};
  };
  struct OpenSession {
    std::shared_ptr<Session> session;
    bool present;
  };

  bool is_closed() const;
  bool has_room_for(const std::string& client_id) const;
  bool enter(const ConnectionPtr& connection);
  void leave(const ConnectionPtr& connection);
  ConnectionPtr claim(const ConnectionPtr& connection);
  awaitable<void> take_over(ConnectionPtr previous);
  OpenSession open_session(const ConnectionPtr& connection);
  std::shared_ptr<Session> load(const std::string& id);
  std::shared_ptr<Session> make_session(std::uint32_t expiry_seconds);
  void release(const ConnectionPtr& connection);
  void note_left(const std::string& id, const Session& session);
  bool may_be_put_away(const Client& client) const;
  void end_session(const std::string& id, Session& session, const char* why);
  void forget_stored(const std::string& id);
  void publish_will(HeldWill held);
  void drop_will(std::optional<HeldWill>& will);

  // registry_kept.cc: what outlives the server.
  struct Addressed {
    std::string client;
    Delivery delivery;
  };
  std::vector<Addressed> address(const MqttMessagePtr& message, const std::string& from, std::optional<Timestamp> replayed_from);
  void keep(const MqttMessagePtr& message, MqttMessageStore::Retained retained, std::vector<Addressed>& deliveries);
  void keep_as(std::uint64_t kept_id, Delivery& delivery);
  void load_kept_sessions();
  void load_kept_messages();
  void restore(MqttKeptDelivery kept);
  void restore(const MqttKeptIdentifier& kept);
  void restore(MqttKeptWill kept);
  void take_replayed(const MqttReplayed& replayed);
  void publish(const MqttMessagePtr& message, const std::string& from, std::optional<Timestamp> replayed_from);

  bool online(const std::string& client_id) const;
  bool began_after(const std::string& client_id, Timestamp time) const;
  void offer(const std::string& client_id, Delivery delivery);
  Result<> place(const std::string& client_id, Delivery& delivery);
  std::list<Delivery> take_offline(Client& client);  // with the mutex held

  MqttPolicy& policy_;
  const MqttServer::Options options_;
  Budget budget_{options_.limits.max_in_flight_bytes_in_all};
  const SystemClock system_clock_;
  const Clock& clock_;
  Broker broker_;  // its mutex is taken before ours, never after
  std::atomic<std::uint64_t> dropped_ = 0;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Client> clients_;                                  // guarded by mutex_
  std::unordered_set<ConnectionPtr> all_;                                            // guarded by mutex_
  std::unordered_map<Connection*, std::vector<std::function<void(bool)>>> on_left_;  // guarded by mutex_
  std::vector<std::function<void(bool)>> on_empty_;                                  // guarded by mutex_
  std::multimap<Timestamp, std::string> due_;  // when to look at a client; it may have come back; guarded by mutex_
  ByteCount offline_bytes_ = 0;                // guarded by mutex_
  Timestamp last_begun_{};                     // of sessions; guarded by mutex_
  bool closed_ = false;                        // guarded by mutex_
};

}  // namespace nacelle::net
