#include "app/demo/data.h"

#include <fmt/format.h>

#include <iterator>
#include <numeric>

#include "ml/dataset/cmapss.h"
#include "service/simulator/physics.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"

namespace nacelle::app::demo {
namespace {

namespace fs = std::filesystem;
using dataset::FleetTable;

constexpr std::uint64_t simulated_seed = 2008;

struct Files {
  fs::path train, test, rul;
};

Result<Files> nasa_files(const std::string& data_set) {
  Files files;
  TRY_LET(files.train, workbench::find_data_file("train_" + data_set));
  TRY_LET(files.test, workbench::find_data_file("test_" + data_set));
  TRY_LET(files.rul, workbench::find_data_file("RUL_" + data_set));
  return files;
}

Result<Files> simulated_files(const std::string& data_set, std::size_t max_engines, const fs::path& folder) {
  const bool six_conditions = data_set == "FD002" || data_set == "FD004";
  const bool two_modes = data_set == "FD003" || data_set == "FD004";
  const simulator::FleetSpec spec{.engines = max_engines == 0 ? 100 : static_cast<int>(max_engines),
                                  .conditions = six_conditions ? 6 : 1,
                                  .fault_modes = two_modes ? 2 : 1,
                                  .seed = simulated_seed};
  TRY_LET(const simulator::Fleet fleet, simulator::simulate_fleet(spec));
  const Files files{folder / "train.txt", folder / "test.txt", folder / "rul.txt"};
  TRY(workbench::write_whole(files.train, simulator::print_histories(fleet.train)));
  TRY(workbench::write_whole(files.test, simulator::print_histories(fleet.test)));
  TRY(workbench::write_whole(files.rul, simulator::print_remaining(fleet.remaining)));
  return files;
}

/// A table as 26-column text; numbers in the shortest form that reads back to the same bits.
std::string print_table_text(const FleetTable& table) {
  std::string text;
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    fmt::format_to(std::back_inserter(text), "{} {}", table.unit[row], table.cycle[row]);
    for (std::size_t c = 0; c < table.columns.size(); ++c) fmt::format_to(std::back_inserter(text), " {}", table.value(row, c));
    text += '\n';
  }
  return text;
}

Result<fs::path> first_engines(const fs::path& file, std::size_t count, const fs::path& to) {
  TRY_LET(const FleetTable table, workbench::load_table(file.string()));
  std::vector<std::size_t> chosen(std::min(count, table.engines.size()));
  std::iota(chosen.begin(), chosen.end(), std::size_t{0});
  TRY(workbench::write_whole(to, print_table_text(table.select(chosen))));
  return to;
}

Result<Files> first_of_each(const Files& files, std::size_t count, const fs::path& folder) {
  Files few;
  TRY_LET(few.train, first_engines(files.train, count, folder / "train.txt"));
  TRY_LET(few.test, first_engines(files.test, count, folder / "test.txt"));
  TRY_LET(std::vector<double> rul, workbench::load_rul(files.rul.string()));
  rul.resize(std::min(count, rul.size()));
  few.rul = folder / "rul.txt";
  TRY(workbench::write_whole(few.rul, fmt::format("{}\n", fmt::join(rul, "\n"))));
  return few;
}

Result<std::shared_ptr<const FleetTable>> load_shared(const fs::path& file) {
  TRY_LET(FleetTable table, workbench::load_table(file.string()));
  return std::shared_ptr<const FleetTable>(std::make_shared<FleetTable>(std::move(table)));
}

}  // namespace

Result<DemoData> find_data(const std::string& data_set, std::size_t max_engines, const fs::path& folder) {
  if (!workbench::is_set_name(data_set) || data_set.find('_') != std::string::npos)
    return fail(Fault::invalid_input, fmt::format("--data-set: expected FD001, FD002, FD003 or FD004, found '{}'", data_set));
  DemoData data;
  auto files = nasa_files(data_set);
  if (files) {
    data.description = fmt::format("NASA C-MAPSS {} from {}", data_set, files->train.parent_path().string());
    if (max_engines > 0) files = first_of_each(*files, max_engines, folder);
  } else {
    data.description =
        fmt::format("SIMULATED engines in the manner of {} (NASA's files were not found: {})", data_set, files.error().message);
    files = simulated_files(data_set, max_engines, folder);
  }
  if (!files) return fail(std::move(files).error());
  data.train = files->train;
  data.test = files->test;
  data.rul = files->rul;
  TRY_LET(data.train_table, load_shared(data.train));
  TRY_LET(data.test_table, load_shared(data.test));
  return data;
}

}  // namespace nacelle::app::demo
