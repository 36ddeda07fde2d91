#include "ml/trainer/detail/training_set.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ml/dataset/labels.h"
#include "ml/dataset/seeded.h"

namespace nacelle::trainer {

namespace {

using dataset::EngineRows;
using dataset::FleetTable;

/// Histories of an engine that begin late, and how many of their rows are taken.
struct LateJoins {
  std::size_t histories;
  std::size_t stride;
};
/// Of trainers that keep them apart from whole lives the more the better, but for the time; with others more of them cost whole
/// histories more than they gain. Measured: docs/decisions/0053 and 0270.
constexpr LateJoins apart{.histories = 16, .stride = 6};
constexpr LateJoins together{.histories = 2, .stride = 12};

/// Takes the rows of engines in.
class SetBuilder {
 public:
  SetBuilder(const feature::Pipeline& pipeline, const FleetTable& table, double cap) : pipeline_(pipeline), table_(table) {
    set_.cap = cap;
    set_.feature_names = pipeline.feature_names();
    set_.rows.features = pipeline.feature_count();
    row_.resize(set_.rows.features);
  }

  struct History {
    std::size_t engine = 0;  ///< index into the table's
    std::size_t begin = 0;   ///< its first row
    bool counted = true;     ///< its cycle count is known
    std::size_t stride = 1;  ///< every so manieth row is kept
    bool censored = false;
  };

  /// `rul`: of the table's rows; for a censored history the life that was seen.
  Result<> add(const History& history, const std::vector<double>& rul, const TableColumns& columns) {
    feature::EngineState state;
    const EngineRows& engine = table_.engines[history.engine];
    // A pipeline that must be told the cycle is told one that begins with the history.
    const std::int64_t begun = table_.cycle[history.begin] - 1;
    for (std::size_t row = history.begin; row < engine.end; ++row) {
      const std::int64_t cycle = table_.cycle[row];
      TRY(pipeline_.step(state, history.counted ? cycle : pipeline_.needs_cycle() ? cycle - begun : 0, columns.row(row), row_));
      // Whole lives are counted from failure; late ones from their first reading, which is the hardest.
      const std::size_t at = history.begin == engine.begin ? engine.end - 1 - row : row - history.begin;
      if (at % history.stride != 0) continue;
      set_.rows.values.insert(set_.rows.values.end(), row_.begin(), row_.end());
      set_.target.push_back(static_cast<float>(std::min(rul[row], set_.cap)));
      set_.engine.push_back(static_cast<std::uint32_t>(history.engine));
      // Cut at the cap, a long life is the cap, whether its end is known or not.
      set_.censored.push_back(history.censored && rul[row] < set_.cap);
      ++set_.rows.rows;
    }
    return {};
  }

  TrainingSet finish() && {
    if (std::none_of(set_.censored.begin(), set_.censored.end(), [](auto c) { return c != 0; })) set_.censored.clear();
    return std::move(set_);
  }

 private:
  const feature::Pipeline& pipeline_;
  const FleetTable& table_;
  TrainingSet set_;
  std::vector<float> row_;
};

}  // namespace

std::vector<std::size_t> engines_of(const FleetTable& table, bool running) {
  std::vector<std::size_t> found;
  for (std::size_t e = 0; e < table.engines.size(); ++e)
    if ((!table.end_rul.empty() && std::isnan(table.end_rul[e])) == running) found.push_back(e);
  return found;
}

Result<TrainingSet> make_training_set(const feature::Pipeline& pipeline, const FleetTable& table, const Plan& plan,
                                      const LearnsFrom& from) {
  TRY_LET(const TableColumns columns, TableColumns::of(pipeline, table));
  SetBuilder builder(pipeline, table, plan.cap);
  const std::vector<std::size_t> whole = engines_of(table, false);
  const std::vector<double> rul = dataset::label_rul(table);
  for (const std::size_t e : whole)
    TRY(builder.add({.engine = e, .begin = table.engines[e].begin, .stride = from.stride}, rul, columns));
  // Engines as they look when they join the fleet late: the history begins at a random cycle, and in every second of them the cycle
  // count is not known.
  const LateJoins joins = from.late_apart ? apart : together;
  for (const std::size_t e : whole) {
    const EngineRows& engine = table.engines[e];
    if (engine.size() < 2) continue;  // begun with its first reading it would be a whole life
    dataset::Seeded random(plan.seed * 0xd1342543de82ef95 + static_cast<std::uint64_t>(engine.unit));
    for (std::size_t join = 0; join < std::min(plan.late_joins, joins.histories); ++join) {
      const std::size_t begin = engine.begin + 1 + random.below(engine.size() - 1);
      TRY(builder.add({.engine = e, .begin = begin, .counted = join % 2 == 0, .stride = joins.stride * from.stride}, rul, columns));
    }
  }
  if (from.censored) {
    FleetTable seen = table;
    seen.end_rul.clear();
    const std::vector<double> lived = dataset::label_rul(seen);
    for (const std::size_t e : engines_of(table, true))
      TRY(builder.add({.engine = e, .begin = table.engines[e].begin, .stride = from.stride, .censored = true}, lived, columns));
  }
  return std::move(builder).finish();
}

model::Background background_of(const TrainingSet& set) {
  constexpr std::size_t wanted = 16;
  std::vector<std::size_t> order(set.rows.rows);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&set](std::size_t a, std::size_t b) { return set.target[a] < set.target[b]; });
  const std::size_t count = std::min(wanted, order.size());
  model::Background background{.features = set.rows.features, .values = {}};
  for (std::size_t i = 0; i < count; ++i) {
    const float* row = set.rows.row(order[(2 * i + 1) * order.size() / (2 * count)]);
    background.values.insert(background.values.end(), row, row + set.rows.features);
  }
  return background;
}

}  // namespace nacelle::trainer
