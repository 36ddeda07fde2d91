#include "codec/oci/detail/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <zlib.h>

#include <memory>
#include <set>

namespace nacelle::oci::detail {
namespace {

struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

la_ssize_t append(archive*, void* out, const void* bytes, size_t count) {
  static_cast<Bytes*>(out)->append(static_cast<const char*>(bytes), count);
  return static_cast<la_ssize_t>(count);
}

Failure archive_failed(archive* a, std::string_view doing) {
  const char* reason = archive_error_string(a);
  return fail(Fault::corrupt, fmt::format("{}: {}", doing, reason ? reason : "unknown error of libarchive"));
}

/// What makes two machines write the same header: no time, no owner names, numeric owner 0.
void set_plain(archive_entry* entry, const std::string& path, unsigned type, unsigned mode) {
  archive_entry_clear(entry);
  archive_entry_set_pathname(entry, path.c_str());
  archive_entry_set_filetype(entry, type);
  archive_entry_set_perm(entry, mode & 0777);
  archive_entry_set_mtime(entry, 0, 0);
  archive_entry_set_uid(entry, 0);
  archive_entry_set_gid(entry, 0);
}

Result<> write_entry(archive* out, archive_entry* entry, BytesView content, const std::string& path) {
  if (archive_write_header(out, entry) != ARCHIVE_OK) return archive_failed(out, "writing the header of " + path);
  if (!content.empty() && archive_write_data(out, content.data(), content.size()) != static_cast<la_ssize_t>(content.size()))
    return archive_failed(out, "writing " + path);
  return {};
}

std::vector<std::string> parents_of(const std::string& path) {
  std::vector<std::string> parents;
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
    parents.push_back(path.substr(0, slash) + "/");
  return parents;
}

}  // namespace

Result<Bytes> write_tar(const std::vector<FileEntry>& entries, bool folders) {
  Bytes bytes;
  const std::unique_ptr<archive, FreeWriter> out(archive_write_new());
  const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
  archive_write_set_format_pax_restricted(out.get());  // ustar wherever ustar can say it
  archive_write_set_bytes_per_block(out.get(), 64 * 1024);
  archive_write_set_bytes_in_last_block(out.get(), 512);
  if (archive_write_open(out.get(), &bytes, nullptr, append, nullptr) != ARCHIVE_OK)
    return archive_failed(out.get(), "opening a tar in memory");
  std::set<std::string> made;
  for (const FileEntry& file : entries) {
    if (folders) {
      for (const std::string& parent : parents_of(file.path)) {
        if (!made.insert(parent).second) continue;
        set_plain(entry.get(), parent, AE_IFDIR, 0755);
        TRY(write_entry(out.get(), entry.get(), {}, parent));
      }
    }
    const bool link = !file.link_target.empty();
    set_plain(entry.get(), file.path, link ? AE_IFLNK : AE_IFREG, link ? 0777 : file.mode);
    if (link)
      archive_entry_set_symlink(entry.get(), file.link_target.c_str());
    else
      archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
    TRY(write_entry(out.get(), entry.get(), link ? BytesView{} : BytesView(file.content), file.path));
  }
  if (archive_write_close(out.get()) != ARCHIVE_OK) return archive_failed(out.get(), "ending a tar in memory");
  return bytes;
}

namespace {

/// Reads `entry`'s content; the size in its header is not believed before the bytes are there.
Result<Bytes> read_content(archive* reader, const std::string& path, ByteCount room, std::string_view what) {
  Bytes content;
  const void* block = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  while (true) {
    const int state = archive_read_data_block(reader, &block, &size, &offset);
    if (state == ARCHIVE_EOF) return content;
    if (state != ARCHIVE_OK) return archive_failed(reader, fmt::format("{}: reading {}", what, path));
    // Sparse files leave holes; our writer makes none, and a hole must not make us allocate.
    if (static_cast<ByteCount>(offset) != content.size())
      return fail(Fault::invalid_input, fmt::format("{}: {} is a sparse file", what, path));
    if (content.size() + size > room)
      return fail(Fault::exhausted, fmt::format("{}: {} makes the content larger than allowed", what, path));
    content.append(static_cast<const char*>(block), size);
  }
}

}  // namespace

Result<std::vector<FileEntry>> read_tar(BytesView bytes, ByteCount max_bytes, std::string_view what) {
  const std::unique_ptr<archive, FreeReader> reader(archive_read_new());
  archive_read_support_format_tar(reader.get());
  archive_read_support_filter_gzip(reader.get());
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) return archive_failed(reader.get(), what);
  std::vector<FileEntry> files;
  ByteCount total = 0;
  archive_entry* entry = nullptr;
  while (true) {
    const int state = archive_read_next_header(reader.get(), &entry);
    if (state == ARCHIVE_EOF) return files;
    if (state != ARCHIVE_OK) return archive_failed(reader.get(), what);
    const char* name = archive_entry_pathname(entry);
    std::string path = name ? name : "";
    if (path.starts_with("./")) path.erase(0, 2);
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) {
      while (path.ends_with('/')) path.pop_back();
      if (!path.empty() && path != ".") TRY(in(check_path(path), what));
      continue;
    }
    TRY(in(check_path(path), what));
    if (archive_entry_hardlink(entry) || (type != AE_IFREG && type != AE_IFLNK))
      return fail(Fault::invalid_input, fmt::format("{}: {} is neither a file nor a symbolic link", what, path));
    FileEntry file{.path = path, .content = {}, .mode = static_cast<unsigned>(archive_entry_perm(entry) & 0777), .link_target = {}};
    if (type == AE_IFLNK) {
      const char* target = archive_entry_symlink(entry);
      file.link_target = target ? target : "";
      if (file.link_target.empty()) return fail(Fault::corrupt, fmt::format("{}: the link {} has no target", what, path));
    } else {
      TRY_LET(file.content, read_content(reader.get(), path, max_bytes - total, what));
      total += file.content.size();
    }
    files.push_back(std::move(file));
  }
}

Result<Bytes> gzip(BytesView bytes) {
  z_stream stream{};
  // 15 + 16: a gzip header, into which zlib puts time 0 and no name. Level 6 everywhere: another level, another digest.
  INVARIANT(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK,
            "fixed parameters are valid and memory is there");
  Bytes out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  // avail_in and avail_out are 32-bit: fed in slices.
  constexpr std::size_t slice = 1u << 30;
  std::size_t left = bytes.size(), room = out.size();
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min(left, slice));
      left -= stream.avail_in;
    }
    if (stream.avail_out == 0) {
      stream.avail_out = static_cast<uInt>(std::min(room, slice));
      room -= stream.avail_out;
    }
    state = deflate(&stream, left == 0 ? Z_FINISH : Z_NO_FLUSH);
    INVARIANT(state == Z_OK || state == Z_STREAM_END, "the output bound of deflateBound is enough");
  }
  out.resize(out.size() - room - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace nacelle::oci::detail
