#include "storage/log/detail/group_commit.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace nacelle::storage::detail {
namespace {

constexpr ByteCount append_overhead = 256;        // what a waiting append takes beside its payload, about
constexpr std::size_t most_syncs = 8;             // at a time: the gain is in the first few
constexpr std::size_t kept_capacity = 64 * 1024;  // entries; after a burst the buffers shrink again
// Half of the files wait if there are fewer records than the first, and for each file about as many as the second.
constexpr std::size_t few_records = 64;
constexpr std::size_t enough_for_a_file = 4;
// While something is held back, whether it still must be is asked so often, though nothing happens: patience has an end.
constexpr std::chrono::seconds between_questions{1};

std::int64_t steady_microseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

/// A function to be called after commits, until it is ended. Recursive, because it may end itself.
struct GroupCommit::Listener {
  std::recursive_mutex mutex;
  std::atomic<bool> active = true;  // falls with mutex held, so that a call under way is waited for
  std::function<void()> wake;
};

GroupCommit::GroupCommit(std::vector<SegmentChain*> chains, Bounds bounds, const Clock& clock,
                         std::function<void(bool)> housekeeping, std::function<bool(Partition)> must_wait)
    : chains_(std::move(chains)),
      bounds_(bounds),
      clock_(clock),
      housekeeping_(std::move(housekeeping)),
      must_wait_(std::move(must_wait)),
      held_(chains_.size()),
      was_aside_(chains_.size()),
      records_(chains_.size()),
      by_chain_(chains_.size()),
      crew_(std::min(chains_.size(), most_syncs)) {
  thread_ = std::thread([this] { run(); });
}

GroupCommit::~GroupCommit() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void GroupCommit::append(Partition chain, Bytes payload, EventLog::Done done) {
  Append append{.chain = chain, .appended_at = clock_.now(), .done = std::move(done)};
  append.batch.add(payload);
  enqueue(std::move(append));
}

void GroupCommit::append(Partition chain, RecordBatch batch, EventLog::BatchDone done) {
  enqueue({.chain = chain, .appended_at = clock_.now(), .batch = std::move(batch), .batch_done = std::move(done)});
}

void GroupCommit::enqueue(Append append) {
  append.records = append.batch.records();
  append.waiting = append.batch.bytes() + append_overhead;
  const ByteCount bytes = append.waiting;
  const ByteCount before = waiting_bytes_.fetch_add(bytes);
  if (append.chain >= chains_.size()) {
    append.refused = Error{Fault::invalid_input, fmt::format("partition {} of {}", append.chain, chains_.size())};
  } else if (append.records == 0) {
    append.refused = Error{Fault::invalid_input, "a batch without records"};
  } else if (append.batch.largest_payload() > bounds_.max_record_bytes) {
    append.refused = Error{Fault::invalid_input, fmt::format("record of {} bytes, at most {} are taken",
                                                             append.batch.largest_payload(), bounds_.max_record_bytes)};
  } else if (before > 0 && before + bytes > bounds_.max_waiting_bytes) {
    append.refused =
        Error{Fault::exhausted, fmt::format("{} bytes wait to be synced, at most {} may", before, bounds_.max_waiting_bytes)};
  }
  // A refusal, too, is answered on the thread and in its turn; it only keeps no payload.
  if (append.refused) {
    append.batch = RecordBatch();
    append.waiting = append_overhead;
    waiting_bytes_ -= bytes - append_overhead;
  }
  bool asleep = false;
  {
    const std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(append));
    asleep = std::exchange(asleep_, false);
  }
  if (asleep) wake_.notify_one();
}

void GroupCommit::poke() {
  {
    const std::lock_guard lock(mutex_);
    poked_ = true;
    if (!std::exchange(asleep_, false)) return;
  }
  wake_.notify_one();
}

std::function<void()> GroupCommit::on_commit(std::function<void()> wake) {
  const auto listener = std::make_shared<Listener>();
  listener->wake = std::move(wake);
  const std::lock_guard lock(listeners_mutex_);
  listeners_.push_back(listener);
  return [listener] {
    // Waits for a call under way on the thread, so that the caller may free what it uses.
    const std::lock_guard ending(listener->mutex);
    listener->active = false;
  };
}

void GroupCommit::run() {
  while (true) {
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      asleep_ = aside_.empty();
      const auto wanted = [&] { return !aside_.empty() || !inbox_.empty() || poked_ || stopping_; };
      if (holding())
        wake_.wait_for(lock, between_questions, wanted);
      else
        wake_.wait(lock, wanted);
      asleep_ = false;
      poked_ = false;
      stopping = stopping_;
      batch_.swap(aside_);
      if (batch_.empty()) {
        batch_.swap(inbox_);
      } else {
        std::move(inbox_.begin(), inbox_.end(), std::back_inserter(batch_));
        inbox_.clear();
      }
    }
    hold_back();
    set_aside();
    const bool committed = !batch_.empty();
    if (committed) commit();
    bool idle = false;
    {
      const std::lock_guard lock(mutex_);
      idle = inbox_.empty() && aside_.empty();
    }
    if (committed) wake_listeners();
    if (housekeeping_) housekeeping_(idle);
    if (stopping && idle) return;
  }
}

