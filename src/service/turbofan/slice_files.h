#pragma once
// SliceFiles: records in time-sliced Avro files, FOLDER/YYYY/MM/DD/HH/mm.avro. The file being written ends in `.part`; it is
// renamed when it is complete. Records that were written before are left out, also over restarts. One user at a time;
// blocks on the disk.

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/avro/container.h"
#include "foundation/clock.h"
#include "service/turbofan/engine_data.h"
#include "storage/file/file.h"

namespace nacelle::turbofan {

struct SliceOptions {
  std::filesystem::path folder;
  std::filesystem::path notes;      ///< a file, not in the folder: what must be known of files that are gone
  std::chrono::seconds slice{300};  ///< a file holds what came in one of these
  std::chrono::seconds idle{600};   ///< a file nothing was added to for so long is complete
  ByteCount max_file_bytes = 64_MiB;
  ReadingForm form = ReadingForm::turbofan();
};

class SliceFiles {
 public:
  /// Takes up what an earlier run left: a partial file is cut behind its last whole block and completed (or, if it has no
  /// record, removed).
  static Result<std::unique_ptr<SliceFiles>> open(SliceOptions options, const Clock& clock, storage::FileSystem& files);
  ~SliceFiles();

  /// Adds the records that are new; all of them are synced when it is back. How many were.
  Result<std::size_t> add(const std::vector<EngineData>& records);

  /// Completes the open file if nothing was added to it for the idle time, or `now_anyway`. (add() completes it when its
  /// slice has passed or it has grown too large.)
  Result<> tick(bool now_anyway = false);

  /// Complete files, oldest first, as paths below the folder.
  Result<std::vector<std::string>> complete() const;
  std::filesystem::path path_of(const std::string& name) const { return options_.folder / name; }
  /// After a confirmed upload: what is needed to know its records again is kept, then the file is deleted.
  Result<> remove(const std::string& name);

  void set_times(std::chrono::seconds slice, std::chrono::seconds idle);
  std::uint64_t repeated() const { return repeated_; }

 private:
  using Recent = std::deque<std::uint64_t>;  // identities of a device's last records_known records, oldest first
  struct Open;
  SliceFiles(SliceOptions options, const Clock& clock, storage::FileSystem& files);
  Result<> recover();
  Result<> recover_partial(const std::filesystem::path& path);
  Result<> remember_file(const std::filesystem::path& path);
  bool is_repeated(const EngineData& record) const;
  void remember(const EngineData& record);
  Result<> open_file(Timestamp slice_begin);
  Result<> close_file();
  Result<> save_notes();
  Result<> load_notes();
  Timestamp slice_of(Timestamp time) const;

  SliceOptions options_;
  const Clock& clock_;
  storage::FileSystem& files_;
  std::unique_ptr<Open> open_;
  std::map<std::string, Recent> recent_;
  std::string last_slice_;  // the last name given out, and how often
  std::int64_t last_number_ = 0;
  std::uint64_t repeated_ = 0;
};

}  // namespace nacelle::turbofan
