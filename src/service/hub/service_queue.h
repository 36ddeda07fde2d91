#pragma once
// ServiceQueue: what the hub has to tell services: feedback about messages to devices, and files that have come in
// (wire facts 2.7, 3, 7.3). Each record is handed out under a lock and goes when the service completes it.

#include <optional>
#include <string>
#include <string_view>

#include "codec/json/value.h"
#include "foundation/clock.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Belongs to the tables strand. Every change is durable when the call is back.
class ServiceQueue {
 public:
  static constexpr std::string_view feedback = "feedback";
  static constexpr std::string_view file_notifications = "filenotifications";

  static constexpr std::int64_t batch_size = 64;

  ServiceQueue(storage::Database& tables, const Clock& clock) : tables_(tables), clock_(clock) {}

  /// Beyond most_records of a queue the oldest goes: nobody reads them.
  Result<> add(std::string_view queue, const json::Value& record);

  struct Batch {
    std::string lock_token;
    json::Array records;
  };
  /// The oldest records nobody has locked, at most `most`, locked for lock_time; nothing if there are none.
  Result<std::optional<Batch>> receive(std::string_view queue, std::int64_t most = batch_size);
  /// Removes a batch. Fault::conflict if its lock was lost.
  Result<> complete(std::string_view queue, std::string_view lock_token);
  /// Gives a batch back. Fault::conflict if its lock was lost.
  Result<> abandon(std::string_view queue, std::string_view lock_token);
  /// Drops what is older than `life`.
  Result<> expire();

  static constexpr std::int64_t most_records = 10'000;
  static constexpr std::chrono::seconds lock_time{60};
  static constexpr std::chrono::hours life{48};

 private:
  storage::Database& tables_;
  const Clock& clock_;
};

}  // namespace nacelle::hub
