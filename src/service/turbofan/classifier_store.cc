#include "service/turbofan/classifier_store.h"

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "foundation/binary.h"
#include "foundation/log.h"

namespace nacelle::turbofan {

namespace {

constexpr std::string_view magic = "NCLSTAT1";
constexpr std::size_t hash_bytes = 32;
constexpr std::size_t bytes_before_values = 8 + 8 + 8;
/// Names the form of the readings that the folder keeps; not there: turbofans', as all were once.
constexpr std::string_view form_file = "reading.form";

void put_text(Bytes& out, std::string_view text) {
  binary::put(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}
void put_reading(Bytes& out, const SeenReading& reading) {
  binary::put(out, std::int64_t{reading.cycle});
  binary::put(out, std::uint64_t{reading.message});
  binary::put(out, reading.prediction);
  binary::put_all(out, reading.values);
}

/// binary::Reader's values as results.
class Reader {
 public:
  explicit Reader(BytesView bytes, std::size_t channels = 0) : in_{bytes}, channels_(channels) {}
  template <class T = std::uint64_t>
  Result<T> number() {
    const T value = in_.take<T>();
    return checked(value);
  }
  Result<BytesView> take(std::size_t count) {
    const BytesView bytes = in_.take_bytes(count);
    return checked(bytes);
  }
  Result<BytesView> text() {
    TRY_LET(const auto size, number<std::uint32_t>());
    return take(size);
  }
  Result<SeenReading> reading() {
    SeenReading reading;
    reading.cycle = in_.take<std::int64_t>();
    reading.message = in_.take<std::uint64_t>();
    reading.prediction = in_.take<double>();
    in_.take_all(reading.values, channels_);
    return checked(std::move(reading));
  }
  bool at_end() const { return in_.rest.empty(); }

 private:
  template <class T>
  Result<T> checked(T value) const {
    if (!in_.good) return fail(Fault::corrupt, "classifier state: ends inside a value");
    return value;
  }
  binary::Reader in_;
  std::size_t channels_;
};

/// What was kept of readings in another form is put aside: it cannot be continued.
Result<> check_form(const std::filesystem::path& folder, const ReadingForm& form, storage::FileSystem& files) {
  auto kept = storage::read_file(files, folder / form_file, 1_MiB);
  if (!kept && kept.error().fault != Fault::not_found) return fail(std::move(kept).error());
  const std::string before = kept ? std::string(*kept) : ReadingForm::turbofan().identity();
  if (before == form.identity()) return {};
  std::error_code code;
  for (const char* name : {"journal", "engines.state"}) {
    const std::filesystem::path path = folder / name;
    if (!std::filesystem::exists(path, code)) continue;
    log::warn("classifier", "{} is of readings in another form and set aside; the engines begin anew", path.string());
    const std::filesystem::path aside = path.string() + ".other-form";
    std::filesystem::remove_all(aside, code);
    TRY(files.rename(path, aside));
  }
  return storage::write_file_atomic(files, folder / form_file, form.identity());
}

Bytes print_snapshot(const EngineMemory& memory, storage::Offset journal_next) {
  Bytes out(magic);
  put_text(out, memory.model().content_hash());
  put_text(out, memory.model().pipeline().hash());
  binary::put(out, std::uint64_t{journal_next});
  binary::put(out, static_cast<std::uint32_t>(memory.engines().size()));
  for (const auto& [name, engine] : memory.engines()) {
    put_text(out, name);
    binary::put(out, std::uint64_t{engine.first_message});
    put_text(out, engine.state.serialise(memory.model().pipeline()));
    binary::put(out, static_cast<std::uint32_t>(engine.readings.size()));
    for (const SeenReading& reading : engine.readings) put_reading(out, reading);
  }
  out += digest::sha256(out);
  return out;
}

}  // namespace

Bytes encode_reading(const std::string& engine, const SeenReading& reading) {
  Bytes out;
  put_text(out, engine);
  put_reading(out, reading);
  return out;
}

Result<std::pair<std::string, SeenReading>> decode_reading(BytesView record, std::size_t channels) {
  Reader reader(record, channels);
  TRY_LET(const BytesView engine, reader.text());
  TRY_LET(SeenReading reading, reader.reading());
  if (!reader.at_end()) return fail(Fault::corrupt, "classifier journal: bytes after a reading");
  return std::pair{std::string(engine), std::move(reading)};
}

Result<std::unique_ptr<ClassifierStore>> ClassifierStore::open(const std::filesystem::path& folder, const Clock& clock,
                                                               storage::FileSystem& files, const ReadingForm& form) {
  TRY(files.make_directories(folder));
  TRY(check_form(folder, form, files));
  TRY(files.make_directories(folder / "journal"));
  auto store = std::unique_ptr<ClassifierStore>(new ClassifierStore(folder, files));
  storage::SpoolOptions options;
  options.directory = folder / "journal";
  options.segment_bytes = 4_MiB;
  TRY_LET(store->journal_, storage::Spool::open(std::move(options), clock, files));
  const auto path = folder / "engines.state";
  auto bytes = storage::read_file(files, path, 4_GiB);
  if (!bytes && bytes.error().fault != Fault::not_found) return fail(std::move(bytes).error());
  if (!bytes) return store;
  const bool whole = bytes->size() > magic.size() + hash_bytes && bytes->starts_with(magic) &&
                     digest::sha256(BytesView(*bytes).substr(0, bytes->size() - hash_bytes)) ==
                         BytesView(*bytes).substr(bytes->size() - hash_bytes);
  if (!whole) {
    log::error("classifier", "{} is damaged and set aside; the engines begin anew", path.string());
    TRY(files.rename(path, path.string() + ".quarantined"));
    return store;
  }
  bytes->resize(bytes->size() - hash_bytes);
  Reader reader(BytesView(*bytes).substr(magic.size()));
  TRY_LET(const BytesView model, reader.text());
  store->model_hash_ = model;
  store->snapshot_bytes_ = std::move(*bytes);
  return store;
}

Result<> ClassifierStore::restore(EngineMemory& memory) {
  TRY(in(read_snapshot(memory), "restoring the classifier's snapshot"));
  snapshot_bytes_ = {};
  return in(read_journal(memory), "restoring the classifier's journal");
}

Result<> ClassifierStore::read_snapshot(EngineMemory& memory) {
  if (snapshot_bytes_.empty()) return {};
  Reader reader(BytesView(snapshot_bytes_).substr(magic.size()), memory.form().channels.size());
  TRY(reader.text());  // the model
  TRY_LET(const BytesView pipeline, reader.text());
  TRY_LET(snapshot_next_, reader.number());
  TRY_LET(const auto engines, reader.number<std::uint32_t>());
  const bool same_pipeline = pipeline == memory.model().pipeline().hash();
  for (std::uint64_t i = 0; i < engines; ++i) {
    TRY_LET(const BytesView name, reader.text());
    EngineMemory::Engine engine;
    TRY_LET(engine.first_message, reader.number());
    TRY_LET(const BytesView state, reader.text());
    TRY_LET(const auto readings, reader.number<std::uint32_t>());
    for (std::uint64_t r = 0; r < readings; ++r) {
      TRY_LET(SeenReading reading, reader.reading());
      engine.readings.push_back(std::move(reading));
    }
    if (same_pipeline) {
      TRY_LET(engine.state, feature::EngineState::parse(state, memory.model().pipeline()));
    }
    memory.engines().insert_or_assign(std::string(name), std::move(engine));
  }
  if (!reader.at_end()) return fail(Fault::corrupt, "classifier state: bytes after the last engine");
  if (!same_pipeline) TRY(memory.rebuild());
  return {};
}

Result<> ClassifierStore::read_journal(EngineMemory& memory) {
  storage::Offset at = std::max(snapshot_next_, journal_->committed());
  while (at < journal_->head()) {
    TRY_LET(const auto records, journal_->read(at, 1_MiB));
    if (records.empty()) break;
    for (const storage::LogRecord& record : records) {
      TRY_LET(auto entry, decode_reading(record.payload, memory.form().channels.size()));
      const double answered = entry.second.prediction;
      TRY_LET(const EngineMemory::Answer again, memory.step(entry.first, entry.second));
      // What was answered stays answered, whatever model is in place now.
      if (again.is_new) memory.engines()[entry.first].readings.back().prediction = answered;
      at = record.offset + 1;
      ++since_snapshot_;
    }
  }
  return {};
}

void ClassifierStore::append(const std::string& engine, const SeenReading& reading, std::function<void(Result<>)> done) {
  {
    const std::lock_guard lock(unsynced_->mutex);
    ++unsynced_->count;
  }
  ++since_snapshot_;
  journal_->append(encode_reading(engine, reading), [unsynced = unsynced_, done = std::move(done)](Result<storage::Offset> at) {
    {
      const std::lock_guard lock(unsynced->mutex);
      if (!at) unsynced->failed = true;
      if (--unsynced->count == 0) unsynced->none_left.notify_all();
    }
    if (at)
      done({});
    else
      done(fail(std::move(at).error()));
  });
}

Result<> ClassifierStore::snapshot(const EngineMemory& memory, bool now_anyway) {
  if (!now_anyway && since_snapshot_ < snapshot_every) return {};
  {
    // Memory must not be ahead of the journal: its readings would be numbered again after a crash.
    std::unique_lock lock(unsynced_->mutex);
    unsynced_->none_left.wait(lock, [&] { return unsynced_->count == 0; });
    if (unsynced_->failed) return fail(Fault::unavailable, "the classifier's journal has failed");
  }
  const storage::Offset next = journal_->head();  // offsets leap where a torn write was cut off: they cannot be counted
  TRY(storage::write_file_atomic(files_, folder_ / "engines.state", print_snapshot(memory, next), 0600));
  snapshot_next_ = next;
  since_snapshot_ = 0;
  model_hash_ = memory.model().content_hash();
  return journal_->commit(next);
}

}  // namespace nacelle::turbofan
