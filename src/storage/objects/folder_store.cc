#include <fmt/format.h>

#include <algorithm>

#include "foundation/random.h"
#include "storage/objects/object_store.h"

namespace nacelle::storage {
namespace {

constexpr std::size_t longest_name = 1024;    // as S3 and Azure blobs
constexpr std::size_t longest_segment = 255;  // as file systems
// Objects being written live here until they are renamed; so no object's name may begin with it.
constexpr std::string_view partial_folder = ".partial";

Failure bad_name(std::string_view name, std::string_view why) {
  std::string shown(name.substr(0, 80));
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < 0x20; }, '?');
  return fail(Fault::invalid_input, fmt::format("object name '{}': {}", shown, why));
}

Result<> check_name(std::string_view name) {
  if (name.empty()) return bad_name(name, "it is empty");
  if (name.size() > longest_name) return bad_name(name, fmt::format("longer than {} bytes", longest_name));
  if (name.find('\0') != std::string_view::npos) return bad_name(name, "it holds a NUL");
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view segment = name.substr(begin, end - begin);
    if (segment.empty()) return bad_name(name, "a segment is empty, or it begins or ends with '/'");
    if (segment == "." || segment == "..") return bad_name(name, "'.' and '..' are not allowed");
    if (segment.size() > longest_segment) return bad_name(name, fmt::format("a segment is longer than {} bytes", longest_segment));
    if (begin == 0 && segment == partial_folder) return bad_name(name, "this folder is the store's own");
    begin = end + 1;
  }
  return {};
}

class FolderWriter final : public ObjectWriter {
 public:
  FolderWriter(FileSystem& files, std::unique_ptr<File> file, fs::path temporary, fs::path target)
      : files_(files), file_(std::move(file)), temporary_(std::move(temporary)), target_(std::move(target)) {}
  ~FolderWriter() override {
    if (!file_) return;
    file_.reset();
    (void)files_.remove(temporary_);  // else the next opening does
  }

  Result<> write(BytesView bytes) override {
    TRY(usable());
    auto written = file_->append(bytes);
    broken_ = broken_ || !written;
    return written;
  }

  Result<> commit() override {
    TRY(usable());
    broken_ = true;  // whatever fails from here on, this writer cannot be used again
    TRY(file_->sync());
    TRY(files_.make_directories(target_.parent_path()));
    TRY(files_.rename(temporary_, target_));
    file_.reset();
    return files_.sync_directory(target_.parent_path());
  }

 private:
  Result<> usable() const {
    if (file_ && !broken_) return {};
    return fail(Fault::conflict, fmt::format("object {}: already committed, or an earlier write failed", target_.string()));
  }

  FileSystem& files_;
  std::unique_ptr<File> file_;
  bool broken_ = false;
  fs::path temporary_;
  fs::path target_;
};

class FolderReader final : public ObjectReader {
 public:
  FolderReader(std::unique_ptr<File> file, ByteCount size) : file_(std::move(file)), size_(size) {}
  ByteCount size() const override { return size_; }
  Result<Bytes> read_at(std::uint64_t offset, std::size_t count) const override { return file_->read_at(offset, count); }

 private:
  const std::unique_ptr<File> file_;
  const ByteCount size_;
};

class FolderStore final : public ObjectStore {
 public:
  FolderStore(fs::path root, FileSystem& files, std::unique_ptr<FileLock> lock)
      : root_(std::move(root)), files_(files), lock_(std::move(lock)) {}

  Result<std::unique_ptr<ObjectWriter>> create(std::string_view name) override {
    TRY(check_name(name));
    const fs::path temporary = root_ / partial_folder / random_uuid();
    TRY_LET(auto file, files_.open(temporary, OpenMode::create));
    return std::unique_ptr<ObjectWriter>(std::make_unique<FolderWriter>(files_, std::move(file), temporary, root_ / name));
  }

  Result<> put(std::string_view name, BytesView bytes) override {
    TRY_LET(const auto writer, create(name));
    TRY(writer->write(bytes));
    return writer->commit();
  }

