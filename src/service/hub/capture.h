#pragma once
// Capture: the routes with a storage endpoint, each with a stream a partition, driven off the network threads.

#include <map>
#include <memory>
#include <vector>

#include "foundation/snapshot.h"
#include "service/hub/capture_stream.h"
#include "service/hub/commit_signal.h"
#include "service/hub/disk.h"

namespace nacelle::hub {

/// What capture says of itself, as of its last look at the log.
struct CaptureStatus {
  struct OfRoute {
    std::string route;
    std::string container;
    std::uint64_t captured = 0;  ///< messages in complete files
    std::uint64_t gathered = 0;  ///< taken, not yet in one
    std::uint64_t behind = 0;    ///< synced, not looked at yet
    std::uint64_t files = 0;
    std::uint64_t lost = 0;
    std::uint64_t not_enriched = 0;  ///< properties for which messages had no room
    std::string trouble;             ///< the last failure; empty when healthy
    Timestamp since{};               ///< when the trouble began
    std::uint64_t failures = 0;      ///< rounds since then
  };
  std::vector<OfRoute> routes;

  std::uint64_t captured() const;
  std::uint64_t pending() const;  ///< gathered and behind
};

class Capture {
 public:
  Capture(CaptureStream::Parts parts, Disk& disk, CommitSignal& commits)
      : parts_(std::move(parts)), disk_(disk), commits_(commits) {}

  /// Opens a stream for each storage route and partition. Before run(); blocks.
  Result<> open(const Routes& routes);
  /// Follows the log until cancelled.
  awaitable<void> run();
  /// Back when everything acknowledged before the call is in complete files.
  awaitable<Result<>> flush();
  /// What was acknowledged so far goes by the old routes, what comes by the new ones. On failure the old ones stay.
  awaitable<Result<>> change(Routes routes);

  /// Any thread.
  CaptureStatus status() const { return *status_.get(); }

 private:
  using Streams = std::vector<std::unique_ptr<CaptureStream>>;
  Result<Streams> make_streams(const Routes& routes, bool begin_at_head) const;
  bool step_all();
  using Failed = std::map<std::string, std::string>;
  std::vector<CaptureStream*> streams_of(storage::Partition partition) const;
  Result<> flush_all();
  void publish();
  void note(const CaptureStream& stream, const Result<>& result, Failed& failed);
  void end_round(Failed failed);

  CaptureStream::Parts parts_;
  Disk& disk_;
  CommitSignal& commits_;
  Streams streams_;  // capture thread only, once open
  struct Trouble {
    std::string why;
    Timestamp since{};
    std::uint64_t failures = 0;
  };
  std::map<std::string, Trouble> trouble_;  // by route, while it lasts; capture thread only
  Snapshot<CaptureStatus> status_;
};

}  // namespace nacelle::hub
