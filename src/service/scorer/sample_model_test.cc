#include "service/scorer/sample_model_test.h"

#include "ml/dataset/labels.h"
#include "ml/dataset/synthetic.h"
#include "ml/model/artifact.h"

namespace nacelle::scorer {
namespace {

dataset::FleetTable fleet() { return dataset::make_synthetic_fleet({.engines = 12, .seed = 5}); }

feature::Pipeline learned_pipeline() {
  const dataset::FleetTable table = fleet();
  const std::vector<double> rul = dataset::label_rul(table);
  feature::Pipeline::TrainingRows rows;
  rows.row_count = table.row_count();
  for (const auto& column : table.columns) rows.inputs.emplace_back(column);
  rows.cycle = table.cycle;
  rows.rul = rul;
  for (const dataset::EngineRows& engine : table.engines) rows.engine_begin.push_back(engine.begin);
  rows.engine_begin.push_back(rows.row_count);
  auto pipeline = feature::Pipeline::learn({}, rows);
  INVARIANT(pipeline, "a synthetic fleet can be learned from");
  return std::move(pipeline).value();
}

}  // namespace

std::shared_ptr<const model::Estimator> sample_estimator() {
  feature::Pipeline pipeline = learned_pipeline();
  const std::size_t n = pipeline.feature_count();
  model::LinearModel linear{
      .intercept = 70, .centre = std::vector<double>(n, 0.1), .scale = std::vector<double>(n, 1.0), .weight = {}};
  for (std::size_t i = 0; i < n; ++i) linear.weight.push_back(i % 2 ? 0.01 : -0.02);  // every feature tells
  model::Artifact artifact{.name = "sample",
                           .cap = 125,
                           .intervals = {0.9, {}, {-10}, {10}},
                           .provenance = json::Object{},
                           .pipeline = std::move(pipeline),
                           .regressor = linear};
  auto estimator = model::Estimator::parse(model::encode_artifact(artifact));
  INVARIANT(estimator, "what was encoded is parsed");
  return std::move(estimator).value();
}

json::Array sample_records(std::size_t engine, std::size_t count) {
  const dataset::FleetTable table = fleet();
  const auto& names = dataset::turbofan_columns();
  json::Array records;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = table.engines[engine - 1].begin + i;
    json::Object record{{"CycleTime", table.cycle[row]}};
    for (std::size_t c = 0; c < names.size(); ++c) record.set(names[c], table.value(row, c));
    records.emplace_back(std::move(record));
  }
  return records;
}

}  // namespace nacelle::scorer