  Result<Bytes> get(std::string_view name, ByteCount max_bytes) const override {
    TRY(check_name(name));
    return in(read_file(files_, root_ / name, max_bytes), fmt::format("object {}", name));
  }

  Result<std::unique_ptr<ObjectReader>> open(std::string_view name) const override {
    TRY(check_name(name));
    const std::string where = fmt::format("object {}", name);
    TRY_LET(auto file, in(files_.open(root_ / name, OpenMode::read), where));
    TRY_LET(const std::uint64_t size, in(file->size(), where));
    return std::unique_ptr<ObjectReader>(std::make_unique<FolderReader>(std::move(file), size));
  }

  Result<bool> exists(std::string_view name) const override {
    TRY(check_name(name));
    const auto found = files_.info(root_ / name);
    if (!found && found.error().fault != Fault::not_found) return fail(found.error());
    return found && !found->is_directory;
  }

  Result<bool> make_durable(std::string_view name) const override {
    TRY_LET(const bool there, exists(name));
    if (!there) return false;
    // Its folders too: they may have been made by the same commit.
    for (fs::path folder = (root_ / name).parent_path();; folder = folder.parent_path()) {
      TRY(files_.sync_directory(folder));
      if (folder == root_ || folder == folder.parent_path()) return true;
    }
  }

  Result<> remove(std::string_view name) override {
    TRY_LET(const bool there, exists(name));
    if (!there) return {};
    TRY(files_.remove(root_ / name));
    return files_.sync_directory((root_ / name).parent_path());
  }

  Result<std::vector<ObjectInfo>> list(std::string_view prefix) const override {
    std::vector<ObjectInfo> found;
    if (prefix.find('\0') != std::string_view::npos) return bad_name(prefix, "it holds a NUL");
    TRY(collect("", prefix, found));
    // Not the folders' own order: "a-b" comes before "a/b".
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return found;
  }

 private:
  /// Adds the objects under `folder` ("" or "x/y/") whose names begin with `prefix`. Looks into no folder that cannot
  /// hold one, so a prefix with `..` finds nothing.
  Result<> collect(const std::string& folder, std::string_view prefix, std::vector<ObjectInfo>& found) const {
    const auto names = files_.list(root_ / folder);
    if (!names && names.error().fault == Fault::not_found) return {};  // removed meanwhile
    if (!names) return fail(names.error());
    for (const std::string& entry : *names) {
      const std::string name = folder + entry;
      const std::size_t common = std::min(name.size(), prefix.size());
      if (name == partial_folder || prefix.substr(0, common) != std::string_view(name).substr(0, common)) continue;
      const auto info = files_.info(root_ / name);
      if (!info && info.error().fault == Fault::not_found) continue;
      if (!info) return fail(info.error());
      if (info->is_directory) {
        TRY(collect(name + "/", prefix, found));
      } else if (name.size() >= prefix.size()) {
        found.push_back({name, info->bytes, info->modified_at});
      }
    }
    return {};
  }

  fs::path root_;
  FileSystem& files_;
  std::unique_ptr<FileLock> lock_;  // held by the first to open: only it may take temporaries for leftovers
};

Result<> remove_leftovers(const fs::path& folder, FileSystem& files) {
  TRY_LET(const auto names, files.list(folder));
  for (const std::string& name : names)
    if (name != "lock") TRY(files.remove(folder / name));
  return {};
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_folder_store(const fs::path& root, FileSystem& files) {
  const fs::path partial = root / partial_folder;
  TRY(files.make_directories(partial));
  auto lock = files.lock(partial / "lock");
  if (!lock && lock.error().fault != Fault::conflict) return fail(lock.error());
  if (lock) TRY(remove_leftovers(partial, files));
  return std::unique_ptr<ObjectStore>(std::make_unique<FolderStore>(root, files, lock ? std::move(lock).value() : nullptr));
}

}  // namespace nacelle::storage
