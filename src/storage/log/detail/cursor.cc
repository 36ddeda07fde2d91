#include "storage/log/detail/cursor.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>

#include "foundation/log.h"

namespace nacelle::storage::detail {
namespace {

constexpr BytesView magic = "NCLCURS\n";
constexpr std::uint32_t format_version = 1;
constexpr std::size_t cursor_bytes = 24;

Bytes encode(Offset cursor) {
  Bytes out(magic);
  out.append(reinterpret_cast<const char*>(&format_version), 4);
  out.append(reinterpret_cast<const char*>(&cursor), 8);
  const auto sum = static_cast<std::uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(out.data()), 20));
  out.append(reinterpret_cast<const char*>(&sum), 4);
  return out;
}

}  // namespace

Result<Offset> load_cursor(FileSystem& files, const fs::path& directory) {
  TRY_LET(const auto names, files.list(directory));
  for (const std::string& name : names)
    if (name.starts_with("cursor.tmp-")) TRY(files.remove(directory / name));
  const fs::path path = directory / "cursor";
  const auto bytes = read_file(files, path, 4_KiB);
  if (!bytes && bytes.error().fault == Fault::not_found) return Offset{0};
  if (!bytes && bytes.error().fault != Fault::exhausted && bytes.error().fault != Fault::corrupt) return fail(bytes.error());
  Offset cursor = 0;
  if (bytes && bytes->size() == cursor_bytes) {
    std::memcpy(&cursor, bytes->data() + 12, sizeof cursor);
    if (*bytes == encode(cursor)) return cursor;
  }
  log::error("spool", "{} is damaged: kept as cursor.quarantined; everything still there is delivered again", path.string());
  TRY(files.rename(path, directory / "cursor.quarantined"));
  TRY(files.sync_directory(directory));
  return Offset{0};
}

Result<> store_cursor(FileSystem& files, const fs::path& directory, Offset cursor) {
  return write_file_atomic(files, directory / "cursor", encode(cursor));
}

}  // namespace nacelle::storage::detail
