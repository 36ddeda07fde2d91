#pragma once
// GroupCommit: the log's own thread. It takes everything waiting, writes one append per chain, syncs the touched files,
// then answers. While a sync runs the next batch grows; so the rate is bounded by bytes, not by syncs. Of few appends, half of the
// files wait for the next commit (docs/decisions/0246-half-the-files.md).

#include <condition_variable>
#include <thread>

#include "storage/log/detail/sync_crew.h"

namespace nacelle::storage::detail {

class GroupCommit {
 public:
  struct Bounds {
    ByteCount max_record_bytes;
    ByteCount max_waiting_bytes;
  };
  /// `chains` outlive this. `housekeeping` is called on the thread after each commit (and after poke()), with whether
  /// nothing is waiting. `must_wait`, if given, is asked on the thread for each chain that has something to append, before a
  /// commit, after poke(), and each second while something waits: whether it takes nothing for now.
  GroupCommit(std::vector<SegmentChain*> chains, Bounds bounds, const Clock& clock, std::function<void(bool idle)> housekeeping,
              std::function<bool(Partition)> must_wait = {});
  ~GroupCommit();  ///< Answers what waits, then joins.

  // Any thread.
  void append(Partition chain, Bytes payload, EventLog::Done done);
  void append(Partition chain, RecordBatch batch, EventLog::BatchDone done);
  std::function<void()> on_commit(std::function<void()> wake);
  void poke();
  std::uint64_t appended() const { return appended_; }
  std::uint64_t refused() const { return refused_; }
  ByteCount waiting_bytes() const { return waiting_bytes_; }
  std::uint64_t held_records() const { return held_records_; }
  std::chrono::microseconds held_time() const;
  bool holding() const { return held_since_ != 0; }
  Histogram::Reading commit_records() const { return commit_records_.read(); }
  Histogram::Reading sync_microseconds() const { return sync_microseconds_.read(); }

 private:
  struct Listener;

  void enqueue(Append append);
  void run();
  void hold_back();
  void set_aside();
  void commit();
  void write_batch();
  void answer(std::span<Append* const> appends);
  void wake_listeners();

  const std::vector<SegmentChain*> chains_;
  const Bounds bounds_;
  const Clock& clock_;
  const std::function<void(bool)> housekeeping_;
  const std::function<bool(Partition)> must_wait_;
  std::atomic<std::uint64_t> appended_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<ByteCount> waiting_bytes_{0};  // appended and not yet answered
  std::atomic<std::uint64_t> held_records_{0};
  std::atomic<std::int64_t> held_before_{0};  // microseconds, without what lasts
  std::atomic<std::int64_t> held_since_{0};   // microseconds of the steady clock; 0: nothing is held back
  Histogram commit_records_;
  Histogram sync_microseconds_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Append> inbox_;  // guarded by mutex_
  bool asleep_ = false;        // guarded by mutex_: only then is a wake-up worth a system call
  bool poked_ = false;         // guarded by mutex_
  bool stopping_ = false;      // guarded by mutex_

  std::mutex listeners_mutex_;
  std::vector<std::shared_ptr<Listener>> listeners_;  // guarded by listeners_mutex_

  // The thread's own.
  std::vector<Append> batch_;
  std::vector<Append> aside_;              // for the next commit, before what comes then
  std::vector<std::vector<Append>> held_;  // by chain, until it takes appends again
  std::vector<bool> was_aside_;            // by chain: it goes first now
  std::vector<std::size_t> records_;       // of batch_, by chain
  std::vector<Partition> order_;
  std::vector<std::vector<Append*>> by_chain_;
  std::vector<SegmentChain*> touched_;
  std::vector<Append*> accepted_;
  SyncCrew crew_;
  std::thread thread_;
};

}  // namespace nacelle::storage::detail
