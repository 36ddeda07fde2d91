#pragma once
// CaptureStream: one partition of the event log into the files of one container, each message its route takes exactly once.
//
// A file is not open while messages gather: they lie in the log, and the stream only remembers which of them the route
// took. A file is written in one go when it is due, with the offsets it holds in its header. Its name is planned in
// capture.db before it appears under that name, so that after a kill its existence tells whether it was finished:
// docs/decisions/0061-exactly-once-capture.md.

#include <functional>
#include <memory>
#include <vector>

#include "service/hub/routes.h"
#include "storage/log/event_log.h"
#include "storage/objects/object_store.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Belongs to the capture thread. Borrows everything; blocks on the disk.
class CaptureStream {
 public:
  struct Parts {
    const storage::EventLog& log;
    storage::ObjectStore& objects;
    storage::Database& tables;  ///< of open_capture_tables
    const Clock& clock;
    std::string hub;                           ///< for `{iothub}` and `$iothubname`
    const route::TwinLookup* twins = nullptr;  ///< for `$twin`; null: there are none
  };

  /// Finds out where the completed files end. `begin_at_head`: a container new to capture.db begins with messages from
  /// now on; without it, with the oldest in the log.
  static Result<std::unique_ptr<CaptureStream>> open(const Parts& parts, HubRoute route, storage::Partition partition,
                                                     bool begin_at_head);

  /// The offset this stream looks at next.
  storage::Offset wants() const { return looked_; }
  /// One record that someone else has read and decoded for several streams; null `evaluation`: it cannot be decoded. False if
  /// the stream must go on by itself (step() does): it has a file to write first. Records come in order, none left out.
  bool offer(const storage::LogRecord& record, route::Evaluation* evaluation);
  /// Looks at what is new in the log and writes the files that are due (by size, by age). Call again after a failure.
  Result<> step();
  /// Brings everything that is synced in the log when called into complete files.
  Result<> flush();

  const HubRoute& route() const { return route_; }
  storage::Partition partition() const { return partition_; }
  std::uint64_t captured() const { return state_.records; }  ///< records in complete files, since ever
  std::uint64_t files() const { return state_.files; }
  std::uint64_t gathered() const { return taken_.records; }  ///< taken, not yet in a file
  std::uint64_t behind() const;                              ///< synced offsets not looked at yet
  std::uint64_t lost() const { return lost_; }               ///< offsets dropped by the log's retention before they were looked at
  std::uint64_t not_enriched() const { return not_enriched_; }  ///< properties for which a message had no room
  std::optional<Timestamp> due_at() const;                      ///< when the gathered ones must be written
  /// The gathered ones must be written now, or the log may let go of them before.
  bool pressed() const;

 private:
  /// Row of capture.db.
  struct State {
    storage::Offset next = 0;  ///< below it: in complete files, or not taken
    std::uint64_t records = 0;
    std::uint64_t files = 0;
    std::string planned_file;  ///< not empty: being written
    storage::Offset planned_next = 0;
    std::uint64_t planned_records = 0;
  };
  /// The messages gathered for the next file, as runs of offsets [begin, end).
  struct Taken {
    std::vector<std::pair<storage::Offset, storage::Offset>> runs;
    std::uint64_t records = 0;
    ByteCount bytes = 0;
    Timestamp oldest{};
  };

  CaptureStream(const Parts& parts, HubRoute route, storage::Partition partition)
      : parts_(parts), route_(std::move(route)), partition_(partition) {}
  Result<> recover(bool begin_at_head);
  Result<State> derive_from_files() const;
  Result<> settle_plan();
  void start_over();
  Result<> save_state();
  Result<> look(storage::Offset until);
  void note_lost(storage::Offset follows);
  void skip_ahead();
  void take(const storage::LogRecord& record, route::Evaluation& evaluation);
  Result<> write_file();
  Result<> write_records(storage::ObjectWriter& object, const Taken& taken, storage::Offset next);
  Result<> write_lines(storage::ObjectWriter& object, const Taken& taken);
  Result<> each_taken(const Taken& taken, const std::function<Result<>(const telemetry::Message&)>& use);
  Result<> pass_untaken(bool durably);
  std::string container_prefix() const { return "capture/" + route_.storage.container + "/"; }

  Parts parts_;
  HubRoute route_;
  storage::Partition partition_;
  State state_;
  storage::Offset looked_ = 0;  ///< offsets below it have been looked at
  storage::Offset saved_next_ = 0;
  Taken taken_;
  std::uint64_t lost_ = 0;
  storage::Offset lost_until_ = 0;  ///< offsets below it are counted in lost_, or were taken
  std::uint64_t not_enriched_ = 0;
};

}  // namespace nacelle::hub
