#pragma once
// Counters: what the hub counts since its start; incremented from any thread.

#include <atomic>
#include <cstdint>

#include "foundation/result.h"
#include "service/hub/refusals.h"

namespace nacelle::hub {

struct Counters {
  std::atomic<std::uint64_t> received{0};          ///< telemetry taken in, over MQTT, AMQP and HTTPS
  std::atomic<std::uint64_t> acked{0};             ///< of these, durable and acknowledged
  std::atomic<std::uint64_t> refused_messages{0};  ///< of these, not stored
  std::atomic<std::uint64_t> refused_full{0};      ///< of those, because the disk or the log's waiting room was full

  /// What became of `count` messages that were received; `refused`: null if they are durable.
  void note_stored(const Error* refused, std::uint64_t count) {
    (refused ? refused_messages : acked) += count;
    if (refused && refused->fault == Fault::exhausted) refused_full += count;
  }
  Refusals refusals;                              ///< attempts with credentials or rights that did not hold
  std::atomic<std::int64_t> messages_waiting{0};  ///< for devices
  std::atomic<std::uint64_t> messages_sent{0};
  std::atomic<std::uint64_t> messages_completed{0};
  std::atomic<std::uint64_t> messages_dead_lettered{0};  ///< expired, rejected, purged, abandoned too often
  std::atomic<std::uint64_t> method_calls{0};            ///< direct methods called
  std::atomic<std::uint64_t> failed_method_calls{0};     ///< of these, without an answer of the device
  std::atomic<std::uint64_t> hub_messages{0};            ///< of the hub itself: stored for its routes
  std::atomic<std::uint64_t> lost_hub_messages{0};       ///< of these, not stored (log full, disk full)
  std::atomic<std::uint64_t> uploads{0};                 ///< files uploaded and notified
};

}  // namespace nacelle::hub
