#include "service/hub/cloud_to_device.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"

namespace nacelle::hub {
namespace {

using device::DeviceId;
using telemetry::Message;

// A topic holds 65535 bytes; the property bag is the long part of one.
constexpr std::size_t longest_bag = 60'000;

constexpr std::string_view success = "Success";
constexpr std::string_view expired = "Expired";
constexpr std::string_view rejected = "Rejected";
constexpr std::string_view purged = "Purged";
constexpr std::string_view too_often = "DeliveryCountExceeded";

device::IdentityName name_of(const DeviceId& device) { return {device, {}}; }

Result<> check_ack(std::string_view ack) {
  for (const std::string_view known : {"", "none", "positive", "negative", "full"})
    if (ack == known) return {};
  return fail(Fault::invalid_input, "message: ack: expected none, positive, negative or full");
}

/// Whether the sender asked to hear of this outcome.
bool wants(std::string_view ack, std::string_view outcome) {
  return ack == "full" || ack == (outcome == success ? "positive" : "negative");
}

}  // namespace

Result<std::unique_ptr<CloudToDevice>> CloudToDevice::open(storage::Database& table_file, Registry& registry,
                                                           ServiceQueue& services, Executor tables, Counters& counters,
                                                           const Clock& clock, Outlet outlet) {
  std::unique_ptr<CloudToDevice> made(
      new CloudToDevice(table_file, registry, services, std::move(tables), counters, clock, std::move(outlet)));
  TRY(made->load());
  return made;
}

Result<> CloudToDevice::load() {
  TRY_LET(const auto rows, tables_.query("SELECT device, count(*) FROM cloud_message GROUP BY device"));
  for (const auto& row : rows) count(DeviceId(storage::text(row[0])), storage::integer(row[1]));
  return {};
}

void CloudToDevice::count(const DeviceId& device, std::int64_t change) {
  auto& waiting = waiting_[device];
  waiting += change;
  counters_.messages_waiting += change;
  registry_.note_messages(name_of(device), static_cast<int>(waiting));
  if (waiting == 0) waiting_.erase(device);
}

std::int64_t CloudToDevice::waiting(const DeviceId& device) const {
  const auto at = waiting_.find(device);
  return at == waiting_.end() ? 0 : at->second;
}

Result<CloudToDevice::Receipt> CloudToDevice::send(const DeviceId& device, Message message) {
  const Timestamp now = clock_.now();
  Receipt receipt;
  receipt.expires_at = now + default_life;
  TRY(check_ack(message.system.get("ack")));
  if (const auto expiry = message.system.get("expiryTimeUtc"); !expiry.empty()) {
    TRY_LET(receipt.expires_at, in(parse_iso8601(expiry), "message: expiry"));
    if (receipt.expires_at > now + longest_life)
      return fail(Fault::invalid_input, fmt::format("message: expiry: at most {} hours from now", longest_life.count()));
  }
  receipt.message_id = message.system.get("messageId");
  if (receipt.message_id.empty()) receipt.message_id = random_uuid();
  message.system.set("messageId", receipt.message_id);
  message.system.set("to", fmt::format("/devices/{}/messages/devicebound", device.str()));
  message.enqueued_at = now;
  if (message.size_in_bytes() > telemetry::max_message_bytes)
    return fail(Fault::invalid_input,
                fmt::format("message: at most {} bytes, body and properties together", telemetry::max_message_bytes));
  if (telemetry::print_property_bag(message, false).size() > longest_bag)
    return fail(Fault::invalid_input, "message: the properties are longer than a topic can carry");
  if (waiting(device) >= max_waiting)
    return fail(Fault::exhausted, fmt::format("{} messages wait for '{}', the most that may", max_waiting, device.str()));

  TRY(
      tables_.run("INSERT INTO cloud_message (device, record, expires_at, delivery_count, lock_token, locked_until) "
                  "VALUES (?, ?, ?, 0, '', 0)",
                  device.str(), storage::Blob{telemetry::encode_record(message)}, unix_seconds(receipt.expires_at)));
  receipt.sequence = tables_.last_insert_id();
  ++counters_.messages_sent;
  count(device, 1);
  deliver(device);
  return receipt;
}

void CloudToDevice::deliver(const DeviceId& device) {
  if (closed_ || waiting(device) == 0) return;
  if (outlet_.wake && outlet_.wake(name_of(device))) return;
  if (!outlet_.listening(name_of(device))) return;
  const std::int64_t now = unix_seconds(clock_.now());
  const auto rows = tables_.query(
      "SELECT sequence, record FROM cloud_message WHERE device = ? AND locked_until <= ? AND expires_at > ? ORDER BY sequence",
      device.str(), now, now);
  if (!rows) return log::error("hub", "messages for '{}': {}", device.str(), rows.error().message);
  for (const auto& row : *rows) {
    const std::int64_t sequence = storage::integer(row[0]);
    if (on_their_way_[device].contains(sequence)) continue;
    const auto message = telemetry::decode_record(storage::blob(row[1]));
    if (message)
      pass_on(device, sequence, *message);
    else
      log::error("hub", "message {} for '{}': {}", sequence, device.str(), message.error().message);
  }
}

void CloudToDevice::pass_on(const DeviceId& device, std::int64_t sequence, const Message& message) {
  on_their_way_[device].insert(sequence);
  // `this` is below the strand's threads: what they still run, they run before it goes.
  outlet_.deliver(name_of(device), message, [this, strand = strand_, device, sequence](const Result<>& result) {
    asio::post(strand, [this, device, sequence, result] { delivered(device, sequence, result); });
  });
}

void CloudToDevice::delivered(const DeviceId& device, std::int64_t sequence, const Result<>& result) {
  const auto at = on_their_way_.find(device);
  if (at == on_their_way_.end() || at->second.erase(sequence) == 0) return;
  if (at->second.empty()) on_their_way_.erase(at);
  // Not taken by the device: it waits until the device is there again.
  if (!result && result.error().fault != Fault::invalid_input) return;
  const auto ended = end(device, sequence, result ? success : rejected);
  if (!ended) log::error("hub", "message {} for '{}' will be sent again: {}", sequence, device.str(), ended.error().message);
}

Result<> CloudToDevice::end(const DeviceId& device, std::int64_t sequence, std::string_view outcome) {
  TRY_LET(const auto rows,
          tables_.query("SELECT record FROM cloud_message WHERE device = ? AND sequence = ?", device.str(), sequence));
  if (rows.empty()) return {};  // it expired or was purged on its way
  const auto write = [&]() -> Result<> {
    TRY(tables_.run("DELETE FROM cloud_message WHERE device = ? AND sequence = ?", device.str(), sequence));
    const auto message = telemetry::decode_record(storage::blob(rows[0][0]));
    if (!message) return {};
    return tell_services(device, *message, outcome);
  };
  TRY(tables_.transaction(write));
  ++(outcome == success ? counters_.messages_completed : counters_.messages_dead_lettered);
  count(device, -1);
  return {};
}

/// Wire facts 7.3.
Result<> CloudToDevice::tell_services(const DeviceId& device, const Message& message, std::string_view outcome) {
  const IdentityPtr identity = registry_.identities().find(name_of(device));
  if (!identity || !wants(message.system.get("ack"), outcome)) return {};
  const json::Value record = json::Object{{"originalMessageId", message.system.get("messageId")}, {"description", outcome},
                                          {"deviceGenerationId", identity->generation_id},        {"deviceId", device.str()},
                                          {"enqueuedTimeUtc", format_iso8601(clock_.now())},      {"statusCode", outcome}};
  return services_.add(ServiceQueue::feedback, record);
}

Result<std::optional<CloudToDevice::Locked>> CloudToDevice::receive(const DeviceId& device) {
  if (waiting(device) == 0) return std::optional<Locked>{};
  const std::int64_t now = unix_seconds(clock_.now());
  TRY_LET(const auto rows, tables_.query("SELECT sequence, record, delivery_count FROM cloud_message "
                                         "WHERE device = ? AND locked_until <= ? AND expires_at > ? ORDER BY sequence",
                                         device.str(), now, now));
  const auto on_their_way = on_their_way_.find(device);
  for (const auto& row : rows) {
    Locked locked;
    locked.sequence = storage::integer(row[0]);
    if (on_their_way != on_their_way_.end() && on_their_way->second.contains(locked.sequence)) continue;
    TRY_LET(locked.message, telemetry::decode_record(storage::blob(row[1])));
    locked.delivery_count = storage::integer(row[2]);
    locked.lock_token = random_uuid();
    TRY(tables_.run("UPDATE cloud_message SET lock_token = ?, locked_until = ? WHERE sequence = ?", locked.lock_token,
                    now + lock_time.count(), locked.sequence));
    return std::optional<Locked>(std::move(locked));
  }
  return std::optional<Locked>{};
}

Result<> CloudToDevice::settle(const DeviceId& device, std::string_view lock_token, Settlement how) {
  const std::int64_t now = unix_seconds(clock_.now());
  TRY_LET(const auto rows,
          tables_.query("SELECT sequence, delivery_count FROM cloud_message "
                        "WHERE device = ? AND lock_token = ? AND lock_token <> '' AND locked_until > ? AND expires_at > ?",
                        device.str(), lock_token, now, now));
  if (rows.empty()) return fail(Fault::conflict, "no message is locked by this token, or not any more");
  const std::int64_t sequence = storage::integer(rows[0][0]);
  if (how == Settlement::complete) return end(device, sequence, success);
  if (how == Settlement::reject) return end(device, sequence, rejected);
  const std::int64_t deliveries = storage::integer(rows[0][1]) + 1;
  if (deliveries >= max_deliveries) return end(device, sequence, too_often);
  TRY(tables_.run("UPDATE cloud_message SET delivery_count = ?, lock_token = '', locked_until = 0 WHERE sequence = ?", deliveries,
                  sequence));
  deliver(device);
  return {};
}

Result<std::int64_t> CloudToDevice::purge(const DeviceId& device) {
  TRY_LET(const auto rows, tables_.query("SELECT sequence FROM cloud_message WHERE device = ? ORDER BY sequence", device.str()));
  for (const auto& row : rows) TRY(end(device, storage::integer(row[0]), purged));
  return static_cast<std::int64_t>(rows.size());
}

Result<> CloudToDevice::sweep() {
  TRY_LET(const auto rows,
          tables_.query("SELECT device, sequence FROM cloud_message WHERE expires_at <= ? ORDER BY sequence LIMIT 1000",
                        unix_seconds(clock_.now())));
  for (const auto& row : rows) TRY(end(DeviceId(storage::text(row[0])), storage::integer(row[1]), expired));
  TRY(services_.expire());
  std::vector<DeviceId> devices;
  for (const auto& [device, waiting] : waiting_) devices.push_back(device);
  for (const auto& device : devices) deliver(device);
  return {};
}

void CloudToDevice::forget(const DeviceId& device) {
  if (const std::int64_t before = waiting(device)) count(device, -before);
  on_their_way_.erase(device);
}

}  // namespace nacelle::hub
