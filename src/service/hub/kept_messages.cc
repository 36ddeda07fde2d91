#include "service/hub/kept_messages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "foundation/log.h"

namespace nacelle::hub {

using net::MqttKeptIdentifier;
using net::MqttPlace;
using storage::Blob;
using storage::Offset;
using storage::Partition;

namespace {

/// How old a change may get before it is written: what a kill costs in messages delivered once more.
constexpr std::chrono::seconds longest_wait{1};
/// So many are written before that.
constexpr std::size_t many_changes = 50'000;

std::int64_t micros(Timestamp time) { return time.time_since_epoch().count(); }

}  // namespace

KeptMessages::KeptMessages(storage::Database tables, const storage::EventLog& log)
    : tables_(std::move(tables)), log_(log), logs_(log.partitions()) {}

Result<std::shared_ptr<KeptMessages>> KeptMessages::open(storage::Database tables, const storage::EventLog& log) {
  std::shared_ptr<KeptMessages> kept(new KeptMessages(std::move(tables), log));
  TRY(kept->read_cursor());
  kept->start();
  return kept;
}

Result<> KeptMessages::begin_at_head() {
  return tables_.transaction([this]() -> Result<> {
    for (Partition p = 0; p < log_.partitions(); ++p)
      TRY(tables_.run("INSERT INTO cursor VALUES (?, ?) ON CONFLICT DO NOTHING", p, log_.head(p)));
    return {};
  });
}

Result<> KeptMessages::read_cursor() {
  TRY(begin_at_head());
  TRY_LET(const auto rows, tables_.query("SELECT partition, next FROM cursor"));
  for (const auto& row : rows) {
    const auto partition = static_cast<std::size_t>(storage::integer(row[0]));
    if (partition < logs_.size()) logs_[partition].cursor = static_cast<Offset>(storage::integer(row[1]));
  }
  // A cursor beyond the head is of another log (the folder was put together by hand): it would hide what comes.
  for (Partition p = 0; p < logs_.size(); ++p) logs_[p].cursor = std::min(logs_[p].cursor, log_.next(p));
  TRY_LET(const auto last,
          tables_.query("SELECT max(id) FROM (SELECT max(id) AS id FROM delivery UNION SELECT max(id) FROM will)"));
  next_id_ = static_cast<std::uint64_t>(storage::integer(last[0][0])) + 1;
  return {};
}

KeptMessages::~KeptMessages() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (const Done& done : waiting_) done(fail(Fault::unavailable, "the server ends"));
}

void KeptMessages::close() {
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  look_at_log();
  Result<> written = write_in_hand();  // left over from a table that could not be written
  if (written) waiting = take_changes();
  if (written) written = write_in_hand();
  if (!written) log::error("hub", "what waits for MQTT clients is not all on disk: {}", written.error().message);
  for (const Done& done : waiting) done(written);
  thread_ = std::thread([] {});  // for the destructor
}

// -- Changes ---------------------------------------------------------------------------------------------------------

bool KeptMessages::Changes::empty() const {
  return forgotten.empty() && deliveries.empty() && identifiers.empty() && retained.empty() && wills.empty() && cursor.empty();
}

void KeptMessages::urgent(Done done) {
  waiting_.push_back(std::move(done));
  urgent_ = true;
  wake_.notify_one();
}

void KeptMessages::begin(Partition partition) {
  const std::lock_guard lock(mutex_);
  ++logs_[partition].under_way;
}

void KeptMessages::refused(Partition partition) {
  const std::lock_guard lock(mutex_);
  --logs_[partition].under_way;
}

void KeptMessages::stored(const MqttKeptIdentifier& identifier, const MqttPlace& at) {
  if (identifier.packet_id != 0) unreleased(identifier, at);
}

void KeptMessages::unreleased(const MqttKeptIdentifier& identifier, const MqttPlace& at) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  changes_.identifiers[{identifier.session, identifier.packet_id}] = {identifier.since, at, false};
}

