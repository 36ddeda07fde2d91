// nacelle data: import captured or uploaded readings, label them, look at them.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <thread>

#include "app/command.h"
#include "app/commands/terminal.h"
#include "codec/json/value.h"
#include "ml/dataset/csv.h"
#include "ml/dataset/labels.h"
#include "ml/dataset/profile.h"
#include "ml/evaluation/profile_report.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"

namespace nacelle::app {

namespace {

struct ImportFlags {
  std::vector<std::string> captures;
  std::vector<std::string> uploads;
  std::vector<std::string> csv;
  std::string text, schema, events;
  std::string out;
  bool json = false;
};

Result<workbench::Import> read_sources(const ImportFlags& flags) {
  const int sources = !flags.captures.empty() + !flags.uploads.empty() + !flags.text.empty() + !flags.csv.empty();
  if (sources != 1) return fail(Fault::invalid_input, "data import: expected one of --capture, --uploads, --csv and --text");
  if (!flags.csv.empty()) return workbench::import_csv(flags.csv, flags.schema, flags.events);
  if (!flags.text.empty() && (!flags.schema.empty() || !flags.events.empty()))
    return fail(Fault::invalid_input, "data import: --schema and --events go with --csv, --capture and --uploads");
  if (!flags.text.empty()) {
    workbench::Import import;
    TRY_LET(import.table, workbench::load_table(flags.text));
    import.files = 1;
    import.counts.records = import.table.row_count();
    return import;
  }
  const auto& told = flags.captures.empty() ? flags.uploads : flags.captures;
  return workbench::import_captured({told.begin(), told.end()}, flags.captures.empty(),
                                    static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 8u)), flags.schema,
                                    flags.events);
}

Result<> write_csv_file(const std::string& path, const dataset::FleetTable& table, const dataset::CsvOptions& options) {
  return workbench::write_whole(path, [&](std::ostream& out) { dataset::write_csv(out, table, options); });
}

Result<> run_import(const ImportFlags& flags) {
  TRY_LET(const workbench::Import import, read_sources(flags));
  if (!flags.out.empty()) TRY(write_csv_file(flags.out, import.table, {}));
  const dataset::ImportCounts& counts = import.counts;
  const dataset::DataProfile gaps = dataset::profile_table(import.table);
  if (flags.json) {
    fmt::print("{}\n", json::print(json::Object{{"out", flags.out},
                                                {"engines", import.table.engines.size()},
                                                {"rows", import.table.row_count()},
                                                {"files", import.files},
                                                {"otherFiles", import.other_files},
                                                {"records", counts.records},
                                                {"duplicates", counts.duplicates},
                                                {"joined", counts.joined},
                                                {"gaps", gaps.gaps},
                                                {"missingCycles", gaps.missing_cycles},
                                                {"skipped", counts.skipped},
                                                {"unreadable", counts.unreadable},
                                                {"sha256", import.table.content_hash()}}));
    if (counts.unreadable > 0)
      fmt::print(stderr, "warning: {} readings could not be read; the first: {}\n", counts.unreadable, counts.first_complaint);
    return {};
  }
  fmt::print("{} readings of {} engines from {} files ({} records; {} repeated, {} other messages", import.table.row_count(),
             import.table.engines.size(), import.files, counts.records, counts.duplicates, counts.skipped);
  if (counts.joined > 0) fmt::print(", {} joined", counts.joined);
  if (counts.unreadable > 0) fmt::print(", {} unreadable", counts.unreadable);
  fmt::print(")\n");
  if (gaps.gaps > 0) fmt::print("{} gaps in engines' cycles, {} cycles missing\n", gaps.gaps, gaps.missing_cycles);
  if (counts.unreadable > 0) fmt::print(stderr, "warning: the first unreadable one: {}\n", counts.first_complaint);
  fmt::print("{}\n", flags.out.empty() ? "nothing was written; give --out FILE.csv" : "written to " + flags.out);
  return {};
}

struct PrepareFlags {
  std::string data, rul, schema, events, out;
  double cap = 125;
  bool json = false;
};

