// Opening a chain, beginning a segment.
#include <fmt/format.h>

#include <algorithm>

#include "foundation/log.h"
#include "foundation/random.h"
#include "storage/log/detail/segment_chain.h"

namespace nacelle::storage::detail {
namespace {

// So much is read through at opening, newest first: a third of a second. Older segments are checked when first read.
constexpr ByteCount checked_at_opening = 256_MiB;

std::uint32_t random_salt() {
  std::uint32_t salt = 0;
  for (const unsigned char byte : secure_random(sizeof salt)) salt = salt << 8 | byte;
  return salt;
}

}  // namespace

Result<std::unique_ptr<SegmentChain>> SegmentChain::open(Options options, FileSystem& files, Counters& counters) {
  auto chain = std::unique_ptr<SegmentChain>(new SegmentChain(std::move(options), files, counters));
  TRY(files.make_directories(chain->options_.directory));
  TRY(chain->find_segments());
  TRY(chain->recover_last(0));
  chain->check_recent();
  chain->find_head();
  chain->begun_ = chain->next_;
  return chain;
}

/// A kill while a damaged segment was put aside leaves its replacement under another name.
Result<> SegmentChain::finish_salvage(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!name.ends_with(".salvaged")) continue;
    const std::string target = name.substr(0, name.size() - std::string_view(".salvaged").size());
    const fs::path from = options_.directory / name;
    if (std::binary_search(names.begin(), names.end(), target)) {
      TRY(files_.remove(from));
    } else {
      TRY(files_.rename(from, options_.directory / target));
    }
  }
  return {};
}

Result<> SegmentChain::find_segments() {
  TRY_LET(const auto before, files_.list(options_.directory));
  TRY(finish_salvage(before));
  // What an earlier process created or renamed may not be durable yet, though it can be seen.
  TRY(files_.sync_directory(options_.directory));
  TRY_LET(const auto names, files_.list(options_.directory));
  for (const std::string& name : names) {  // sorted by name is sorted by offset: the names are of one length
    const auto first = parse_segment_name(name);
    if (!first) continue;
    const fs::path path = options_.directory / name;
    TRY_LET(const FileInfo info, files_.info(path));
    const auto segment = std::make_shared<Segment>(of_chain(), path, options_.partition, *first, info.bytes);
    if (!segments_.empty()) segments_.back()->set_end(segment->follows());
    segments_.push_back(segment);
  }
  return {};
}

/// Makes the last file ready to be appended to; offsets go on from `at_least`.
Result<> SegmentChain::recover_last(Offset at_least) {
  next_ = at_least;
  if (segments_.empty()) return {};
  const SegmentPointer last = segments_.back();
  TRY_LET(std::shared_ptr<File> file, files_.open(last->path(), OpenMode::append));
  // A killed process may have written what it never synced; it is read back here, so it must last from here on.
  TRY(file->sync());
  auto bytes = read_file(files_, last->path(), 4_GiB);
  if (!bytes && bytes.error().fault != Fault::corrupt) return fail(std::move(bytes).error());
  const Standing standing{options_.partition, last->first(), bytes.has_value()};
  TRY_LET(Scan scan, in(scan_segment(bytes ? BytesView(*bytes) : BytesView(), standing), last->path().string()));
  if (!bytes) scan.past = last->first() + last->bytes() / record_header_bytes;  // the disk cannot deliver it
  if (scan.torn && !scan.damaged && scan.past == last->first()) {
    // Not even a whole header: the beginning of a segment that power cut short. So the one before is the last.
    segments_.pop_back();
    TRY(last->remove());
    return recover_last(last->first());
  }
  next_ = std::max(at_least, scan.past);
  if (scan.damaged || scan.torn) return mend_last(*last, *file, scan);
  last_ = last;
  file_ = file;
  salt_ = scan.salt;
  written_ = synced_ = scan.intact_bytes;
  last_->begin(std::move(file), scan);
  // Room; if it cannot be cut off, nobody takes it for records.
  if (bytes->size() > written_) (void)file_->truncate(written_);
  // Gaps stand between segments, where the header tells of them.
  needs_roll_ = next_ > scan.next;
  return {};
}

/// The new segment first: its name keeps the offsets that the damaged rest may have had from being used again, and its
/// header says where the intact part ends.
Result<> SegmentChain::mend_last(Segment& last, File& file, const Scan& scan) {
  last.accept(scan);
  next_ = std::max(next_, last.first() + 1);
  if (const auto made = make_segment(next_, scan.records == 0 ? scan.follows : scan.next); !made) {
    // A full disk must not keep the log from opening. Mended at the next opening; the records before the damage are served.
    log::warn("log", "{} is damaged, and there is no room to mend it: {}", last.path().string(), made.error().message);
    needs_roll_ = true;
    return {};
  }
  if (scan.damaged) {
    if (const auto done = last.quarantine(scan); !done) log::error("log", "{}: {}", last.path().string(), done.error().message);
    return {};
  }
  ++counters_.repaired_tails;
  log::info("log", "{}: cut a torn write after {} records", last.path().string(), scan.records);
  // If this fails, the rest stays behind the end and is never looked at.
  if (const auto cut = file.truncate(scan.intact_bytes); !cut) log::warn("log", "{}", cut.error().message);
  return {};
}

/// Begins a segment and makes it the last. Nothing is left behind if that fails.
Result<> SegmentChain::make_segment(Offset first, Offset follows) {
  const fs::path path = options_.directory / segment_name(first);
  const SegmentHeader header{options_.partition, first, follows, random_salt()};
  const Bytes bytes = encode_segment_header(header);
  const auto make = [&]() -> Result<std::shared_ptr<File>> {
    TRY(files_.remove(path));  // left by an attempt whose removal failed: it never held a record
    TRY_LET(std::shared_ptr<File> file, files_.open(path, OpenMode::create));
    TRY(file->append(bytes));
    TRY(file->sync());
    TRY(files_.sync_directory(options_.directory));
    return file;
  };
  INVARIANT(segments_.empty() || segments_.back()->first() < first, "a segment holds a record before the next begins");
  auto made = make();
  if (!made) {
    (void)files_.remove(path);
    return fail(std::move(made).error());
  }
  const auto segment = std::make_shared<Segment>(of_chain(), path, options_.partition, first, bytes.size());
  Scan nothing;
  nothing.next = first;
  nothing.salt = header.salt;
  nothing.follows = follows;
  nothing.intact_bytes = bytes.size();
  segment->begin(*made, nothing);
  give_back_room();
  if (last_) last_->seal(follows);
  last_ = segment;
  file_ = *made;
  salt_ = header.salt;
  next_ = first;
  begun_ = first;
  written_ = synced_ = bytes.size();
  needs_roll_ = false;
  const std::lock_guard lock(mutex_);
  segments_.push_back(segment);
  return {};
}

void SegmentChain::check_recent() {
  ByteCount budget = checked_at_opening;
  for (auto at = segments_.rbegin(); at != segments_.rend() && (*at)->bytes() <= budget; ++at) {
    budget -= (*at)->bytes();
    if (const auto checked = (*at)->extent(); !checked) log::error("log", "{}", checked.error().message);
  }
}

void SegmentChain::find_head() {
  head_ = segments_.empty() ? next_ : std::min(segments_.back()->first(), segments_.back()->follows());
  for (auto at = segments_.rbegin(); at != segments_.rend(); ++at) {
    const auto extent = (*at)->extent();
    if (!extent || extent->records == 0) continue;
    head_ = extent->next;
    return;
  }
}

}  // namespace nacelle::storage::detail
