#pragma once
// CaptureStream: one partition of the event log into the files of one container, each message its route takes exactly once.
//
// A file is not open while messages gather: they lie in the log, which is kept from letting go of them by a claim, and encoded in
// memory (Gathered). A file is written in one go when it is due, with the offsets it holds in its header. Its name is planned in
// capture.db before it appears under that name, so that after a kill its existence tells whether it was finished:
// docs/decisions/0061-exactly-once-capture.md.

#include <functional>
#include <memory>
#include <vector>

#include "service/hub/gathered.h"
#include "service/hub/routes.h"
#include "storage/log/event_log.h"
#include "storage/objects/object_store.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Belongs to the capture thread. Borrows everything; blocks on the disk. Ends before the log.
class CaptureStream {
 public:
  struct Parts {
    storage::EventLog& log;
    storage::ObjectStore& objects;
    storage::Database& tables;  ///< of open_capture_tables
    const Clock& clock;
    std::string hub;                           ///< for `{iothub}` and `$iothubname`
    const route::TwinLookup* twins = nullptr;  ///< for `$twin`; null: there are none
    ByteCount max_kept = 16_MiB;               ///< a file is due when its messages, encoded, take so much memory
  };

  /// Finds out where the completed files end. `begin_at_head`: a container new to capture.db begins with messages from
  /// now on; without it, with the oldest in the log.
  static Result<std::unique_ptr<CaptureStream>> open(const Parts& parts, HubRoute route, storage::Partition partition,
                                                     bool begin_at_head);

  /// The offset this stream looks at next.
  storage::Offset wants() const { return looked_; }
  /// One record, read and decoded for all that follow the partition; null `evaluation`: it cannot be decoded. Records come in
  /// order, none left out; what the stream has seen already it passes over. Writes the file once it is large enough. After a
  /// failure the record has not been taken, and wants() may have gone back.
  Result<> offer(const storage::LogRecord& record, route::Evaluation* evaluation, Gathered::Manner manner);
  /// There is nothing more below `until`.
  void pass(storage::Offset until);
  /// Writes the file if it is due, by age or because the log wants room; saves how far the stream has come.
  Result<> settle();
  /// Looks at what is new in the log, and settles. Call again after a failure.
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
  /// The messages gathered for the next file.
  struct Taken {
    std::uint64_t records = 0;
    ByteCount bytes = 0;
    storage::Offset first = 0;
    Timestamp oldest{};
  };

  CaptureStream(const Parts& parts, HubRoute route, storage::Partition partition)
      : parts_(parts), route_(std::move(route)), partition_(partition), gathered_(route_.storage.encoding) {}
  Result<> recover(bool begin_at_head);
  Result<State> derive_from_files() const;
  Result<> settle_plan();
  void start_over();
  Result<> save_state();
  Result<> finish();
  void note_lost(storage::Offset follows);
  Result<> take(const storage::LogRecord& record, route::Evaluation& evaluation, Gathered::Manner manner);
  bool is_full() const;
  Result<> make_room();
  Result<> write_file();
  std::string container_prefix() const { return "capture/" + route_.storage.container + "/"; }

  Parts parts_;
  HubRoute route_;
  storage::Partition partition_;
  State state_;
  storage::Offset looked_ = 0;  ///< offsets below it have been looked at
  storage::Offset saved_next_ = 0;
  Taken taken_;
  Gathered gathered_;
  std::unique_ptr<storage::LogClaim> claim_;  // from saved_next_ on
  std::uint64_t lost_ = 0;
  storage::Offset lost_until_ = 0;  ///< offsets below it are counted in lost_, or were taken
  std::uint64_t not_enriched_ = 0;
};

/// Brings `along`, streams of one partition, on towards `until`: what they want next is read and decoded once for all of them, and
/// a body parsed once for all their conditions. Reads about `most` bytes. One that fails is left behind and told to `failed`.
void follow_log(const CaptureStream::Parts& parts, storage::Partition partition, std::vector<CaptureStream*> along,
                storage::Offset until, ByteCount most, const std::function<void(CaptureStream&, Result<>)>& failed);

}  // namespace nacelle::hub
