#include "service/workbench/data_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include "domain/telemetry/capture.h"
#include "foundation/run_tasks.h"
#include "ml/dataset/captured.h"
#include "ml/dataset/cmapss.h"
#include "ml/dataset/csv.h"
#include "ml/dataset/row_batches.h"
#include "service/workbench/files.h"
#include "storage/file/file.h"

namespace nacelle::workbench {

namespace {

constexpr std::array<std::string_view, 4> set_names = {"FD001", "FD002", "FD003", "FD004"};

std::optional<fs::path> existing(const fs::path& folder, std::string_view stem) {
  std::error_code code;
  for (const std::string_view suffix : {".txt.gz", ".txt"})
    if (fs::path path = folder / fmt::format("{}{}", stem, suffix); fs::is_regular_file(path, code)) return path;
  return std::nullopt;
}

std::string sets_there_are() {
  std::set<std::string> found;
  for (const fs::path& folder : data_folders())
    for (const std::string_view name : set_names)
      for (const std::string_view half : {"train_", "test_"})
        if (existing(folder, fmt::format("{}{}", half, name))) found.insert(fmt::format("{}{}", half, name));
  if (found.empty())
    return "no data set was found; set NACELLE_DATA to the folder that holds train_FD001.txt and the others, or run 'nacelle data "
           "fetch'";
  std::string list;
  for (const std::string& name : found) list += (list.empty() ? "there are: " : ", ") + name;
  return list;
}

Result<std::ifstream> open_file(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code))
    return fail(Fault::invalid_input, fmt::format("{}: expected a file, found a folder", path.string()));
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Fault::not_found, fmt::format("{}: there is no such file, or it may not be read", path.string()));
  return in;
}

}  // namespace

std::vector<fs::path> data_folders() {
  if (const char* told = std::getenv("NACELLE_DATA"); told && *told) return {fs::path(told)};
  std::vector<fs::path> folders;
  std::error_code code;
  const fs::path here = fs::current_path(code);
  const fs::path program = fs::read_symlink("/proc/self/exe", code);
  // The program lies in CHECKOUT/build/bin, or one folder deeper in a preset's build.
  for (fs::path base : {here, here.parent_path(), program.parent_path().parent_path().parent_path(),
                        program.parent_path().parent_path().parent_path().parent_path()}) {
    if (base.empty()) continue;
    for (const char* below : {"../shared/cmapss", "shared/cmapss"})
      if (fs::path folder = (base / below).lexically_normal(); std::find(folders.begin(), folders.end(), folder) == folders.end())
        folders.push_back(std::move(folder));
  }
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) folders.push_back(fs::path(cache) / "nacelle/cmapss");
  if (const char* home = std::getenv("HOME"); home && *home) folders.push_back(fs::path(home) / ".cache/nacelle/cmapss");
  return folders;
}

Result<fs::path> find_data_file(std::string_view stem) {
  for (const fs::path& folder : data_folders())
    if (auto path = existing(folder, stem)) return *path;
  return fail(Fault::not_found, fmt::format("data set '{}' was not found; {}", stem, sets_there_are()));
}

bool is_set_name(std::string_view text) {
  for (const std::string_view half : {"train_", "test_"})
    if (text.starts_with(half)) text.remove_prefix(half.size());
  return std::find(set_names.begin(), set_names.end(), text) != set_names.end();
}

