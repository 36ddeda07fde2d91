#pragma once
// OpenFiles: the files of a chain that readers have lately used, kept open. Opening one costs a random read as much as the
// reading itself. Bounded: the one used longest ago is closed first.

#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "storage/file/file.h"
#include "storage/log/event_log.h"

namespace nacelle::storage::detail {

/// Any thread. A file is known by its segment's first offset; whoever renames or removes it says forget() first.
class OpenFiles {
 public:
  OpenFiles(FileSystem& files, std::size_t most) : files_(files), most_(most) {}

  /// The file, open for reading; it stays open for whoever holds it, also after forget().
  Result<std::shared_ptr<const File>> open(Offset segment, const fs::path& path);
  void forget(Offset segment);
  std::size_t size() const;

 private:
  struct Entry {
    Offset segment;
    std::shared_ptr<const File> file;
  };
  using Entries = std::list<Entry>;

  std::shared_ptr<const File> find(Offset segment);
  void keep(Offset segment, std::shared_ptr<const File> file);

  FileSystem& files_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  Entries entries_;                                        // guarded by mutex_; the latest used first
  std::unordered_map<Offset, Entries::iterator> by_name_;  // guarded by mutex_
};

}  // namespace nacelle::storage::detail
