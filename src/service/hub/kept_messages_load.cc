// What is read at the start.

#include <algorithm>
#include <deque>

#include "codec/text/encoding.h"
#include "domain/telemetry/record.h"
#include "foundation/log.h"
#include "service/endpoint/published.h"
#include "service/hub/kept_messages.h"

namespace nacelle::hub {

using net::MqttPlace;
using storage::Offset;
using storage::Partition;

namespace {

constexpr ByteCount read_at_once = 1_MiB;

std::uint64_t unsigned_of(const storage::Cell& cell) { return static_cast<std::uint64_t>(storage::integer(cell)); }
Timestamp time(const storage::Cell& cell) { return Timestamp{std::chrono::microseconds{storage::integer(cell)}}; }
MqttPlace place(const storage::Cell& partition, const storage::Cell& record) {
  return {static_cast<std::uint32_t>(unsigned_of(partition)), unsigned_of(record)};
}

Result<net::MqttMessagePtr> read_retained(const storage::Row& row) {
  TRY_LET(const auto packet, mqtt::decode(storage::blob(row[3]), mqtt::Version::v5));
  const auto* publish = std::get_if<mqtt::Publish>(&packet);
  if (publish == nullptr) return fail(Fault::corrupt, "a retained message is no PUBLISH");
  auto message = net::make_message(*publish, Timestamp{});
  message->kept_at = place(row[0], row[1]);
  if (!std::holds_alternative<std::nullptr_t>(row[2])) message->expires_at = time(row[2]);
  return net::MqttMessagePtr(std::move(message));
}

Result<net::MqttKeptWill> read_will(const storage::Row& row) {
  TRY_LET(auto packet, mqtt::decode(storage::blob(row[4])));
  auto* connect = std::get_if<mqtt::Connect>(&packet);
  if (connect == nullptr || !connect->will) return fail(Fault::corrupt, "a delayed will is no CONNECT with a will");
  return net::MqttKeptWill{unsigned_of(row[0]), storage::text(row[1]), time(row[2]), *std::move(connect->will),
                           storage::text(row[3])};
}

/// The records of one partition from an offset on, that are open messages.
class Tail {
 public:
  Tail(const storage::EventLog& log, Partition partition, Offset from) : log_(log), partition_(partition), next_(from) {}

  Partition partition() const { return partition_; }
  /// The next one; null at the end.
  Result<const storage::LogRecord*> front() {
    while (records_.empty()) {
      TRY_LET(auto read, log_.read(partition_, next_, read_at_once));
      if (read.empty()) return nullptr;
      next_ = read.back().offset + 1;
      for (auto& record : read)
        if (telemetry::was_published(record.payload)) records_.push_back(std::move(record));
    }
    return &records_.front();
  }
  void pop() { records_.pop_front(); }