namespace {

/// The file meant by a path or a set's name; `prefix` is laid before a bare set name.
Result<fs::path> resolve(const std::string& file_or_name, std::string_view prefix) {
  std::error_code code;
  if (fs::exists(file_or_name, code)) return fs::path(file_or_name);
  const bool looks_like_path = file_or_name.find_first_of("/.") != std::string::npos;
  if (looks_like_path) return fail(Fault::not_found, fmt::format("{}: there is no such file", file_or_name));
  if (!is_set_name(file_or_name))
    return fail(Fault::not_found, fmt::format("data '{}': no such file or data set; {}", file_or_name, sets_there_are()));
  const bool half_told = file_or_name.find('_') != std::string::npos;
  if (prefix == "RUL_")
    return find_data_file(fmt::format("RUL_{}", half_told ? file_or_name.substr(file_or_name.find('_') + 1) : file_or_name));
  return find_data_file(half_told ? file_or_name : fmt::format("{}{}", prefix, file_or_name));
}

/// Text from anything whose first byte is a letter after decompression is CSV; C-MAPSS text begins with a number.
Result<bool> looks_like_csv(const fs::path& path) {
  if (path.extension() == ".csv") return true;
  if (path.extension() == ".gz") return path.stem().extension() == ".csv";
  TRY_LET(std::ifstream in, open_file(path));
  const int first = in.peek();
  return (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
}

}  // namespace

Result<std::shared_ptr<const dataset::FleetSchema>> load_schema(const std::string& path) {
  if (path.empty()) return dataset::turbofan_schema();
  TRY_LET(const Bytes text, storage::read_file(storage::real_file_system(), path, 1_MiB));
  TRY_LET(const json::Value document, in(json::parse(text), path));
  TRY_LET(dataset::FleetSchema schema, in(dataset::FleetSchema::from_json(document), path));
  return std::shared_ptr<const dataset::FleetSchema>(std::make_shared<dataset::FleetSchema>(std::move(schema)));
}

Result<dataset::FleetTable> load_table(const std::string& file_or_name, const std::string& schema_path) {
  TRY_LET(const auto schema, load_schema(schema_path));
  TRY_LET(const fs::path path, resolve(file_or_name, "train_"));
  TRY_LET(const bool csv, looks_like_csv(path));
  TRY_LET(std::ifstream in, open_file(path));
  return csv || !schema_path.empty() ? dataset::read_csv(in, path.string(), nullptr, schema)
                                     : dataset::read_cmapss(in, path.string());
}

Result<dataset::FleetTable> with_events(dataset::FleetTable table, const std::string& events) {
  TRY_LET(std::ifstream in, open_file(events));
  return dataset::with_failures(std::move(table), in, events);
}

Result<Import> import_csv(const std::vector<std::string>& files, const std::string& schema_path, const std::string& events) {
  TRY_LET(const auto schema, load_schema(schema_path));
  std::vector<std::ifstream> streams;
  for (const std::string& file : files) {
    TRY_LET(std::ifstream in, open_file(file));
    streams.push_back(std::move(in));
  }
  std::vector<std::istream*> borrowed;
  for (std::ifstream& stream : streams) borrowed.push_back(&stream);
  Import import;
  TRY_LET(import.table, dataset::read_joined_csv(borrowed, files, &import.counts, schema));
  import.files = files.size();
  if (!events.empty()) {
    TRY_LET(import.table, with_events(std::move(import.table), events));
  }
  return import;
}

Result<dataset::DataProfile> profile_file(const std::string& file_or_name, const std::string& schema_path) {
  TRY_LET(const auto schema, load_schema(schema_path));
  TRY_LET(const fs::path path, resolve(file_or_name, "train_"));
  TRY_LET(std::ifstream in, open_file(path));
  TRY_LET(dataset::RowReader rows, dataset::RowReader::open(in, path.string(), schema));
  dataset::Profiler profiler(schema);
  TRY(dataset::read_in_batches(rows, [&profiler](const dataset::RowBatch& batch) -> Result<> {
    for (std::size_t i = 0; i < batch.size(); ++i) profiler.add(batch.row(i));
    return {};
  }));
  return profiler.finish();
}

Result<dataset::Prepared> prepare_file(const std::string& file_or_name, const std::string& schema_path,
                                       const dataset::PrepareOptions& options, const fs::path& out) {
  TRY_LET(const auto schema, load_schema(schema_path));
  TRY_LET(const fs::path path, resolve(file_or_name, "train_"));
  const auto open = [&path]() -> Result<std::unique_ptr<std::istream>> {
    TRY_LET(std::ifstream in, open_file(path));
    return std::unique_ptr<std::istream>(std::make_unique<std::ifstream>(std::move(in)));
  };
  // Beside its name until it is whole.
  fs::path unfinished = out;
  unfinished += ".tmp";
  std::ofstream stream(unfinished, std::ios::binary | std::ios::trunc);
  if (!stream) return fail(Fault::unavailable, fmt::format("{}: cannot be written", unfinished.string()));
  auto prepared = dataset::prepare_rows(open, path.string(), schema, options, stream);
  stream.close();
  std::error_code code;
  if (prepared && !stream) prepared = fail(Fault::exhausted, fmt::format("{}: cannot be written to the end", unfinished.string()));
  if (prepared) fs::rename(unfinished, out, code);
  if (!prepared || code) {
    std::error_code ignored;
    fs::remove(unfinished, ignored);
  }
  if (prepared && code) return fail(Fault::unavailable, fmt::format("{}: {}", out.string(), code.message()));
  return prepared;
}

Result<fs::path> find_table_file(const std::string& file_or_name) { return resolve(file_or_name, "train_"); }

Result<std::vector<double>> load_rul(const std::string& file_or_name) {
  TRY_LET(const fs::path path, resolve(file_or_name, "RUL_"));
  TRY_LET(std::ifstream in, open_file(path));
  return dataset::read_rul(in, path.string());
}

Result<TestSet> load_test_set(const std::string& data, const std::string& rul, const std::string& schema) {
  std::error_code code;
  const bool bare_name = is_set_name(data) && data.find('_') == std::string::npos && !fs::exists(data, code);
  const bool test_name = data.starts_with("test_") && is_set_name(data) && !fs::exists(data, code);
  TRY_LET(dataset::FleetTable table, load_table(bare_name ? "test_" + data : data, schema));
  if (!rul.empty() || bare_name || test_name) {
    TRY_LET(std::vector<double> truth, load_rul(rul.empty() ? data : rul));
    if (truth.size() != table.engines.size())
      return fail(Fault::invalid_input, fmt::format("{}: expected one remaining life for each of {} engines, found {}",
                                                    rul.empty() ? data : rul, table.engines.size(), truth.size()));
    return TestSet{std::move(table), std::move(truth)};
  }
  if (table.end_rul.empty())
    return fail(Fault::invalid_input,
                fmt::format("{}: nothing tells the true remaining lives; give --rul FILE, or a CSV with the column RUL", data));
  std::vector<double> truth = table.end_rul;
  return TestSet{std::move(table), std::move(truth)};
}

dataset::FleetTable join_tables(std::vector<dataset::FleetTable> tables) {
  dataset::FleetTable all = std::move(tables.front());
  all.unit_names.clear();  // engines are renumbered
  const auto has_end_rul = [](const dataset::FleetTable& table) { return !table.end_rul.empty(); };
  const bool any_end_rul = has_end_rul(all) || std::any_of(tables.begin() + 1, tables.end(), has_end_rul);
  if (any_end_rul) all.end_rul.resize(all.engines.size());
  for (std::size_t t = 1; t < tables.size(); ++t) {
    const dataset::FleetTable& table = tables[t];
    const std::int64_t unit_base = all.engines.back().unit;
    const std::size_t row_base = all.row_count();
    for (const dataset::EngineRows& rows : table.engines)
      all.engines.push_back({rows.unit + unit_base, rows.begin + row_base, rows.end + row_base});
    for (const std::int64_t unit : table.unit) all.unit.push_back(unit + unit_base);
    all.cycle.insert(all.cycle.end(), table.cycle.begin(), table.cycle.end());
    for (std::size_t c = 0; c < all.columns.size(); ++c)
      all.columns[c].insert(all.columns[c].end(), table.columns[c].begin(), table.columns[c].end());
    if (!any_end_rul) continue;
    if (has_end_rul(table))
      all.end_rul.insert(all.end_rul.end(), table.end_rul.begin(), table.end_rul.end());
    else
      all.end_rul.resize(all.engines.size());
  }
  return all;
}

namespace {

/// A hub's data folder stands for the objects in it.
fs::path objects_of(const fs::path& folder, bool uploads) {
  std::error_code code;
  const fs::path inside = folder / "objects" / (uploads ? "uploads" : "capture");
  return fs::is_directory(inside, code) ? inside : folder;
}

struct FileResult {
  dataset::TableBuilder rows;
  dataset::ImportCounts counts;
  bool is_told = true;  // of a form that is read
  Result<> outcome;
};

/// Avro by its first bytes. Lines of JSON only among captures: an upload may be any JSON.
FileResult read_one(const fs::path& path, bool uploads, const std::shared_ptr<const dataset::FleetSchema>& schema) {
  FileResult result{.rows = dataset::TableBuilder(schema)};
  auto in = open_file(path);
  if (!in) {
    result.outcome = fail(in.error());
    return result;
  }
  std::array<char, 64> start{};
  in->read(start.data(), start.size());
  const std::string_view beginning(start.data(), static_cast<std::size_t>(in->gcount()));
  const bool avro = beginning.starts_with(std::string_view("Obj\x01", 4));
  const bool lines = !avro && !uploads && telemetry::looks_like_capture_lines(beginning);
  result.is_told = avro || lines;
  if (!result.is_told) return result;
  in->clear();  // of a file shorter than what was asked for
  in->seekg(0);
  result.outcome = avro ? dataset::read_avro(*in, path.string(), result.rows, result.counts)
                        : dataset::read_json_capture(*in, path.string(), result.rows, result.counts);
  return result;
}

}  // namespace

Result<Import> import_captured(const std::vector<fs::path>& folders, bool uploads, int threads, const std::string& schema_file,
                               const std::string& events) {
  TRY_LET(const std::shared_ptr<const dataset::FleetSchema> schema, load_schema(schema_file));
  std::vector<fs::path> paths;
  for (const fs::path& folder : folders) {
    TRY_LET(const std::vector<fs::path> found, files_below(objects_of(folder, uploads)));
    paths.insert(paths.end(), found.begin(), found.end());
  }
  std::vector<FileResult> results(paths.size());
  run_tasks(paths.size(), threads, [&](std::size_t i) { results[i] = read_one(paths[i], uploads, schema); });
  Import import;
  dataset::TableBuilder rows(schema);
  for (FileResult& result : results) {
    TRY(std::move(result.outcome));
    ++(result.is_told ? import.files : import.other_files);
    import.counts.add(result.counts);
    rows.append(std::move(result.rows));
  }
  auto table = rows.finish(&import.counts, threads);
  if (!table) {
    std::string where;
    for (const fs::path& folder : folders) where += (where.empty() ? "" : ", ") + folder.string();
    return fail(std::move(table).error().in(
        fmt::format("{} ({} files of messages, {} messages)", where, import.files, import.counts.records)));
  }
  import.table = std::move(table).value();
  if (!events.empty()) {
    TRY_LET(import.table, with_events(std::move(import.table), events));
  }
  return import;
}

}  // namespace nacelle::workbench
