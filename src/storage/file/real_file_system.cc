#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "storage/file/file.h"

namespace nacelle::storage {
namespace {

Fault fault_of(int error) {
  switch (error) {
    case ENOENT: return Fault::not_found;
    case EEXIST:
    case EWOULDBLOCK: return Fault::conflict;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Fault::exhausted;
    case EACCES:
    case EPERM:
    case EROFS: return Fault::denied;
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case EINVAL:
    case ELOOP: return Fault::invalid_input;
    default: return Fault::unavailable;
  }
}

Failure failed(std::string_view doing, const fs::path& path, int error) {
  return fail(fault_of(error), fmt::format("{} {}: {}", doing, path.string(), std::strerror(error)));
}

/// Calls `call` again while a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  auto answer = call();
  while (answer == -1 && errno == EINTR) answer = call();
  return answer;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);  // nothing rests on close: what must last was synced before
  }
  int get() const { return number_; }

 private:
  int number_;
};

Result<Descriptor> open_descriptor(const fs::path& path, int flags, unsigned permissions) {
  const int number = uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, permissions); });
  if (number < 0) return failed("opening", path, errno);
  return Descriptor(number);
}

class RealFile final : public File {
 public:
  RealFile(Descriptor descriptor, fs::path path, std::uint64_t end)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), end_(end), room_end_(end) {}

  Result<> append(BytesView bytes) override { return write_at(end_, bytes); }

  Result<> append_all(std::span<const BytesView> pieces) override {
    std::vector<iovec> parts;
    parts.reserve(pieces.size());
    for (const BytesView piece : pieces)
      if (!piece.empty()) parts.push_back({const_cast<char*>(piece.data()), piece.size()});
    for (std::span<iovec> left = parts; !left.empty();) {
      const int count = static_cast<int>(std::min<std::size_t>(left.size(), IOV_MAX));
      const auto at = static_cast<off_t>(end_);
      const auto written = uninterrupted([&] { return ::pwritev(descriptor_.get(), left.data(), count, at); });
      if (written < 0) return failed("writing", path_, errno);
      end_ += static_cast<std::uint64_t>(written);
      auto done = static_cast<std::size_t>(written);
      while (!left.empty() && done >= left.front().iov_len) {
        done -= left.front().iov_len;
        left = left.subspan(1);
      }
      if (done > 0) left.front() = {static_cast<char*>(left.front().iov_base) + done, left.front().iov_len - done};
    }
    return {};
  }

  Result<Bytes> read_at(std::uint64_t offset, std::size_t count) const override {
    Bytes bytes(count, '\0');
    std::size_t got = 0;
    while (got < count) {
      const auto at = static_cast<off_t>(offset + got);
      const auto n = uninterrupted([&] { return ::pread(descriptor_.get(), bytes.data() + got, count - got, at); });
      // What the disk cannot give back is damage, and handled as such; to writing, EIO is an outage.
      if (n < 0 && errno == EIO) return fail(Fault::corrupt, fmt::format("reading {}: {}", path_.string(), std::strerror(EIO)));
      if (n < 0) return failed("reading", path_, errno);
      if (n == 0) break;
      got += static_cast<std::size_t>(n);
    }
    bytes.resize(got);
    return bytes;
  }

  Result<> sync() override {
    // Not repeated on EINTR or anything else: the kernel reports a lost page only once.
    if (::fdatasync(descriptor_.get()) != 0) return failed("syncing", path_, errno);
    return {};
  }

  Result<> truncate(std::uint64_t size) override {
    if (uninterrupted([&] { return ::ftruncate(descriptor_.get(), static_cast<off_t>(size)); }) != 0)
      return failed("truncating", path_, errno);
    end_ = room_end_ = size;
    return {};
  }

  Result<> make_room(ByteCount bytes) override {
    static constexpr std::array<char, 64 * 1024> zeros{};
    room_end_ = std::max(room_end_, end_);
    while (room_end_ < end_ + bytes)
      TRY(write_at(room_end_, {zeros.data(), std::min<std::size_t>(zeros.size(), end_ + bytes - room_end_)}));
    return {};
  }

  Result<std::uint64_t> size() const override {
    if (room_end_ > end_) return end_;
    struct stat status {};
    if (::fstat(descriptor_.get(), &status) != 0) return failed("measuring", path_, errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  /// `at` goes along, also when not all of it can be written.
  Result<> write_at(std::uint64_t& at, BytesView bytes) {
    while (!bytes.empty()) {
      const auto place = static_cast<off_t>(at);
      const auto written = uninterrupted([&] { return ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), place); });
      if (written < 0) return failed("writing", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(written));
      at += static_cast<std::uint64_t>(written);
    }
    return {};
  }

  Descriptor descriptor_;
  fs::path path_;
  std::uint64_t end_;       // where the next append goes
  std::uint64_t room_end_;  // behind it, up to here, are zeros
};