/// Appends to a chain that takes none for now wait here, in their order; those to others go on.
void GroupCommit::hold_back() {
  if (!must_wait_) return;
  std::vector<bool> asks(chains_.size());
  for (const Append& append : batch_)
    if (append.chain < chains_.size()) asks[append.chain] = true;
  std::vector<Append> released;
  bool holding = false;
  std::uint64_t newly_held = 0;
  for (Partition chain = 0; chain < chains_.size(); ++chain) {
    std::vector<Append>& held = held_[chain];
    if (!asks[chain] && held.empty()) continue;
    if (must_wait_(chain)) {
      const auto waits =
          std::stable_partition(batch_.begin(), batch_.end(), [&](const Append& each) { return each.chain != chain; });
      for (auto each = waits; each != batch_.end(); ++each) newly_held += each->records;
      std::move(waits, batch_.end(), std::back_inserter(held));
      batch_.erase(waits, batch_.end());
      holding = holding || !held.empty();
    } else if (!held.empty()) {
      std::move(held.begin(), held.end(), std::back_inserter(released));
      held = {};
    }
  }
  if (!released.empty()) {
    std::move(batch_.begin(), batch_.end(), std::back_inserter(released));
    batch_ = std::move(released);
  }
  if (holding != this->holding()) {
    if (!holding) held_before_ += steady_microseconds() - held_since_;
    held_since_ = holding ? steady_microseconds() : 0;
  }
  held_records_ += newly_held;  // last: whoever sees them counted sees that appends are held back
}

std::chrono::microseconds GroupCommit::held_time() const {
  const std::int64_t since = held_since_;
  return std::chrono::microseconds{held_before_ + (since == 0 ? 0 : steady_microseconds() - since)};
}

/// Senders that wait for each answer fall into two halves, one being synced while the other is on its way; so a file is synced for
/// half of those it could be synced for. With whole files taking turns instead, each sync finds all that its file can have, and
/// nobody waits longer. No file waits twice.
void GroupCommit::set_aside() {
  std::fill(records_.begin(), records_.end(), 0);
  std::size_t all = 0;
  const auto chain_of = [this](const Append& append) { return append.chain < chains_.size() ? append.chain : 0; };
  for (const Append& append : batch_) {
    records_[chain_of(append)] += append.records;
    all += append.records;
  }
  order_.clear();
  for (Partition chain = 0; chain < chains_.size(); ++chain)
    if (records_[chain] > 0) order_.push_back(chain);
  std::size_t taken = order_.size();
  if (order_.size() > 1 && all < few_records && all >= order_.size() * enough_for_a_file) {
    std::sort(order_.begin(), order_.end(), [this](Partition a, Partition b) {
      if (was_aside_[a] != was_aside_[b]) return bool{was_aside_[a]};
      return records_[a] != records_[b] ? records_[a] > records_[b] : a < b;
    });
    const auto overdue = std::count_if(order_.begin(), order_.end(), [this](Partition chain) { return was_aside_[chain]; });
    taken = std::max(static_cast<std::size_t>(overdue), (order_.size() + 1) / 2);
  }
  was_aside_.assign(chains_.size(), false);
  for (std::size_t i = taken; i < order_.size(); ++i) was_aside_[order_[i]] = true;
  const auto goes_now = [&](const Append& append) { return !was_aside_[chain_of(append)]; };
  if (taken == order_.size()) return;
  const auto waits = std::stable_partition(batch_.begin(), batch_.end(), goes_now);
  std::move(waits, batch_.end(), std::back_inserter(aside_));
  batch_.erase(waits, batch_.end());
}

void GroupCommit::commit() {
  ByteCount bytes = 0;
  std::size_t records = 0;
  for (const Append& append : batch_) {
    bytes += append.waiting;
    records += append.records;
  }
  write_batch();
  const auto begun = std::chrono::steady_clock::now();
  crew_.sync(touched_);
  const auto took = std::chrono::steady_clock::now() - begun;
  sync_microseconds_.add(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  commit_records_.add(records);
  for (auto& appends : by_chain_) {
    answer(appends);
    appends.clear();
  }
  batch_.clear();
  if (batch_.capacity() > kept_capacity) batch_.shrink_to_fit();
  waiting_bytes_ -= bytes;
}

/// All is written before the first sync, so that the syncs can go side by side.
void GroupCommit::write_batch() {
  for (Append& append : batch_)  // one of no chain is refused already; it is answered with the first chain's
    by_chain_[append.chain < chains_.size() ? append.chain : 0].push_back(&append);
  touched_.clear();
  for (std::size_t i = 0; i < chains_.size(); ++i) {
    accepted_.clear();
    std::copy_if(by_chain_[i].begin(), by_chain_[i].end(), std::back_inserter(accepted_),
                 [](const Append* each) { return !each->refused; });
    if (accepted_.empty()) continue;
    chains_[i]->write(accepted_);
    touched_.push_back(chains_[i]);
  }
}

void GroupCommit::answer(std::span<Append* const> appends) {
  for (Append* append : appends) {
    (append->refused ? refused_ : appended_) += append->records;
    Result<Offset> at = append->refused ? Result<Offset>(fail(std::move(*append->refused))) : Result<Offset>(append->offset);
    if (append->done)
      append->done(std::move(at));
    else if (append->batch_done)
      append->batch_done(std::move(at), std::move(append->batch));
  }
}

void GroupCommit::wake_listeners() {
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    const std::lock_guard lock(listeners_mutex_);
    std::erase_if(listeners_, [](const auto& each) { return !each->active; });
    listeners = listeners_;
  }
  for (const auto& listener : listeners) {
    const std::lock_guard calling(listener->mutex);
    if (listener->active) listener->wake();
  }
}

}  // namespace nacelle::storage::detail
