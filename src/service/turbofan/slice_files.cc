#include "service/turbofan/slice_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"

namespace nacelle::turbofan {

namespace fs = std::filesystem;

namespace {

// More than an edge sends of one engine before it is acknowledged, so that every repetition is known.
constexpr std::size_t records_known = 256;
constexpr std::size_t devices_known = 20'000;
constexpr std::string_view partial = ".part";
constexpr std::string_view suffix = ".avro";

/// `YYYY/MM/DD/HH/mm`, zero-padded.
std::string slice_name(Timestamp begin) {
  std::string text = format_iso8601(begin, 0).substr(0, 16);  // 2030-01-01T01:15
  for (char& c : text)
    if (c == '-' || c == 'T' || c == ':') c = '/';
  return text;
}

}  // namespace

struct SliceFiles::Open {
  std::string name;  // below the folder, without .part
  Timestamp slice_begin{};
  Timestamp last_added{};
  std::unique_ptr<storage::File> file;
  std::optional<avro::ContainerWriter> writer;
};

SliceFiles::SliceFiles(SliceOptions options, const Clock& clock, storage::FileSystem& files)
    : options_(std::move(options)), clock_(clock), files_(files) {}
SliceFiles::~SliceFiles() = default;

Result<std::unique_ptr<SliceFiles>> SliceFiles::open(SliceOptions options, const Clock& clock, storage::FileSystem& files) {
  auto slices = std::unique_ptr<SliceFiles>(new SliceFiles(std::move(options), clock, files));
  TRY(files.make_directories(slices->options_.folder));
  TRY(slices->load_notes());
  TRY(in(slices->recover(), "taking up the files of an earlier run"));
  return slices;
}

void SliceFiles::set_times(std::chrono::seconds slice, std::chrono::seconds idle) {
  options_.slice = slice;
  options_.idle = idle;
}

Timestamp SliceFiles::slice_of(Timestamp time) const {
  const auto length = std::max<std::int64_t>(options_.slice.count(), 1);
  const auto at = unix_seconds(time);
  return from_unix_seconds(at - at % length);
}

// -- Writing -------------------------------------------------------------------------------------------------------

Result<std::size_t> SliceFiles::add(const std::vector<EngineData>& records) {
  const Timestamp now = clock_.now();
  const Timestamp slice = slice_of(now);
  if (open_ && (open_->slice_begin != slice || open_->writer->bytes_written() > options_.max_file_bytes)) TRY(close_file());
  std::size_t added = 0;
  for (const EngineData& record : records) {
    if (is_repeated(record)) {
      ++repeated_;
      continue;
    }
    if (!open_) TRY(open_file(slice));
    Bytes bytes;
    encode(bytes, record);
    TRY(open_->writer->add(bytes));
    remember(record);
    ++added;
  }
  if (added == 0) return added;
  TRY(open_->writer->flush_block());
  TRY(open_->file->sync());
  open_->last_added = now;
  return added;
}

bool SliceFiles::is_repeated(const EngineData& record) const {
  const auto known = recent_.find(record.device);
  return known != recent_.end() &&
         std::find(known->second.rbegin(), known->second.rend(), record.identity()) != known->second.rend();
}

void SliceFiles::remember(const EngineData& record) {
  if (!recent_.contains(record.device) && recent_.size() >= devices_known) recent_.erase(recent_.begin());
  Recent& recent = recent_[record.device];
  recent.push_back(record.identity());
  if (recent.size() > records_known) recent.pop_front();
}

/// A name is given out once, also over restarts and after its file was uploaded: a second file of one slice is
/// `mm_001`, which sorts behind `mm`.
Result<> SliceFiles::open_file(Timestamp slice_begin) {
  const std::string slice = slice_name(slice_begin);
  last_number_ = slice == last_slice_ ? last_number_ + 1 : 0;
  last_slice_ = slice;
  auto open = std::make_unique<Open>();
  open->slice_begin = slice_begin;
  fs::path path;
  while (true) {
    open->name = slice + (last_number_ == 0 ? "" : fmt::format("_{:03}", last_number_)) + std::string(suffix);
    path = path_of(open->name);
    TRY_LET(const bool taken, files_.exists(path));
    if (!taken) break;
    ++last_number_;
  }
  TRY(files_.make_directories(path.parent_path()));
  path += partial;
  TRY_LET(open->file, files_.open(path, storage::OpenMode::create));
  avro::ContainerOptions options;
  options.schema = engine_data_schema(options_.form);
  options.sync_marker = secure_random(avro::sync_marker_bytes);
  storage::File* file = open->file.get();
  TRY_LET(open->writer, avro::ContainerWriter::open(std::move(options), [file](BytesView bytes) { return file->append(bytes); }));
  for (fs::path folder = path.parent_path(); folder != options_.folder && folder.has_relative_path(); folder = folder.parent_path())
    TRY(files_.sync_directory(folder));
  TRY(files_.sync_directory(options_.folder));
  open_ = std::move(open);
  return {};
}

Result<> SliceFiles::close_file() {
  if (!open_) return {};
  const fs::path path = path_of(open_->name);
  TRY(open_->writer->flush_block());
  TRY(open_->file->sync());
  TRY(files_.rename(path.string() + std::string(partial), path));
  TRY(files_.sync_directory(path.parent_path()));
  open_.reset();
  return {};
}

Result<> SliceFiles::tick(bool now_anyway) {
  if (!open_) return {};
  const bool untouched = clock_.now() >= open_->last_added + options_.idle;
  return untouched || now_anyway ? close_file() : Result<>();
}

// -- Complete files ------------------------------------------------------------------------------------------------

Result<std::vector<std::string>> SliceFiles::complete() const {
  std::vector<std::string> names;
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(options_.folder, error); !error && at != fs::recursive_directory_iterator();
       at.increment(error))
    if (at->is_regular_file() && at->path().extension() == suffix)
      names.push_back(fs::relative(at->path(), options_.folder).generic_string());
  if (error) return fail(Fault::unavailable, fmt::format("listing {}: {}", options_.folder.string(), error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

Result<> SliceFiles::remove(const std::string& name) {
  TRY(save_notes());
  const fs::path path = path_of(name);
  TRY(files_.remove(path));
  std::error_code ignored;  // folders that are empty now go too; the others refuse
  for (fs::path folder = path.parent_path(); folder != options_.folder && fs::remove(folder, ignored);
       folder = folder.parent_path()) {}
  return {};
}

// -- Over restarts -------------------------------------------------------------------------------------------------

Result<> SliceFiles::save_notes() {
  json::Object devices;
  for (const auto& [device, recent] : recent_) {
    json::Array identities;
    for (const std::uint64_t identity : recent) identities.push_back(fmt::format("{:016x}", identity));
    devices.set(device, std::move(identities));
  }
  const json::Object notes{{"slice", last_slice_}, {"number", last_number_}, {"devices", std::move(devices)}};
  return storage::write_file_atomic(files_, options_.notes, json::print(notes));
}

Result<> SliceFiles::load_notes() {
  auto bytes = storage::read_file(files_, options_.notes);
  if (!bytes) return bytes.error().fault == Fault::not_found ? Result<>() : fail(std::move(bytes).error());
  const auto notes = json::parse(*bytes);
  if (!notes || !notes->is_object()) {
    log::error("avro-writer", "{} is damaged and set aside", options_.notes.string());
    return files_.rename(options_.notes, options_.notes.string() + ".quarantined");
  }
  TRY_LET(last_slice_, json::get_string_or(*notes, "slice", "", "the writer's notes"));
  TRY_LET(last_number_, json::get_integer_or(*notes, "number", 0, "the writer's notes"));
  TRY_LET(const json::Object* devices, json::get_object_or_null(*notes, "devices", "the writer's notes"));
  if (!devices) return {};
  for (const auto& [device, records] : *devices) {
    if (!records.is_array()) continue;
    Recent recent;
    for (const json::Value& record : records.as_array()) {
      const auto raw = record.is_string() ? text::hex_decode(record.as_string()) : Result<Bytes>(Bytes());
      std::uint64_t identity = 0;
      if (raw)
        for (const unsigned char c : *raw) identity = identity << 8 | c;
      recent.push_back(identity);
    }
    recent_.insert_or_assign(device, std::move(recent));
  }
  return {};
}

Result<> SliceFiles::recover() {
  std::vector<fs::path> partials;
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(options_.folder, error); !error && at != fs::recursive_directory_iterator();
       at.increment(error))
    if (at->is_regular_file() && at->path().extension() == partial) partials.push_back(at->path());
  if (error) return fail(Fault::unavailable, fmt::format("listing {}: {}", options_.folder.string(), error.message()));
  std::sort(partials.begin(), partials.end());
  for (const fs::path& path : partials) TRY(recover_partial(path));
  TRY_LET(const auto names, complete());
  for (const std::string& name : names)
    if (auto read = remember_file(path_of(name)); !read) log::warn("avro-writer", "{}: {}", name, read.error().message);
  return {};
}

/// Cuts behind the last whole block. What is cut off was never acknowledged, and comes again.
Result<> SliceFiles::recover_partial(const fs::path& path) {
  TRY_LET(const Bytes bytes, storage::read_file(files_, path, 1_GiB));
  std::uint64_t whole = 0;
  std::uint64_t records = 0;
  if (auto reader = avro::ContainerReader::open(bytes)) {
    const Bytes& marker = reader->header().sync_marker;
    while (true) {
      auto block = reader->next_block();
      if (!block || !*block) break;
      records += (*block)->records;
      whole = bytes.find(marker, (*block)->position);
      // The marker's bytes may occur inside the data by chance of 2^-128 a place: not considered.
      whole += marker.size();
    }
  }
  if (records == 0) {
    log::info("avro-writer", "{} has no whole record and is removed", path.string());
    return files_.remove(path);
  }
  if (whole < bytes.size()) {
    log::info("avro-writer", "{}: {} bytes of an unfinished block are cut off", path.string(), bytes.size() - whole);
    TRY_LET(auto file, files_.open(path, storage::OpenMode::append));
    TRY(file->truncate(whole));
    TRY(file->sync());
  }
  fs::path done = path;
  done.replace_extension();
  TRY(files_.rename(path, done));
  return files_.sync_directory(done.parent_path());
}

Result<> SliceFiles::remember_file(const fs::path& path) {
  TRY_LET(const Bytes bytes, storage::read_file(files_, path, 1_GiB));
  TRY_LET(auto reader, avro::ContainerReader::open(bytes));
  if (reader.header().schema != engine_data_schema(options_.form)) return {};  // of readings in another form: only uploaded
  return reader.each_record([this](avro::Decoder& from) -> Result<> {
    TRY_LET(const EngineData data, decode_engine_data(from, options_.form.channels.size()));
    remember(data);
    return {};
  });
}

}  // namespace nacelle::turbofan