struct Labelled {
  std::uint64_t engines = 0, rows = 0;
  std::array<std::uint64_t, 4> classes{};
  std::string sha256;  ///< empty: the rows streamed by
};

Result<Labelled> prepare_table(const PrepareFlags& flags) {
  TRY_LET(dataset::FleetTable table, workbench::load_table(flags.data, flags.schema));
  if (!flags.events.empty()) {
    TRY_LET(table, workbench::with_events(std::move(table), flags.events));
  }
  if (!flags.rul.empty()) {
    TRY_LET(std::vector<double> rul, workbench::load_rul(flags.rul));
    TRY_LET(table, dataset::with_end_rul(std::move(table), std::move(rul), flags.rul));
  }
  TRY(write_csv_file(flags.out, table, {.labels = true, .rul_cap = flags.cap}));
  Labelled labelled{.engines = table.engines.size(), .rows = table.row_count(), .classes = {}, .sha256 = table.content_hash()};
  for (const double rul : dataset::label_rul(table))
    if (!std::isnan(rul)) ++labelled.classes[static_cast<std::size_t>(dataset::life_class_of(rul))];
  return labelled;
}

/// Large files are labelled while they stream by; Fault::conflict if a table is needed.
Result<Labelled> prepare_stream(const PrepareFlags& flags) {
  dataset::PrepareOptions options{.cap = flags.cap, .end_rul = {}};
  if (!flags.rul.empty()) {
    TRY_LET(options.end_rul, workbench::load_rul(flags.rul));
  }
  TRY_LET(const dataset::Prepared prepared, workbench::prepare_file(flags.data, flags.schema, options, flags.out));
  return Labelled{.engines = prepared.profile.machines, .rows = prepared.profile.rows, .classes = prepared.classes, .sha256 = {}};
}

Result<Labelled> prepare_labels(const PrepareFlags& flags) {
  constexpr std::uintmax_t streamed_above = 64 << 20;  // bytes: below, a table costs little and its hash is known
  TRY_LET(const std::filesystem::path path, workbench::find_table_file(flags.data));
  std::error_code code;
  if (flags.events.empty() && std::filesystem::file_size(path, code) > streamed_above) {
    auto labelled = prepare_stream(flags);
    if (labelled || labelled.error().fault != Fault::conflict) return labelled;
    fmt::print(stderr, "note: {}; a table is made of all\n", labelled.error().message);
  }
  return prepare_table(flags);
}

Result<> run_prepare(const PrepareFlags& flags) {
  TRY_LET(const Labelled labelled, prepare_labels(flags));
  const auto& classes = labelled.classes;
  if (flags.json) {
    fmt::print("{}\n",
               json::print(json::Object{
                   {"out", flags.out},
                   {"engines", labelled.engines},
                   {"rows", labelled.rows},
                   {"classes", json::Object{{"F25", classes[0]}, {"F75", classes[1]}, {"F150", classes[2]}, {"Full", classes[3]}}},
                   {"sha256", labelled.sha256.empty() ? json::Value() : json::Value(labelled.sha256)}}));
    return {};
  }
  fmt::print(
      "{} readings of {} engines labelled: {} within 25 cycles of failure, {} within 75, {} within 150, {} beyond\nwritten to {}\n",
      labelled.rows, labelled.engines, classes[0], classes[1], classes[2], classes[3], flags.out);
  return {};
}

struct ProfileFlags {
  std::string data, schema, report;
  bool json = false;
};

