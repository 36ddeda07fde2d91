#pragma once
// ClassifierStore: EngineMemory on disk: a snapshot of all engines, and a journal of the readings since, synced in groups.
// After a restart snapshot and journal give the same memory, bit for bit. Format: docs/formats/classifier-state.md.

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "foundation/clock.h"
#include "service/turbofan/engine_memory.h"
#include "storage/file/file.h"
#include "storage/log/spool.h"

namespace nacelle::turbofan {

class ClassifierStore {
 public:
  /// `clock` and `files` outlive it. A damaged snapshot, and what was kept of readings in another form than `form`, is set aside,
  /// logged, and the engines begin anew.
  static Result<std::unique_ptr<ClassifierStore>> open(const std::filesystem::path& folder, const Clock& clock,
                                                       storage::FileSystem& files,
                                                       const ReadingForm& form = ReadingForm::turbofan());

  /// The hash of the model in use when the snapshot was written; empty if there is none.
  const std::string& model_hash() const { return model_hash_; }

  /// Fills `memory`, which has its model and no engine yet: snapshot, then journal. The pipeline's states are read if the
  /// model's pipeline is the snapshot's, else rebuilt from readings. Once.
  Result<> restore(EngineMemory& memory);

  /// `done` on a thread of the store, once synced, in order.
  void append(const std::string& engine, const SeenReading& reading, std::function<void(Result<>)> done);

  /// Writes a snapshot if the journal has grown by `snapshot_every` readings, or `now_anyway`. Waits until the journal is
  /// synced, and for the disk: some milliseconds.
  Result<> snapshot(const EngineMemory& memory, bool now_anyway);

  static constexpr std::uint64_t snapshot_every = 20'000;

 private:
  /// Appends not answered yet; shared with their callbacks.
  struct Unsynced {
    std::mutex mutex;
    std::condition_variable none_left;
    std::size_t count = 0;  // guarded by mutex
    bool failed = false;    // guarded by mutex
  };
  ClassifierStore(std::filesystem::path folder, storage::FileSystem& files) : folder_(std::move(folder)), files_(files) {}
  Result<> read_snapshot(EngineMemory& memory);
  Result<> read_journal(EngineMemory& memory);

  std::filesystem::path folder_;
  storage::FileSystem& files_;
  std::unique_ptr<storage::Spool> journal_;
  storage::Offset snapshot_next_ = 0;  // of the journal: the snapshot holds everything below
  std::uint64_t since_snapshot_ = 0;   // readings appended
  std::string model_hash_;
  std::shared_ptr<Unsynced> unsynced_ = std::make_shared<Unsynced>();
  Bytes snapshot_bytes_;  // read at open(), used by restore()
};

// The record formats, for tests.
Bytes encode_reading(const std::string& engine, const SeenReading& reading);
Result<std::pair<std::string, SeenReading>> decode_reading(BytesView record, std::size_t channels);

}  // namespace nacelle::turbofan
