#pragma once
// EventReader: the messages of the built-in endpoint out of the log, for whoever reads them (HTTP, AMQP).

#include <functional>

#include "service/hub/events.h"

namespace nacelle::hub {

/// One look at the log: by the routes as they are while it lasts. Blocks on the disk.
class EventReader {
 public:
  EventReader(const storage::EventLog& log, const Events::Routing& routing);

  struct Found {
    storage::Offset offset = 0;
    ByteCount bytes = 0;  ///< of its record
    telemetry::Message message;
  };
  /// Gives `take` what the endpoint has, enriched, in order, out of one chunk of records from `offset` on, of `device` only if that
  /// is not empty. `offset` is moved behind all that was looked at; `before` is asked before each record, and ends the look with
  /// false. How many records were looked at: none at the head.
  Result<std::size_t> look(storage::Partition partition, storage::Offset& offset, const std::string& device,
                           const std::function<bool()>& before, const std::function<void(Found)>& take);
  ByteCount looked() const { return looked_; }  ///< bytes of records, in all

 private:
  bool has(const telemetry::Message& message) const;
  void enrich(telemetry::Message& message) const;

  const storage::EventLog& log_;
  const Events::Routing& routing_;
  const std::shared_ptr<const Routes> routes_;
  const std::vector<route::Enrichment> enrichments_;
  bool asks_ = false;
  ByteCount looked_ = 0;
};

}  // namespace nacelle::hub
