#pragma once
// Telemetry on its shortest way: publishes of one connection become records of one batch, each built once, in place, from what
// is the same for every message of the sender and what is its own. Private to service/endpoint.

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "codec/mqtt/packet.h"
#include "domain/telemetry/record.h"
#include "service/endpoint/detail/client.h"
#include "storage/log/record_batch.h"

namespace nacelle::endpoint {

/// Batches on their way back from the log. Any thread; keeps a bounded number.
class BatchPool {
 public:
  storage::RecordBatch take();
  void give(storage::RecordBatch batch);

 private:
  std::mutex mutex_;
  std::vector<storage::RecordBatch> idle_;  // guarded by mutex_
};

/// Belongs to the connection's strand.
class Batcher {
 public:
  explicit Batcher(const Client& client);

  /// Whether `packet` is telemetry of the client itself that needs no second look, and is now in the batch. Else it is as if
  /// nothing had been asked: the long way says what is wrong with it.
  bool add(const mqtt::Publish& packet, const Clock& clock, BatchPool& pool);
  bool empty() const { return batch_.empty(); }
  storage::RecordBatch take() { return std::exchange(batch_, {}); }

 private:
  const telemetry::RecordProperties* properties_of(std::string_view bag);
  void begin_batch(Timestamp now, BatchPool& pool);

  const std::string prefix_;  // of the client's telemetry topic
  const telemetry::Source source_;
  const telemetry::RecordProperties sender_;
  storage::RecordBatch batch_;
  Timestamp enqueued_at_{};
  telemetry::RecordProperties enqueued_;
  // Most devices send the same bag with every message.
  bool bag_known_ = false;
  std::string bag_;
  telemetry::RecordProperties bag_properties_;
};

}  // namespace nacelle::endpoint
