#pragma once
// The file system, as far as durable stores need it: passed in, so that tests can make it fail or forget.
// Every call names the path in its error. Fault::exhausted when the disk is full.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::storage {

namespace fs = std::filesystem;

/// An open file. One user at a time, except read_at, which any thread may call.
class File {
 public:
  virtual ~File() = default;
  /// All of it, at the end. After a failure a part may have been written: truncate before appending again.
  virtual Result<> append(BytesView bytes) = 0;
  /// The pieces one after another, as one append.
  virtual Result<> append_all(std::span<const BytesView> pieces);
  virtual Result<Bytes> read_at(std::uint64_t offset, std::size_t count) const = 0;  ///< fewer bytes only at the end
  /// fdatasync. After a failure nothing written since the last good sync may be taken for durable, even if a later sync
  /// succeeds: the kernel reports a lost page once and then forgets it (docs/decisions/0021-sync-errors.md).
  virtual Result<> sync() = 0;
  virtual Result<> truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size() const = 0;
  /// Writes `bytes` of zeros behind the end, which stays where it is: appends go over them, so that a sync need not record that the
  /// file has grown. Whoever opens the file finds them at its end, until truncate() takes them away. Not synced; a failure does no
  /// harm. By default nothing happens.
  virtual Result<> make_room(ByteCount) { return {}; }
};

enum class OpenMode { read, append, create };  ///< append: made if absent; create: must not exist yet (Fault::conflict)

struct FileInfo {
  ByteCount bytes = 0;
  Timestamp modified_at{};
  bool is_directory = false;
};

/// Held until destroyed, or until the process ends.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const fs::path& path, OpenMode mode, unsigned permissions = 0644) = 0;
  virtual Result<> rename(const fs::path& from, const fs::path& to) = 0;  ///< durable after sync_directory
  virtual Result<> remove(const fs::path& path) = 0;                      ///< absent is fine
  virtual Result<> make_directories(const fs::path& path) = 0;            ///< all missing levels, durable at once
  virtual Result<> sync_directory(const fs::path& path) = 0;
  virtual Result<bool> exists(const fs::path& path) const = 0;
  virtual Result<FileInfo> info(const fs::path& path) const = 0;                       ///< Fault::not_found
  virtual Result<std::vector<std::string>> list(const fs::path& directory) const = 0;  ///< names, sorted
  /// Makes the file if absent and locks it. Fault::conflict if someone else, in this process or another, holds it.
  virtual Result<std::unique_ptr<FileLock>> lock(const fs::path& path) = 0;
};

/// The machine's own. Stateless; any thread.
FileSystem& real_file_system();
/// How many files and sockets this process may have open at a time.
std::size_t open_file_limit();

/// Written to a temporary name in the same folder (`NAME.tmp-XXXXXXXXXXXXXXXX`), synced, renamed, folder synced: whole
/// or not at all. A process killed on the way leaves the temporary behind.
Result<> write_file_atomic(FileSystem& files, const fs::path& path, BytesView bytes, unsigned permissions = 0644);
/// Fault::not_found, or Fault::exhausted above `max_bytes`.
Result<Bytes> read_file(const FileSystem& files, const fs::path& path, ByteCount max_bytes = 256_MiB);

}  // namespace nacelle::storage