std::uint64_t KeptMessages::published(const net::MqttMessagePtr& message, Retained retained, std::span<const Waiting> waiting) {
  const MqttPlace place = *message->kept_at;
  const std::lock_guard lock(mutex_);
  const std::uint64_t first = next_id_;
  next_id_ += waiting.size();
  if (closed_) return first;
  if (retained != Retained::unchanged) changes_.retained[message->topic] = retained == Retained::set ? message : nullptr;
  for (std::size_t i = 0; i < waiting.size(); ++i)
    changes_.deliveries.emplace_hint(changes_.deliveries.end(), first + i, Delivery{waiting[i], place});
  Log& log = logs_[place.partition];
  if (log.under_way > 0) --log.under_way;  // a replayed one was not begun
  log.cursor = std::max(log.cursor, place.offset + 1);
  changes_.cursor[place.partition] = log.cursor;
  if (changes_.deliveries.size() > many_changes) wake_.notify_one();
  return first;
}

std::uint64_t KeptMessages::wait(const net::MqttMessagePtr& message, const Waiting& waiting) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = next_id_++;
  if (!closed_) changes_.deliveries.emplace_hint(changes_.deliveries.end(), id, Delivery{waiting, *message->kept_at});
  return id;
}

void KeptMessages::sent(std::uint64_t id, mqtt::PacketId packet_id, Done done) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  changes_.deliveries[id].packet_id = packet_id;
  urgent(std::move(done));
}

void KeptMessages::received(std::uint64_t id, Done done) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  changes_.deliveries[id].received = true;
  urgent(std::move(done));
}

void KeptMessages::settled(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  Delivery& delivery = changes_.deliveries[id];
  if (delivery.added)
    changes_.deliveries.erase(id);  // nobody ever needs to know
  else
    delivery.gone = true;
}

void KeptMessages::released(const std::string& session, mqtt::PacketId packet_id, Done done) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  changes_.identifiers[{session, packet_id}].released = true;
  urgent(std::move(done));
}

void KeptMessages::forget_retained(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  if (!closed_) changes_.retained[topic] = nullptr;
}

std::uint64_t KeptMessages::hold_will(net::MqttKeptWill will) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = will.id = next_id_++;
  if (closed_) return id;
  changes_.wills[id] = std::move(will);
  urgent([](const Result<>&) {});
  return id;
}

void KeptMessages::drop_will(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  changes_.wills[id].reset();
  urgent([](const Result<>&) {});
}

void KeptMessages::forget_session(const std::string& session) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  std::erase_if(changes_.deliveries, [&](const auto& each) { return each.second.added && each.second.added->session == session; });
  const auto first = changes_.identifiers.lower_bound({session, 0});
  const auto last = changes_.identifiers.upper_bound({session, mqtt::PacketId{65535}});
  changes_.identifiers.erase(first, last);
  changes_.forgotten.push_back({session, next_id_});
}

// -- The thread ------------------------------------------------------------------------------------------------------

/// What is not of the open namespace moves the cursor too, else the next start would read through it all.
void KeptMessages::look_at_log() {
  std::vector<Offset> heads;
  for (Partition p = 0; p < logs_.size(); ++p) heads.push_back(log_.head(p));  // before we ask what is under way
  const std::lock_guard lock(mutex_);
  for (Partition p = 0; p < logs_.size(); ++p) {
    if (logs_[p].under_way > 0 || heads[p] <= logs_[p].cursor) continue;
    logs_[p].cursor = heads[p];
    changes_.cursor[p] = heads[p];
  }
}

std::vector<KeptMessages::Done> KeptMessages::take_changes() {
  const std::lock_guard lock(mutex_);
  in_hand_ = std::exchange(changes_, {});
  urgent_ = false;
  return std::exchange(waiting_, {});
}

void KeptMessages::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, longest_wait, [&] { return urgent_ || stopping_ || changes_.deliveries.size() > many_changes; });
      if (stopping_) return;
    }
    look_at_log();
    std::vector<Done> waiting;
    Result<> written = write_in_hand();  // of an earlier attempt
    if (written) {
      waiting = take_changes();
      written = write_in_hand();
    } else {
      const std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
      urgent_ = false;
    }
    if (!written)
      log::error("hub", "what waits for MQTT clients cannot be written: {}; it is tried again", written.error().message);
    for (const Done& done : waiting) done(written);
  }
}

Result<> KeptMessages::write_in_hand() {
  if (in_hand_.empty()) return {};
  TRY(tables_.transaction([this] { return write(in_hand_); }));
  in_hand_ = {};
  return {};
}