 private:
  const storage::EventLog& log_;
  const Partition partition_;
  Offset next_;
  std::deque<storage::LogRecord> records_;
};

Result<endpoint::Published> published_of(Partition partition, const storage::LogRecord& record) {
  TRY_LET(const telemetry::Message message, telemetry::decode_record(record.payload));
  TRY_LET(endpoint::Published published, endpoint::read_published(message));
  published.message->kept_at = MqttPlace{partition, record.offset};
  return published;
}

}  // namespace

Result<net::MqttKeptMessages> KeptMessages::load() {
  net::MqttKeptMessages kept;
  TRY_LET(const auto retained, tables_.query("SELECT partition, record, expires_at, packet FROM retained"));
  for (const auto& row : retained) {
    auto message = read_retained(row);
    if (message)
      kept.retained.push_back(*std::move(message));
    else
      log::error("hub", "a retained message is lost: {}", message.error().message);
  }
  TRY_LET(kept.deliveries, load_deliveries());
  TRY_LET(const auto identifiers, tables_.query("SELECT session, since, packet_id FROM identifier WHERE released = 0"));
  for (const auto& row : identifiers)
    kept.identifiers.push_back({storage::text(row[0]), time(row[1]), static_cast<mqtt::PacketId>(unsigned_of(row[2]))});
  TRY_LET(const auto wills, tables_.query("SELECT id, session, due, sender, packet FROM will ORDER BY id"));
  for (const auto& row : wills) {
    auto will = read_will(row);
    if (will)
      kept.wills.push_back(*std::move(will));
    else
      log::error("hub", "{}: its will is lost: {}", storage::text(row[1]), will.error().message);
  }
  return kept;
}

/// A message is in the log; one that was retained when its session got it may be older than what the log keeps.
Result<std::vector<net::MqttKeptDelivery>> KeptMessages::load_deliveries() {
  TRY_LET(const auto rows,
          tables_.query("SELECT id, session, partition, record, qos, retain, subscription_ids, packet_id, received "
                        "FROM delivery ORDER BY id"));
  std::vector<MqttPlace> places;
  for (const auto& row : rows) places.push_back(place(row[2], row[3]));
  TRY_LET(const auto messages, find_messages(std::move(places)));
  std::vector<net::MqttKeptDelivery> deliveries;
  std::size_t lost = 0;
  for (const auto& row : rows) {
    const MqttPlace at = place(row[2], row[3]);
    const auto message = messages.find({at.partition, at.offset});
    if (message == messages.end()) {
      ++lost;
      settled(unsigned_of(row[0]));
      continue;
    }
    net::MqttKeptDelivery delivery;
    delivery.id = unsigned_of(row[0]);
    delivery.session = storage::text(row[1]);
    delivery.message = message->second;
    delivery.qos = static_cast<mqtt::QoS>(std::min<std::uint64_t>(unsigned_of(row[4]), 2));
    delivery.retain = unsigned_of(row[5]) != 0;
    if (!storage::text(row[6]).empty()) {
      for (const auto id : text::split(storage::text(row[6]), ',')) {
        TRY_LET(const std::int64_t value, text::parse_integer(id, "a subscription identifier"));
        delivery.subscription_ids.push_back(static_cast<std::uint32_t>(value));
      }
    }
    delivery.packet_id = static_cast<mqtt::PacketId>(unsigned_of(row[7]));
    delivery.received = unsigned_of(row[8]) != 0;
    deliveries.push_back(std::move(delivery));
  }
  if (lost > 0) log::warn("hub", "{} messages that wait for MQTT clients are older than what the event log keeps: dropped", lost);
  return deliveries;
}

/// In the order of the log, so that neighbours are read together.
Result<std::map<std::pair<Partition, Offset>, net::MqttMessagePtr>> KeptMessages::find_messages(
    std::vector<MqttPlace> places) const {
  std::map<std::pair<Partition, Offset>, net::MqttMessagePtr> found;
  TRY_LET(const auto retained, tables_.query("SELECT partition, record, expires_at, packet FROM retained"));
  for (const auto& row : retained) {
    const MqttPlace at = place(row[0], row[1]);
    if (const auto message = read_retained(row)) found[{at.partition, at.offset}] = *message;
  }
  std::sort(places.begin(), places.end(),
            [](const auto& a, const auto& b) { return std::pair(a.partition, a.offset) < std::pair(b.partition, b.offset); });
  places.erase(std::unique(places.begin(), places.end()), places.end());
  std::vector<storage::LogRecord> piece;
  std::size_t used = 0;
  Partition partition = 0;
  for (const MqttPlace& wanted : places) {
    if (wanted.partition >= log_.partitions()) continue;
    while (used < piece.size() && partition == wanted.partition && piece[used].offset < wanted.offset) ++used;
    if (used == piece.size() || partition != wanted.partition || piece[used].offset > wanted.offset) {
      TRY_LET(piece, log_.read(wanted.partition, wanted.offset, read_at_once));
      partition = wanted.partition;
      used = 0;
    }
    if (used == piece.size() || piece[used].offset != wanted.offset) continue;
    const auto published = published_of(partition, piece[used]);
    if (published) found.try_emplace({wanted.partition, wanted.offset}, published->message);
  }
  return found;
}

/// Partitions are merged by the time of appending: what one client published after it was told of another's comes after it.
Result<> KeptMessages::replay(const std::function<void(const net::MqttReplayed&)>& take) {
  std::map<std::pair<std::string, std::uint64_t>, MqttPlace> known;  // identifiers, released or not
  TRY_LET(const auto rows, tables_.query("SELECT session, packet_id, partition, record FROM identifier"));
  for (const auto& row : rows) known[{storage::text(row[0]), unsigned_of(row[1])}] = place(row[2], row[3]);
  std::vector<Tail> tails;
  for (Partition p = 0; p < log_.partitions(); ++p) tails.emplace_back(log_, p, logs_[p].cursor);
  std::size_t count = 0;
  while (true) {
    Tail* earliest = nullptr;
    const storage::LogRecord* record = nullptr;
    for (Tail& tail : tails) {
      TRY_LET(const storage::LogRecord* front, tail.front());
      if (front == nullptr || (record != nullptr && record->appended_at <= front->appended_at)) continue;
      record = front;
      earliest = &tail;
    }
    if (earliest == nullptr) break;
    auto published = published_of(earliest->partition(), *record);
    if (published) {
      const auto& identifier = published->identifier;
      const auto at = known.find({identifier.session, identifier.packet_id});
      const bool superseded =
          at != known.end() && at->second.partition == earliest->partition() && at->second.offset >= record->offset;
      net::MqttReplayed replayed{published->message, identifier.session, record->appended_at, identifier};
      if (superseded) replayed.unsettled.packet_id = 0;
      take(replayed);
      ++count;
    } else {
      log::error("hub", "partition {}, offset {}: {}", earliest->partition(), record->offset, published.error().message);
    }
    earliest->pop();
  }
  if (count > 0) log::info("hub", "{} messages were published once more after an unclean end", count);
  return {};
}

}  // namespace nacelle::hub
