// Batch features: the streaming step over every row. There is no second implementation (promise P5).

#include <algorithm>

#include "ml/trainer/experiment.h"

namespace nacelle::trainer {

namespace {

/// The table's column of each of the recipe's inputs; columns.size() if it has none of that name.
std::vector<std::size_t> columns_of(const dataset::FleetTable& table, const std::vector<std::string>& inputs) {
  std::vector<std::size_t> columns;
  for (const std::string& name : inputs) columns.push_back(table.find_column(name).value_or(table.columns.size()));
  return columns;
}

}  // namespace

feature::Pipeline::TrainingRows training_rows(const dataset::FleetTable& table, const feature::Recipe& recipe,
                                              const std::vector<double>& rul) {
  feature::Pipeline::TrainingRows rows{
      .row_count = table.row_count(), .inputs = {}, .cycle = table.cycle, .rul = rul, .engine_begin = {}};
  for (const std::size_t column : columns_of(table, recipe.input_names())) {
    INVARIANT(column < table.columns.size(), "the recipe's inputs were checked against the table");
    rows.inputs.emplace_back(table.columns[column]);
  }
  for (const dataset::EngineRows& engine : table.engines) rows.engine_begin.push_back(engine.begin);
  rows.engine_begin.push_back(table.row_count());
  return rows;
}

Result<TableColumns> TableColumns::of(const feature::Pipeline& pipeline, const dataset::FleetTable& table) {
  TableColumns columns;
  const std::vector<std::size_t> indices = columns_of(table, pipeline.input_names());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= table.columns.size())
      return fail(Fault::invalid_input, "the table has no column '" + pipeline.input_names()[i] + "', which the features need");
    columns.columns_.push_back(table.columns[indices[i]].data());
  }
  columns.values_.resize(indices.size());
  return columns;
}

std::span<const double> TableColumns::row(std::size_t index) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) values_[i] = columns_[i][index];
  return values_;
}

Result<FeatureRows> make_features(const feature::Pipeline& pipeline, const dataset::FleetTable& table) {
  TRY_LET(const TableColumns columns, TableColumns::of(pipeline, table));
  FeatureRows features{.rows = table.row_count(), .features = pipeline.feature_count(), .values = {}};
  features.values.resize(features.rows * features.features);
  for (const dataset::EngineRows& engine : table.engines) {
    feature::EngineState state;
    for (std::size_t row = engine.begin; row < engine.end; ++row) {
      TRY(pipeline.step(state, table.cycle[row], columns.row(row),
                        std::span(features.values).subspan(row * features.features, features.features)));
    }
  }
  return features;
}

}  // namespace nacelle::trainer
