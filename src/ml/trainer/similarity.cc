// Trajectory matching: what engines that have ended had left where their last stretch looked like this one.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/boosting.h"
#include "ml/trainer/detail/rows.h"

namespace nacelle::trainer {

namespace {

/// Standardised columns, each weighted by how far it goes with life (the correlation's size): what says nothing about life should
/// not decide what looks alike.
std::vector<float> weighted_scale(const TrainingSet& set, const std::vector<std::uint16_t>& columns) {
  const Standard standard = standardise(set.rows, columns);
  const double mean = mean_of(set.target);
  std::vector<float> scale = standard.scale;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    double product = 0, squares = 0;
    for (std::size_t r = 0; r < set.rows.rows; ++r) {
      const double x = static_cast<double>((set.rows.row(r)[columns[c]] - standard.centre[c]) * standard.scale[c]);
      const double y = static_cast<double>(set.target[r]) - mean;
      product += x * y;
      squares += y * y;
    }
    const double correlation = squares > 0 ? product / std::sqrt(squares * static_cast<double>(set.rows.rows)) : 1;
    scale[c] *= static_cast<float>(std::abs(correlation));
  }
  return scale;
}

class SimilarityTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "similarity"; }
  std::string_view description() const override {
    return "matches the engine's last stretch with those of engines that have ended";
  }
  bool reads_sequence() const override { return true; }

  std::vector<Parameter> parameters() const override {
    return {{.name = "steps",
             .standard = 16,
             .low = 1,
             .high = 200,
             .search_low = 6,
             .search_high = 30,
             .meaning = "of a stretch; each is the mean of as many cycles as the recipe's sequence_stride says (5)"},
            {.name = "neighbours",
             .standard = 15,
             .low = 1,
             .high = 64,
             .search_low = 5,
             .search_high = 40,
             .meaning = "engines that are asked"},
            {.name = "width",
             .standard = 0.02,
             .low = 1e-9,
             .high = 1e9,
             .search_low = 0.002,
             .search_high = 0.1,
             .logarithmic = true,
             .meaning = "likeness by which an engine's say falls to 1/e: mean square difference in standard deviations"},
            {.name = "row_stride",
             .standard = 2,
             .low = 1,
             .high = 100,
             .meaning = "every so manieth row of the set is kept in the library"}};
  }

  Result<> prepare(feature::Recipe& recipe, const json::Value& overrides) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, overrides));
    return ask_for_steps(recipe, count(parameters, "steps"), name());
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    const SequenceColumns sequence = sequence_columns(set, count(parameters, "steps"));
    if (sequence.columns.empty())
      return fail(Fault::invalid_input,
                  fmt::format("similarity: expected features with a sequence of {} steps (recipe: sequence_steps)",
                              count(parameters, "steps")));
    model::TrajectoryLibrary library{.row_features = static_cast<std::uint32_t>(set.rows.features),
                                     .columns = sequence.columns,
                                     .scale = weighted_scale(set, sequence.columns),
                                     .neighbours = static_cast<std::uint32_t>(count(parameters, "neighbours")),
                                     .width = number(parameters, "width")};
    const std::size_t stride = count(parameters, "row_stride");
    for (const std::uint32_t engine : engines_in(set)) {
      library.begin.push_back(static_cast<std::uint32_t>(library.life.size()));
      std::size_t of_engine = 0;
      for (std::size_t row = 0; row < set.rows.rows; ++row) {
        if (!set.engine.empty() && set.engine[row] != engine) continue;
        if (of_engine++ % stride != 0) continue;
        library.life.push_back(set.target[row]);
        for (std::size_t c = 0; c < library.columns.size(); ++c)
          library.stretches.push_back(set.rows.row(row)[library.columns[c]] * library.scale[c]);
      }
    }
    library.begin.push_back(static_cast<std::uint32_t>(library.life.size()));
    if (const auto fits = library.check(); !fits) return fail(Fault::invalid_input, fits.error().message);
    if (options.progress && !options.progress(1)) return cancelled();
    return model::Regressor(std::move(library));
  }
};

}  // namespace

std::unique_ptr<Trainer> make_similarity() { return std::make_unique<SimilarityTrainer>(); }

}  // namespace nacelle::trainer
