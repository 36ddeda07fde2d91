#pragma once
// Where tables come from: C-MAPSS text or CSV files, the named data sets, folders of captured and uploaded Avro.

#include <filesystem>
#include <string>
#include <vector>

#include "foundation/result.h"
#include "ml/dataset/fleet_table.h"
#include "ml/dataset/prepare.h"

namespace nacelle::workbench {

/// Folders in which named data sets are looked for: NACELLE_DATA alone if it is set; else ../shared/cmapss and shared/cmapss
/// beside the working folder and beside the program's checkout, then ~/.cache/nacelle/cmapss.
std::vector<std::filesystem::path> data_folders();

/// The file of a C-MAPSS set, as "train_FD001" (.txt or .txt.gz) or "RUL_FD001". Fault::not_found lists the sets there are.
Result<std::filesystem::path> find_data_file(std::string_view stem);
/// True for FD001..FD004, train_FD001.., test_FD001...
bool is_set_name(std::string_view text);

/// A table from a file (CSV if its first line begins with a letter, else C-MAPSS text; either may be gzip) or a set's name: FD001
/// or train_FD001 is its training half, test_FD001 its test half.
/// `schema`: the file of another fleet's schema (docs/formats/fleet-schema.md); then it is CSV. Empty: turbofans.
Result<dataset::FleetTable> load_table(const std::string& file_or_name, const std::string& schema = {});
Result<std::shared_ptr<const dataset::FleetSchema>> load_schema(const std::string& path);  ///< empty: turbofans
/// The file that load_table() would read.
Result<std::filesystem::path> find_table_file(const std::string& file_or_name);
/// Several CSV files as one table (dataset::read_joined_csv), with the failures that `events` tells if it is not empty.
struct Import;
Result<Import> import_csv(const std::vector<std::string>& files, const std::string& schema, const std::string& events);
Result<dataset::FleetTable> with_events(dataset::FleetTable table, const std::string& events);

// In one pass or two over the file, in bounded memory.
Result<dataset::DataProfile> profile_file(const std::string& file_or_name, const std::string& schema);
Result<dataset::Prepared> prepare_file(const std::string& file_or_name, const std::string& schema,
                                       const dataset::PrepareOptions& options, const std::filesystem::path& out);

/// A RUL list from a file or a set's name.
Result<std::vector<double>> load_rul(const std::string& file_or_name);

struct TestSet {
  dataset::FleetTable table;
  std::vector<double> truth;  ///< remaining life of each engine at its last row
};
/// What a model is to be judged on. A bare set's name means its test half and its RUL list; otherwise `rul` is a RUL list, or empty
/// if the table tells remaining lives itself (a CSV with the column RUL). Fault::invalid_input if nothing tells them.
Result<TestSet> load_test_set(const std::string& data, const std::string& rul, const std::string& schema = {});

/// Several tables as one: the engines of the second are numbered on from the first's, and so on.
dataset::FleetTable join_tables(std::vector<dataset::FleetTable> tables);

struct Import {
  dataset::FleetTable table;
  dataset::ImportCounts counts;
  std::size_t files = 0;
  std::size_t other_files = 0;  ///< no Avro: passed over
};

/// All Avro files below the folders, and of captures those of JSON lines too, as `schema` (a file; empty: turbofans) names their
/// members, with the failures that `events` tells if it is not empty; read by `threads` in parallel; the result does not depend on
/// their number. A hub's data folder stands for its objects/capture (or objects/uploads, with `uploads`).
Result<Import> import_captured(const std::vector<std::filesystem::path>& folders, bool uploads, int threads,
                               const std::string& schema = {}, const std::string& events = {});

}  // namespace nacelle::workbench
