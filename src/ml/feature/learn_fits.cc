// Learning the features "life.1", "life.2", ...: ridge regressions of remaining life on all other features. Why:
// docs/decisions/0274.

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "ml/feature/detail/tables.h"

namespace nacelle::feature {

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// So many rows say enough; of more, every so manieth is taken.
constexpr std::size_t most_rows = 20'000;
/// Of a variance of 1. Chosen by cross-validation, docs/decisions/0274.
constexpr double ridge = 0.05;
/// A feature whose spread is below this part of its level is constant, up to rounding.
constexpr double constant_spread = 1e-9;

struct FitRows {
  MatrixXd features;  ///< [rows][fit_inputs]
  VectorXd rul;
};

Result<FitRows> take_rows(const Pipeline& pipeline, const Pipeline::TrainingRows& rows) {
  const std::size_t stride = rows.row_count / most_rows + 1;
  const std::size_t inputs = pipeline.feature_count();
  FitRows taken{MatrixXd(static_cast<Index>((rows.row_count + stride - 1) / stride), static_cast<Index>(inputs)), {}};
  taken.rul.resize(taken.features.rows());
  std::vector<double> values(rows.inputs.size());
  std::vector<float> row(inputs);
  Index at = 0;
  for (std::size_t e = 0; e + 1 < rows.engine_begin.size(); ++e) {
    EngineState state;
    for (std::size_t r = rows.engine_begin[e]; r < rows.engine_begin[e + 1]; ++r) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = rows.inputs[i][r];
      TRY(pipeline.step(state, rows.cycle[r], values, row));
      if (r % stride != 0) continue;
      for (std::size_t f = 0; f < inputs; ++f) taken.features(at, static_cast<Index>(f)) = static_cast<double>(row[f]);
      taken.rul[at++] = rows.rul[r];
    }
  }
  return taken;
}

void learn_scales(const FitRows& rows, Pipeline::Tables& tables) {
  for (Index f = 0; f < rows.features.cols(); ++f) {
    const double centre = rows.features.col(f).mean();
    const double spread = std::sqrt((rows.features.col(f).array() - centre).square().mean());
    // A sequence says again what the windows say.
    const bool read = spread > constant_spread * std::max(1.0, std::abs(centre)) &&
                      tables.feature_names[static_cast<std::size_t>(f)].find(".step") == std::string::npos;
    tables.fit_centre.push_back(centre);
    tables.fit_scale.push_back(read ? 1 / spread : 0);
  }
}

}  // namespace

Result<> learn_fits(const Pipeline& without, const Pipeline::TrainingRows& rows, Pipeline::Tables& tables) {
  TRY_LET(const FitRows taken, take_rows(without, rows));
  learn_scales(taken, tables);
  tables.choose_curved();
  const std::size_t terms = tables.fit_terms();
  MatrixXd z(taken.features.rows(), static_cast<Index>(terms));
  std::vector<float> row(tables.fit_inputs);
  std::vector<double> of_row(terms);
  for (Index r = 0; r < z.rows(); ++r) {
    for (std::size_t f = 0; f < row.size(); ++f) row[f] = static_cast<float>(taken.features(r, static_cast<Index>(f)));
    write_fit_terms(tables, row.data(), of_row.data());
    z.row(r) = Eigen::Map<const Eigen::RowVectorXd>(of_row.data(), z.cols());
  }
  const Eigen::RowVectorXd means = z.colwise().mean();
  z.rowwise() -= means;
  MatrixXd gram = z.transpose() * z;
  gram.diagonal().array() += ridge * static_cast<double>(z.rows());
  const Eigen::LDLT<MatrixXd> solver(gram);
  const std::size_t fits = tables.recipe.life_fits;
  for (std::size_t fit = 1; fit <= fits; ++fit) {
    const double cap = tables.recipe.rul_cap * static_cast<double>(fit) / static_cast<double>(fits);
    const VectorXd target = taken.rul.array().min(cap).matrix();
    const VectorXd weights = solver.solve(z.transpose() * (target.array() - target.mean()).matrix());
    if (solver.info() != Eigen::Success || !weights.allFinite())
      return fail(Fault::invalid_input, "feature pipeline: the fitted lives have no solution");
    tables.fit_weight.insert(tables.fit_weight.end(), weights.begin(), weights.end());
    tables.fit_base.push_back(target.mean() - means.dot(weights));
  }
  return {};
}

}  // namespace nacelle::feature
