// Queries over a fleet of 10 000 twins of a kilobyte, beside what it costs to read and parse every stored twin: the least that an
// evaluator outside the database would have to do.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <stdexcept>

#include "service/hub/queries.h"
#include "service/hub/schema.h"

namespace nacelle::hub {
namespace {

constexpr int fleet_size = 10'000;

std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "nacelle-bench-XXXXXX").string();
  if (!::mkdtemp(name.data())) std::abort();
  return name;
}

struct Fleet10k {
  Fleet10k() : tables(open_registry_tables(folder).value()) {
    const auto fill = [this]() -> Result<> {
      for (int i = 0; i < fleet_size; ++i) TRY(add(i));
      return {};
    };
    if (const auto filled = tables.transaction(fill); !filled) throw std::runtime_error(filled.error().message);
    registry = Registry::open(tables, clock).value();
    queries.emplace(tables, *registry);
  }
  ~Fleet10k() { std::filesystem::remove_all(folder); }
  Result<> add(int i) {
    const std::string id = fmt::format("engine-{:05}", i);
    twin::Twin twin = twin::make_twin(clock.now());
    const json::Value tags = json::Object{{"site", fmt::format("site-{}", i % 50)}, {"n", i}, {"note", std::string(300, 'x')}};
    TRY_LET(twin, twin::apply(std::move(twin), {tags, json::Object{{"rate", i % 7}}}, false, clock.now()));
    TRY_LET(twin, twin::apply_reported(std::move(twin), json::Object{{"temperature", 20.5 + i % 60}, {"firmware", "1.2.3"}},
                                       std::nullopt, clock.now()));
    TRY(
        tables.run("INSERT INTO identity (device, module, generation, etag, enabled, status_reason, authentication, primary_key, "
                   "secondary_key, "
                   "primary_thumbprint, secondary_thumbprint, edge, scope, parent_scopes, managed_by) "
                   "VALUES (?, '', '1', 1, 1, '', 'sas', '', '', '', '', 0, '', '[]', '')",
                   id));
    TRY(tables.run("INSERT INTO twin VALUES (?, '', ?)", id, twin::print_stored(twin)));
    return {};
  }

  const std::filesystem::path folder = make_folder();
  ManualClock clock;
  storage::Database tables;
  std::unique_ptr<Registry> registry;
  std::optional<Queries> queries;
};

Fleet10k& fleet() {
  static Fleet10k made;
  return made;
}

void ask(benchmark::State& state, const char* text) {
  Queries& queries = *fleet().queries;
  for (auto _ : state) {
    const auto page = queries.page(text, 100, {});
    if (!page) state.SkipWithError(page.error().message.c_str());
    benchmark::DoNotOptimize(page);
  }
}

void read_and_parse_all(benchmark::State& state) {
  for (auto _ : state) {
    const auto rows = fleet().tables.query("SELECT document FROM twin").value();
    int matching = 0;
    for (const auto& row : rows) {
      const twin::Twin twin = twin::parse_stored(storage::text(row[0])).value();
      const json::Value* temperature = twin.reported.values.find("temperature");
      matching += temperature && temperature->as_number() > 1000;
    }
    benchmark::DoNotOptimize(matching);
  }
}

BENCHMARK(read_and_parse_all)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, none_of_all, "SELECT * FROM devices WHERE properties.reported.temperature > 1000")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, count_by_site,
                  "SELECT tags.site, COUNT() AS n, AVG(properties.reported.temperature) AS t FROM devices GROUP BY tags.site")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, page_of_100_twins, "SELECT * FROM devices")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, one_by_id, "SELECT * FROM devices WHERE deviceId = 'engine-05000'")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace nacelle::hub
