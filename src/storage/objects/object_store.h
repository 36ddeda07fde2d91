#pragma once
// Objects: named blobs, whole or absent. A local folder now; S3 behind the same interface later.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/clock.h"
#include "foundation/result.h"
#include "storage/file/file.h"

namespace nacelle::storage {

struct ObjectInfo {
  std::string name;
  ByteCount bytes = 0;
  Timestamp modified_at{};
};

/// An object being written under a temporary name; it appears with commit() and not before.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;  ///< without commit: removed
  virtual Result<> write(BytesView bytes) = 0;
  virtual Result<> commit() = 0;  ///< synced, then renamed, then the folder synced
};

/// An object as it was when it was opened, whatever takes its place meanwhile.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  virtual ByteCount size() const = 0;
  virtual Result<Bytes> read_at(std::uint64_t offset, std::size_t count) const = 0;  ///< fewer bytes only at the end
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  /// `name`: path of segments split by `/`, at most 1024 bytes, a segment at most 255; `.`, `..`, empty segments, NUL,
  /// absolute paths and a first segment `.partial` are Fault::invalid_input. An object of that name is replaced at commit.
  virtual Result<std::unique_ptr<ObjectWriter>> create(std::string_view name) = 0;
  virtual Result<> put(std::string_view name, BytesView bytes) = 0;
  /// Fault::not_found; Fault::exhausted above `max_bytes`.
  virtual Result<Bytes> get(std::string_view name, ByteCount max_bytes = 1_GiB) const = 0;
  virtual Result<std::unique_ptr<ObjectReader>> open(std::string_view name) const = 0;  ///< Fault::not_found
  virtual Result<bool> exists(std::string_view name) const = 0;
  /// False if it is absent. Else back when it stays, whatever became of the commit() that made it appear: a kill or a failing disk
  /// between renaming and syncing the folder leaves an object that the next power cut may take away.
  virtual Result<bool> make_durable(std::string_view name) const = 0;
  virtual Result<> remove(std::string_view name) = 0;  ///< durable; absent is fine
  /// Names that begin with `prefix` as text (`capture/tel` finds `capture/telemetry/..`).
  virtual Result<std::vector<ObjectInfo>> list(std::string_view prefix) const = 0;  ///< sorted by name; no temporaries
};

/// Objects as files under `root`. Leftover temporaries of a killed process are removed at opening, unless another process
/// has the store open (several may).
Result<std::unique_ptr<ObjectStore>> open_folder_store(const fs::path& root, FileSystem& files);

}  // namespace nacelle::storage
