#pragma once
// Events: reading messages back from the log, by consumer groups with checkpoints (the built-in endpoint `events`).

#include <map>
#include <optional>
#include <string>

#include "codec/json/value.h"
#include "domain/telemetry/message.h"
#include "foundation/snapshot.h"
#include "net/http/message.h"
#include "service/hub/commit_signal.h"
#include "service/hub/disk.h"
#include "service/hub/routes.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Where a reader is: the next offset of each partition it reads.
using Positions = std::map<storage::Partition, storage::Offset>;

struct EventQuery {
  enum class From { checkpoint, start, end, time };

  std::string consumer_group = "$Default";
  std::string device;                           ///< empty: all
  std::optional<storage::Partition> partition;  ///< nothing: all
  From from = From::checkpoint;                 ///< a group without one: the start
  Timestamp since{};                            ///< of From::time: what was enqueued then or later
  std::size_t max_events = 100;
  std::chrono::seconds wait{20};
  std::optional<Positions> next;  ///< continues an earlier answer; `from` then does not count

  /// Of a request's query part. Fault::invalid_input names the parameter.
  static Result<EventQuery> parse(const net::HttpRequest& request);
};

/// `{"0":13,"1":2}`. Fault::invalid_input.
Result<Positions> parse_positions(const json::Value& document);

/// A message as this endpoint, and a webhook, show it: partition, offset, properties, and the body as JSON or base64.
json::Value event_document(storage::Partition partition, storage::Offset offset, const telemetry::Message& message);

class Events {
 public:
  /// Which messages the built-in endpoint has, and what is put on them, by the routes as they are when it is read.
  struct Routing {
    const Snapshot<Routes>& routes;
    const route::TwinLookup& twins;
    std::string hub;
  };
  Events(const storage::EventLog& log, CommitSignal& commits, storage::Database& tables, Disk& disk, Routing routing)
      : log_(log), commits_(commits), tables_(tables), disk_(disk), routing_(std::move(routing)) {}

  /// `{"events":[..],"next":{..}}`; waits up to `query.wait` for the first one.
  awaitable<Result<json::Value>> read(EventQuery query);
  /// Durable when it is back. Fault::invalid_input for a partition the log does not have, or an offset beyond its end.
  awaitable<Result<>> checkpoint(std::string consumer_group, Positions next);

  /// `{"consumerGroups":[{"name","partitions":[{"partition","next","behind"}],"behind"}]}`: groups that have a checkpoint, by name.
  Result<json::Value> consumer_groups() const;
  /// One of them. Fault::not_found.
  Result<json::Value> consumer_group(const std::string& name) const;
  /// Forgets its checkpoints. Fault::not_found.
  Result<> forget(const std::string& consumer_group);
  /// `{"partitions":[{"partition","oldest","head","next"}]}`: where the log begins and ends.
  json::Value partitions() const;

 private:
  struct Found {
    json::Array events;
    Positions next;
    bool at_head = true;  ///< nothing more was there to look at
  };
  awaitable<Result<Positions>> begin(EventQuery query);
  Result<Found> look(const EventQuery& query, Positions next) const;
  Result<Positions> checkpoint_of(const std::string& consumer_group) const;
  json::Value group_document(const std::string& name, const Positions& checkpoint) const;

  const storage::EventLog& log_;
  CommitSignal& commits_;
  storage::Database& tables_;
  Disk& disk_;
  const Routing routing_;
};

}  // namespace nacelle::hub