class RealLock final : public FileLock {
 public:
  explicit RealLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  Descriptor descriptor_;  // the lock goes with it
};

class RealFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const fs::path& path, OpenMode mode, unsigned permissions) override {
    int flags = O_RDONLY;
    if (mode == OpenMode::append) flags = O_RDWR | O_CREAT;
    if (mode == OpenMode::create) flags = O_RDWR | O_CREAT | O_EXCL;
    TRY_LET(Descriptor descriptor, open_descriptor(path, flags, permissions));
    struct stat status {};
    if (::fstat(descriptor.get(), &status) != 0) return failed("measuring", path, errno);
    if (S_ISDIR(status.st_mode))
      return fail(Fault::not_found, fmt::format("opening {}: it is a folder, not a file", path.string()));
    return std::unique_ptr<File>(
        std::make_unique<RealFile>(std::move(descriptor), path, static_cast<std::uint64_t>(status.st_size)));
  }

  Result<> rename(const fs::path& from, const fs::path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return failed(fmt::format("renaming {} to", from.string()), to, errno);
    return {};
  }

  Result<> remove(const fs::path& path) override {
    if (::remove(path.c_str()) != 0 && errno != ENOENT) return failed("removing", path, errno);
    return {};
  }

  Result<> make_directories(const fs::path& path) override {
    if (path.empty()) return {};
    if (::mkdir(path.c_str(), 0755) == 0) return sync_directory(parent_of(path));
    const int error = errno;
    if (error == ENOENT && path.has_parent_path() && path.parent_path() != path) {
      TRY(make_directories(path.parent_path()));
      if (::mkdir(path.c_str(), 0755) == 0) return sync_directory(parent_of(path));
      if (errno != EEXIST) return failed("making folder", path, errno);
    } else if (error != EEXIST) {
      return failed("making folder", path, error);
    }
    TRY_LET(const FileInfo found, info(path));
    if (!found.is_directory) return failed("making folder", path, ENOTDIR);
    return {};
  }

  Result<> sync_directory(const fs::path& path) override {
    const fs::path folder = path.empty() ? fs::path(".") : path;
    TRY_LET(const Descriptor descriptor, open_descriptor(folder, O_RDONLY | O_DIRECTORY, 0));
    if (::fsync(descriptor.get()) != 0) return failed("syncing folder", folder, errno);
    return {};
  }

  Result<bool> exists(const fs::path& path) const override {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return failed("looking for", path, errno);
  }

  Result<FileInfo> info(const fs::path& path) const override {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return failed("looking at", path, errno == ENOTDIR ? ENOENT : errno);
    const auto modified = std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::microseconds(status.st_mtim.tv_nsec / 1000);
    return FileInfo{static_cast<ByteCount>(status.st_size), Timestamp(modified), S_ISDIR(status.st_mode) != 0};
  }

  Result<std::vector<std::string>> list(const fs::path& directory) const override {
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
    if (!open) return failed("listing", directory, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(open.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    if (errno != 0) return failed("listing", directory, errno);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::unique_ptr<FileLock>> lock(const fs::path& path) override {
    TRY_LET(Descriptor descriptor, open_descriptor(path, O_RDWR | O_CREAT, 0644));
    if (uninterrupted([&] { return ::flock(descriptor.get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK) return fail(Fault::conflict, fmt::format("{} is held: another process has it open", path.string()));
      return failed("locking", path, errno);
    }
    return std::unique_ptr<FileLock>(std::make_unique<RealLock>(std::move(descriptor)));
  }

 private:
  static fs::path parent_of(const fs::path& path) {
    // `a/b/` names the folder b inside a, though std::filesystem calls its parent `a/b`.
    const fs::path plain = path.has_filename() ? path : path.parent_path();
    return plain.parent_path();
  }
};

}  // namespace

FileSystem& real_file_system() {
  static RealFileSystem files;
  return files;
}

std::size_t open_file_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) : 1024;
}

}  // namespace nacelle::storage