Result<> KeptMessages::write(const Changes& changes) {
  for (const auto& [session, before] : changes.forgotten) {
    TRY(tables_.run("DELETE FROM delivery WHERE session = ? AND id < ?", session, before));
    TRY(tables_.run("DELETE FROM identifier WHERE session = ?", session));
  }
  TRY(write_deliveries(changes));
  TRY(write_identifiers(changes));
  for (const auto& [topic, message] : changes.retained) TRY(write_retained(topic, message));
  for (const auto& [id, will] : changes.wills) TRY(write_will(id, will));
  for (const auto& [partition, next] : changes.cursor)
    TRY(tables_.run("INSERT OR REPLACE INTO cursor VALUES (?, ?)", partition, next));
  return {};
}

Result<> KeptMessages::write_retained(const std::string& topic, const net::MqttMessagePtr& message) {
  if (!message) {
    TRY(tables_.run("DELETE FROM retained WHERE topic = ?", topic));
    return {};
  }
  mqtt::Publish publish;
  publish.topic = message->topic;
  publish.payload = message->payload;
  publish.qos = message->qos;
  publish.packet_id = message->qos == mqtt::QoS::at_most_once ? 0 : 1;
  publish.retain = true;
  publish.properties = message->properties;
  Blob packet;
  mqtt::encode(packet.bytes, publish, mqtt::Version::v5);
  storage::Cell expires_at = nullptr;
  if (message->expires_at) expires_at = micros(*message->expires_at);
  TRY(tables_.run_cells("INSERT OR REPLACE INTO retained VALUES (?, ?, ?, ?, ?)",
                        {topic, std::int64_t{message->kept_at->partition}, static_cast<std::int64_t>(message->kept_at->offset),
                         expires_at, std::move(packet)}));
  return {};
}

Result<> KeptMessages::write_will(std::uint64_t id, const std::optional<net::MqttKeptWill>& will) {
  if (!will) {
    TRY(tables_.run("DELETE FROM will WHERE id = ?", id));
    return {};
  }
  mqtt::Connect connect;
  connect.protocol_level = 5;
  connect.will = will->will;
  Blob packet;
  mqtt::encode(packet.bytes, connect, mqtt::Version::v5);
  TRY(tables_.run("INSERT OR REPLACE INTO will VALUES (?, ?, ?, ?, ?)", id, will->session, micros(will->due), will->from,
                  std::move(packet)));
  return {};
}

Result<> KeptMessages::write_deliveries(const Changes& changes) {
  for (const auto& [id, delivery] : changes.deliveries) {
    if (delivery.gone) {
      TRY(tables_.run("DELETE FROM delivery WHERE id = ?", id));
    } else if (delivery.added) {
      const Waiting& waiting = *delivery.added;
      TRY(tables_.run("INSERT OR REPLACE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", id, waiting.session,
                      delivery.place.partition, delivery.place.offset, static_cast<int>(waiting.qos), waiting.retain,
                      fmt::format("{}", fmt::join(waiting.subscription_ids, ",")), delivery.packet_id, delivery.received));
    } else {
      TRY(
          tables_.run("UPDATE delivery SET packet_id = CASE ?1 WHEN 0 THEN packet_id ELSE ?1 END, received = received OR ?2 "
                      "WHERE id = ?3",
                      delivery.packet_id, delivery.received, id));
    }
  }
  return {};
}

/// A released identifier stays while a replay could still find its message and take it for one that is not released.
Result<> KeptMessages::write_identifiers(const Changes& changes) {
  for (const auto& [key, identifier] : changes.identifiers) {
    if (identifier.since) {
      TRY(tables_.run("INSERT OR REPLACE INTO identifier VALUES (?, ?, ?, ?, ?, ?)", key.first, key.second,
                      micros(*identifier.since), identifier.place.partition, identifier.place.offset, identifier.released));
    } else {
      TRY(tables_.run("UPDATE identifier SET released = 1 WHERE session = ? AND packet_id = ?", key.first, key.second));
    }
  }
  if (changes.identifiers.empty()) return {};
  // By the cursor of the table as it was: what it says now is in this very transaction.
  TRY(
      tables_.run("DELETE FROM identifier WHERE released = 1 AND record < "
                  "(SELECT next FROM cursor WHERE cursor.partition = identifier.partition)"));
  return {};
}

}  // namespace nacelle::hub
