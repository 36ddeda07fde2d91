#pragma once
// A disk for tests of the hub: the real one, of which a part can be made to refuse.

#include <atomic>

#include "storage/file/file.h"

namespace nacelle::hub::testing {

/// While `refuse` is set, nothing can be appended to files whose path contains `part`, as on a full disk.
class FilteredFiles final : public storage::FileSystem {
 public:
  explicit FilteredFiles(std::string part) : part_(std::move(part)) {}
  std::atomic<bool> refuse{false};

  Result<std::unique_ptr<storage::File>> open(const storage::fs::path& path, storage::OpenMode mode,
                                              unsigned permissions) override {
    TRY_LET(auto file, real_.open(path, mode, permissions));
    if (path.string().find(part_) == std::string::npos) return file;
    return std::unique_ptr<storage::File>(std::make_unique<FullFile>(*this, std::move(file)));
  }
  Result<> rename(const storage::fs::path& from, const storage::fs::path& to) override { return real_.rename(from, to); }
  Result<> remove(const storage::fs::path& path) override { return real_.remove(path); }
  Result<> make_directories(const storage::fs::path& path) override { return real_.make_directories(path); }
  Result<> sync_directory(const storage::fs::path& path) override { return real_.sync_directory(path); }
  Result<bool> exists(const storage::fs::path& path) const override { return real_.exists(path); }
  Result<storage::FileInfo> info(const storage::fs::path& path) const override { return real_.info(path); }
  Result<std::vector<std::string>> list(const storage::fs::path& directory) const override { return real_.list(directory); }
  Result<std::unique_ptr<storage::FileLock>> lock(const storage::fs::path& path) override { return real_.lock(path); }

 private:
  class FullFile final : public storage::File {
   public:
    FullFile(FilteredFiles& disk, std::unique_ptr<storage::File> inner) : disk_(disk), inner_(std::move(inner)) {}
    Result<> append(BytesView bytes) override {
      if (!disk_.refuse) return inner_->append(bytes);
      TRY(inner_->append(bytes.substr(0, bytes.size() / 2)));  // as a disk does: what still fits is written
      return fail(Fault::exhausted, "no space left on device");
    }
    Result<Bytes> read_at(std::uint64_t offset, std::size_t count) const override { return inner_->read_at(offset, count); }
    Result<> sync() override { return inner_->sync(); }
    Result<> truncate(std::uint64_t size) override { return inner_->truncate(size); }
    Result<std::uint64_t> size() const override { return inner_->size(); }

   private:
    FilteredFiles& disk_;
    const std::unique_ptr<storage::File> inner_;
  };
  const std::string part_;
  storage::FileSystem& real_ = storage::real_file_system();
};

}  // namespace nacelle::hub::testing
