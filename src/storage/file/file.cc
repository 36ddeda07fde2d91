#include "storage/file/file.h"

#include <fmt/format.h>

#include "foundation/random.h"

namespace nacelle::storage {
namespace {

Result<> write_synced(FileSystem& files, const fs::path& path, BytesView bytes, unsigned permissions) {
  TRY_LET(const auto file, files.open(path, OpenMode::create, permissions));
  TRY(file->append(bytes));
  return file->sync();
}

Result<> write_then_rename(FileSystem& files, const fs::path& temporary, const fs::path& path, BytesView bytes,
                           unsigned permissions) {
  TRY(write_synced(files, temporary, bytes, permissions));
  return files.rename(temporary, path);
}

}  // namespace

Result<> File::append_all(std::span<const BytesView> pieces) {
  Bytes joined;
  for (const BytesView piece : pieces) joined += piece;
  return append(joined);
}

Result<> write_file_atomic(FileSystem& files, const fs::path& path, BytesView bytes, unsigned permissions) {
  std::string suffix = ".tmp-";
  for (const unsigned char byte : secure_random(8)) suffix += fmt::format("{:02x}", byte);
  const fs::path temporary = path.string() + suffix;
  if (auto written = write_then_rename(files, temporary, path, bytes, permissions); !written) {
    (void)files.remove(temporary);  // the first failure is the one to report
    return written;
  }
  return files.sync_directory(path.parent_path());
}

Result<Bytes> read_file(const FileSystem& files, const fs::path& path, ByteCount max_bytes) {
  // Opening for reading changes nothing, but is declared among the changing calls.
  TRY_LET(const auto file, const_cast<FileSystem&>(files).open(path, OpenMode::read));
  TRY_LET(const std::uint64_t size, file->size());
  if (size > max_bytes)
    return fail(Fault::exhausted, fmt::format("reading {}: it has {} bytes, at most {} are read", path.string(), size, max_bytes));
  return file->read_at(0, size);
}

}  // namespace nacelle::storage
