#pragma once
// Tar and gzip over libarchive and zlib, in memory.

#include <vector>

#include "codec/oci/image.h"

namespace nacelle::oci::detail {

/// Entries in the order given; `folders` adds each parent folder before its first file.
Result<Bytes> write_tar(const std::vector<FileEntry>& entries, bool folders);

/// Regular files and symbolic links in the archive's order; folders are passed over; anything else is refused. `what`
/// names the archive in errors. Compression is recognised. Paths are cleaned of a leading `./` and checked.
Result<std::vector<FileEntry>> read_tar(BytesView bytes, ByteCount max_bytes, std::string_view what);

/// gzip without name and time: the same bytes for the same input.
Result<Bytes> gzip(BytesView bytes);

}  // namespace nacelle::oci::detail
