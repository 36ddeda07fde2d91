#pragma once
// MessageStore: the edge's store-and-forward: one durable spool for each (endpoint, priority), made when first needed and
// found again at the next start. Format of a record: docs/formats/edge-store.md.
// Belongs to the edge's strand; spools answer on their own threads.

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "foundation/clock.h"
#include "service/edge/route_table.h"
#include "storage/log/spool.h"

namespace nacelle::edge {

namespace fs = std::filesystem;

/// A message waiting in a spool, with the time after which nobody wants it.
struct StoredMessage {
  Timestamp expires_at{};
  telemetry::Message message;
};
inline constexpr Timestamp never_expires = Timestamp::max();

Bytes encode_stored(const StoredMessage& stored);
Result<StoredMessage> decode_stored(BytesView record);

class MessageStore {
 public:
  struct Options {
    fs::path directory;
    /// Bound of all spools together: `$upstream` may have half of it, each module input an eighth of it.
    ByteCount max_bytes = 1_GiB;
  };
  /// Opens every spool left by an earlier run. `clock` and `files` outlive the store.
  static Result<std::unique_ptr<MessageStore>> open(Options options, const Clock& clock, storage::FileSystem& files);

  /// Stores `message` once for each target; `done` once, after the last sync, on a thread of the store.
  void append(const telemetry::Message& message, const std::vector<Target>& targets, std::function<void(Result<>)> done);

  /// The queues of an endpoint, best priority first.
  std::vector<std::pair<QueueName, storage::Spool*>> queues(const EndpointName& endpoint) const;
  std::vector<EndpointName> endpoints() const;

  /// Called on the edge's strand when a queue was made that was not there before.
  std::function<void(const QueueName&)> on_new_queue;

  std::uint64_t waiting() const;
  std::uint64_t dropped() const;

 private:
  MessageStore(Options options, const Clock& clock, storage::FileSystem& files)
      : options_(std::move(options)), clock_(clock), files_(files) {}
  Result<storage::Spool*> queue(const QueueName& name);

  Options options_;
  const Clock& clock_;
  storage::FileSystem& files_;
  std::map<QueueName, std::unique_ptr<storage::Spool>> spools_;
};

}  // namespace nacelle::edge