Result<> run_profile(const ProfileFlags& flags) {
  TRY_LET(const dataset::DataProfile profile, workbench::profile_file(flags.data, flags.schema));
  if (!flags.report.empty())
    TRY(workbench::write_whole(flags.report,
                               evaluation::render_profile(profile, std::filesystem::path(flags.data).filename().string())));
  if (flags.json) {
    fmt::print("{}\n", json::print(dataset::to_json(profile)));
    return {};
  }
  fmt::print("{} readings of {} {}s, {} to {} each; {} operating regimes\n\n", profile.rows, profile.machines, profile.machine,
             profile.shortest, profile.longest, profile.regimes.size());
  std::vector<std::vector<std::string>> rows;
  for (const dataset::ColumnProfile& c : profile.columns)
    rows.push_back({c.name, fmt::format("{:.4f}", c.low), fmt::format("{:.4f}", c.mean), fmt::format("{:.4f}", c.high),
                    fmt::format("{:.4f}", c.spread), fmt::format("{:.2f}", c.drift), fmt::format("{}", c.silent),
                    c.constant ? "constant" : ""});
  print_table({"column", "min", "mean", "max", "spread", "drift", "silent", ""}, rows);
  for (const dataset::RegimeProfile& regime : profile.regimes) {
    std::string settings;
    for (const double value : regime.settings) settings += fmt::format(" {:.4g}", value);
    fmt::print("{}regime at{}: {} readings\n", &regime == &profile.regimes.front() ? "\n" : "", settings, regime.rows);
  }
  for (const std::string& note : profile.notes) fmt::print("note: {}\n", note);
  if (!flags.report.empty()) fmt::print("report written to {}\n", flags.report);
  return {};
}

struct ShowFlags {
  std::string data, schema;
  std::size_t rows = 0;
  bool json = false;
};

struct ColumnSummary {
  double low = 0, mean = 0, high = 0;
  std::size_t silent = 0;
};

ColumnSummary summarise(const std::vector<double>& column) {
  ColumnSummary summary{.low = INFINITY, .high = -INFINITY};
  std::size_t heard = 0;
  for (const double value : column) {
    if (!std::isfinite(value)) continue;
    ++heard;
    summary.low = std::min(summary.low, value);
    summary.high = std::max(summary.high, value);
    summary.mean += value;
  }
  summary.mean /= static_cast<double>(std::max<std::size_t>(heard, 1));
  summary.silent = column.size() - heard;
  return summary;
}

Result<> run_show(const ShowFlags& flags) {
  TRY_LET(const dataset::FleetTable table, workbench::load_table(flags.data, flags.schema));
  std::size_t shortest = table.row_count(), longest = 0;
  for (const dataset::EngineRows& engine : table.engines) {
    shortest = std::min(shortest, engine.size());
    longest = std::max(longest, engine.size());
  }
  const std::vector<std::string> names = table.schema->column_names();
  if (flags.json) {
    json::Object columns;
    for (std::size_t c = 0; c < names.size(); ++c) {
      const ColumnSummary s = summarise(table.columns[c]);
      columns.set(names[c], json::Object{{"min", s.low}, {"mean", s.mean}, {"max", s.high}, {"silent", s.silent}});
    }
    fmt::print("{}\n", json::print(json::Object{{"engines", table.engines.size()},
                                                {"rows", table.row_count()},
                                                {"shortest", shortest},
                                                {"longest", longest},
                                                {"sha256", table.content_hash()},
                                                {"columns", std::move(columns)}}));
    return {};
  }
  fmt::print("{} engines, {} readings, {} to {} an engine\n\n", table.engines.size(), table.row_count(), shortest, longest);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t c = 0; c < names.size(); ++c) {
    const ColumnSummary s = summarise(table.columns[c]);
    rows.push_back({names[c], fmt::format("{:.4f}", s.low), fmt::format("{:.4f}", s.mean), fmt::format("{:.4f}", s.high),
                    fmt::format("{}", s.silent)});
  }
  print_table({"column", "min", "mean", "max", "silent"}, rows);
  if (flags.rows == 0) return {};
  fmt::print("\n");
  dataset::FleetTable head = table;
  const std::size_t shown = std::min(flags.rows, table.row_count());
  for (auto& column : head.columns) column.resize(shown);
  rows.clear();
  for (std::size_t row = 0; row < shown; ++row) {
    rows.push_back({fmt::format("{}", table.unit[row]), fmt::format("{}", table.cycle[row])});
    for (const auto& column : head.columns) rows.back().push_back(fmt::format("{:.6g}", column[row]));
  }
  std::vector<std::string> header = {"unit", "cycle"};
  header.insert(header.end(), names.begin(), names.end());
  print_table(header, rows);
  return {};
}

}  // namespace

