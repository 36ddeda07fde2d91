#pragma once
// KeptMessages: what the open namespace's broker must not forget, in DIR/broker.db beside the event log that has the messages:
// changes gather in memory, cancel each other out, and reach the table together, with how far in the log they count.
// docs/decisions/0230-broker-state-beside-the-log.md; tables: docs/formats/hub-tables.md.

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "net/mqtt/message_store.h"
#include "storage/log/event_log.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Any thread; one of its own writes. `log` outlives it. Destroyed without close(), it leaves the table as a kill would.
class KeptMessages final : public net::MqttMessageStore {
 public:
  /// A table that is new begins at the log's head: what was published before that was published to nobody we know.
  static Result<std::shared_ptr<KeptMessages>> open(storage::Database tables, const storage::EventLog& log);
  ~KeptMessages() override;

  // Around each append of an open message to the log, by whoever appends it.
  void begin(storage::Partition partition);
  /// It is durable, and will be published; before its acknowledgement.
  void stored(const net::MqttKeptIdentifier& identifier, const net::MqttPlace& at);
  void refused(storage::Partition partition);

  Result<net::MqttKeptMessages> load() override;
  Result<> replay(const std::function<void(const net::MqttReplayed&)>& take) override;
  std::uint64_t published(const net::MqttMessagePtr& message, Retained retained, std::span<const Waiting> waiting) override;
  std::uint64_t wait(const net::MqttMessagePtr& message, const Waiting& waiting) override;
  void sent(std::uint64_t id, mqtt::PacketId packet_id, Done done) override;
  void received(std::uint64_t id, Done done) override;
  void settled(std::uint64_t id) override;
  void unreleased(const net::MqttKeptIdentifier& identifier, const net::MqttPlace& at) override;
  void released(const std::string& session, mqtt::PacketId packet_id, Done done) override;
  void forget_retained(const std::string& topic) override;
  std::uint64_t hold_will(net::MqttKeptWill will) override;
  void drop_will(std::uint64_t id) override;
  void forget_session(const std::string& session) override;
  void close() override;

 private:
  struct Delivery {
    std::optional<Waiting> added;  ///< not in the table yet
    net::MqttPlace place;          ///< of what is added
    mqtt::PacketId packet_id = 0;
    bool received = false;
    bool gone = false;
  };
  struct Identifier {
    std::optional<Timestamp> since;  ///< of one that is added
    net::MqttPlace place;
    bool released = false;
  };
  struct Forgotten {
    std::string session;
    std::uint64_t before;  ///< deliveries from here on are of its next session
  };
  /// What the table does not know yet.
  struct Changes {
    std::vector<Forgotten> forgotten;
    std::map<std::uint64_t, Delivery> deliveries;  // in order, as the table is appended to
    std::map<std::pair<std::string, mqtt::PacketId>, Identifier> identifiers;
    std::unordered_map<std::string, net::MqttMessagePtr> retained;  // null: none
    std::map<std::uint64_t, std::optional<net::MqttKeptWill>> wills;
    std::map<storage::Partition, storage::Offset> cursor;
    bool empty() const;
  };
  struct Log {
    storage::Offset cursor = 0;   // everything below it has been published
    std::uint64_t under_way = 0;  // appended, or about to be, and not published
  };

  KeptMessages(storage::Database tables, const storage::EventLog& log);
  Result<> begin_at_head();
  Result<> read_cursor();
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void run();
  void look_at_log();
  std::vector<Done> take_changes();
  Result<> write_in_hand();
  Result<> write(const Changes& changes);
  Result<> write_retained(const std::string& topic, const net::MqttMessagePtr& message);
  Result<> write_will(std::uint64_t id, const std::optional<net::MqttKeptWill>& will);
  Result<> write_deliveries(const Changes& changes);
  Result<> write_identifiers(const Changes& changes);
  void urgent(Done done);

  // kept_messages_load.cc
  Result<std::vector<net::MqttKeptDelivery>> load_deliveries();
  Result<std::map<std::pair<storage::Partition, storage::Offset>, net::MqttMessagePtr>> find_messages(
      std::vector<net::MqttPlace> places) const;

  storage::Database tables_;
  const storage::EventLog& log_;

  std::mutex mutex_;
  std::condition_variable wake_;
  Changes changes_;            // guarded by mutex_
  std::vector<Done> waiting_;  // for the next commit; guarded by mutex_
  std::vector<Log> logs_;      // by partition; guarded by mutex_
  std::uint64_t next_id_ = 1;  // guarded by mutex_
  bool urgent_ = false;        // guarded by mutex_
  bool stopping_ = false;      // guarded by mutex_
  bool closed_ = false;        // nothing more is taken; guarded by mutex_

  Changes in_hand_;  // the thread's own; kept and tried again when the table cannot be written
  std::thread thread_;
};

}  // namespace nacelle::hub
