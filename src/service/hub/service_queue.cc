#include "service/hub/service_queue.h"

#include "foundation/random.h"

namespace nacelle::hub {
namespace {

Failure lock_lost() { return fail(Fault::conflict, "nothing is locked by this token, or not any more"); }

}  // namespace

Result<> ServiceQueue::add(std::string_view queue, const json::Value& record) {
  TRY(tables_.run("INSERT INTO service_message (queue, record, enqueued_at, lock_token, locked_until) VALUES (?, ?, ?, '', 0)",
                  queue, json::print(record), unix_seconds(clock_.now())));
  TRY(
      tables_.run("DELETE FROM service_message WHERE sequence IN (SELECT sequence FROM service_message WHERE queue = ? "
                  "ORDER BY sequence DESC LIMIT -1 OFFSET ?)",
                  queue, most_records));
  return {};
}

Result<std::optional<ServiceQueue::Batch>> ServiceQueue::receive(std::string_view queue, std::int64_t most) {
  const std::int64_t now = unix_seconds(clock_.now());
  Batch batch;
  batch.lock_token = random_uuid();
  TRY_LET(const auto locked, tables_.run("UPDATE service_message SET lock_token = ?, locked_until = ? WHERE sequence IN "
                                         "(SELECT sequence FROM service_message WHERE queue = ? AND locked_until <= ? "
                                         "ORDER BY sequence LIMIT ?)",
                                         batch.lock_token, now + lock_time.count(), queue, now, most));
  if (locked == 0) return std::optional<Batch>{};
  TRY_LET(const auto rows, tables_.query("SELECT record FROM service_message WHERE queue = ? AND lock_token = ? ORDER BY sequence",
                                         queue, batch.lock_token));
  for (const auto& row : rows) {
    TRY_LET(json::Value record, json::parse(storage::text(row[0])));
    batch.records.push_back(std::move(record));
  }
  return std::optional<Batch>(std::move(batch));
}

Result<> ServiceQueue::complete(std::string_view queue, std::string_view lock_token) {
  TRY_LET(const auto gone,
          tables_.run("DELETE FROM service_message WHERE queue = ? AND lock_token = ? AND lock_token <> '' AND locked_until > ?",
                      queue, lock_token, unix_seconds(clock_.now())));
  if (gone == 0) return lock_lost();
  return {};
}

Result<> ServiceQueue::abandon(std::string_view queue, std::string_view lock_token) {
  TRY_LET(const auto freed, tables_.run("UPDATE service_message SET lock_token = '', locked_until = 0 "
                                        "WHERE queue = ? AND lock_token = ? AND lock_token <> '' AND locked_until > ?",
                                        queue, lock_token, unix_seconds(clock_.now())));
  if (freed == 0) return lock_lost();
  return {};
}

Result<> ServiceQueue::expire() {
  TRY(tables_.run("DELETE FROM service_message WHERE enqueued_at <= ?", unix_seconds(clock_.now() - life)));
  return {};
}

}  // namespace nacelle::hub
