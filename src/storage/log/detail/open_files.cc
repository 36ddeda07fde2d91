#include "storage/log/detail/open_files.h"

namespace nacelle::storage::detail {

Result<std::shared_ptr<const File>> OpenFiles::open(Offset segment, const fs::path& path) {
  if (auto known = find(segment)) return known;
  TRY_LET(std::shared_ptr<const File> file, files_.open(path, OpenMode::read));
  keep(segment, file);
  return file;
}

std::shared_ptr<const File> OpenFiles::find(Offset segment) {
  const std::lock_guard lock(mutex_);
  const auto at = by_name_.find(segment);
  if (at == by_name_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, at->second);
  return at->second->file;
}

void OpenFiles::keep(Offset segment, std::shared_ptr<const File> file) {
  std::shared_ptr<const File> closed;  // after the mutex
  const std::lock_guard lock(mutex_);
  if (most_ == 0 || by_name_.contains(segment)) return;
  entries_.push_front({segment, std::move(file)});
  by_name_[segment] = entries_.begin();
  if (entries_.size() <= most_) return;
  closed = std::move(entries_.back().file);
  by_name_.erase(entries_.back().segment);
  entries_.pop_back();
}

void OpenFiles::forget(Offset segment) {
  std::shared_ptr<const File> closed;  // after the mutex
  const std::lock_guard lock(mutex_);
  const auto at = by_name_.find(segment);
  if (at == by_name_.end()) return;
  closed = std::move(at->second->file);
  entries_.erase(at->second);
  by_name_.erase(at);
}

std::size_t OpenFiles::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace nacelle::storage::detail