void add_data(CLI::App& root, Outcome& outcome) {
  auto* data = root.add_subcommand("data", "Import, label and look at readings of engines");
  data->footer("Example:\n  nacelle data import --capture nacelle-data --out train.csv");
  data->require_subcommand(1);

  auto* importing = data->add_subcommand("import", "Make a table (CSV) of captured or uploaded files, or of C-MAPSS text");
  auto i = std::make_shared<ImportFlags>();
  importing->add_option("--capture", i->captures,
                        "Folders of files captured by a hub (Avro, lines of JSON), or the hub's data folder");
  importing->add_option("--uploads", i->uploads, "Folders of Avro files uploaded by an edge, or the hub's data folder");
  importing->add_option("--text", i->text, "A C-MAPSS text file (plain or gzip) or a data set's name, such as FD001");
  importing->add_option("--csv", i->csv, "CSV files; several are joined by engine and cycle, each may tell some of the channels");
  importing->add_option("--schema", i->schema,
                        "JSON file that names the columns of another fleet's CSV, or the members of its messages");
  importing->add_option("--events", i->events, "CSV of failures: who and when; machines that are not in it still run");
  importing->add_option("--out", i->out, "The CSV file to write");
  importing->add_flag("--json", i->json, "Print counts as JSON");
  importing->footer("Example:\n  nacelle data import --capture nacelle-data --out train.csv");
  importing->callback([&outcome, i] { outcome.take(run_import(*i)); });

  auto* prepare = data->add_subcommand("prepare", "Add labels to a table: RUL, capped RUL, class of horizon");
  auto p = std::make_shared<PrepareFlags>();
  prepare->add_option("--data", p->data, "CSV or C-MAPSS file, or a data set's name")->required();
  prepare->add_option("--rul", p->rul,
                      "True remaining lives of engines that were cut off before failure: a RUL list or a set's name");
  prepare->add_option("--schema", p->schema, "JSON file that names the columns of another fleet's CSV");
  prepare->add_option("--events", p->events, "CSV of failures: who and when; machines that are not in it still run");
  prepare->add_option("--cap", p->cap, "Cap of the capped label")->capture_default_str();
  prepare->add_option("--out", p->out, "The CSV file to write")->required();
  prepare->add_flag("--json", p->json, "Print counts as JSON");
  prepare->footer("Example:\n  nacelle data prepare --data test_FD003 --rul FD003 --out test.csv");
  prepare->callback([&outcome, p] { outcome.take(run_prepare(*p)); });

  auto* profile =
      data->add_subcommand("profile", "What is in the data and what is wrong with them: ranges, silence, gaps, regimes");
  auto f = std::make_shared<ProfileFlags>();
  profile->add_option("--data", f->data, "CSV or C-MAPSS file, or a data set's name")->required();
  profile->add_option("--schema", f->schema, "JSON file that names the columns of another fleet's CSV");
  profile->add_option("--report", f->report, "Write it as an HTML page");
  profile->add_flag("--json", f->json, "Print as JSON");
  profile->footer("Example:\n  nacelle data profile --data FD002 --report profile.html");
  profile->callback([&outcome, f] { outcome.take(run_profile(*f)); });

  auto* show = data->add_subcommand("show", "Summarise a table");
  auto s = std::make_shared<ShowFlags>();
  show->add_option("--data", s->data, "CSV or C-MAPSS file, or a data set's name")->required();
  show->add_option("--schema", s->schema, "JSON file that names the columns of another fleet's CSV");
  show->add_option("--rows", s->rows, "Show the first rows, too");
  show->add_flag("--json", s->json, "Print the summary as JSON");
  show->footer("Example:\n  nacelle data show --data FD001 --rows 5");
  show->callback([&outcome, s] { outcome.take(run_show(*s)); });

  add_data_fetch(*data, outcome);
}

}  // namespace nacelle::app
