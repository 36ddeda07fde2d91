// Ridge regression: least squares with a penalty on the weights of standardised features. Exact, and 0.1 s: the yardstick.

#include <fmt/format.h>

#include <Eigen/Dense>
#include <cmath>

#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using FloatRows = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

class RidgeTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "ridge"; }
  std::string_view description() const override { return "linear regression with an L2 penalty"; }
  json::Value defaults() const override {
    return json::Object{{"l2", 0.001}};  // of the mean squared value of a standardised feature, that is of 1
  }

  Result<model::Regressor> fit(const FeatureRows& rows, std::span<const float> target, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    const double penalty = parameters.find("l2")->as_number();
    if (!(penalty >= 0 && penalty < 1e12))
      return fail(Fault::invalid_input, fmt::format("parameters of ridge: l2: expected 0 or more, found {}", penalty));
    const auto n = static_cast<double>(rows.rows);
    const FloatRows values(rows.values.data(), static_cast<Index>(rows.rows), static_cast<Index>(rows.features));
    MatrixXd x = values.cast<double>();
    const Eigen::RowVectorXd centre = x.colwise().mean();
    x.rowwise() -= centre;
    const Eigen::RowVectorXd spread = (x.colwise().squaredNorm() / n).cwiseSqrt();
    // A feature that does not vary has no weight.
    const Eigen::RowVectorXd scale = spread.unaryExpr([](double s) { return s > 1e-12 ? 1 / s : 0.0; });
    x.array().rowwise() *= scale.array();
    VectorXd y = Eigen::Map<const Eigen::VectorXf>(target.data(), static_cast<Index>(target.size())).cast<double>();
    const double intercept = y.mean();
    y.array() -= intercept;

    MatrixXd gram = x.transpose() * x / n;
    gram.diagonal().array() += penalty + 1e-9;  // the least that keeps constant features solvable
    const Eigen::LDLT<MatrixXd> solver(gram);
    const VectorXd weight = solver.solve(x.transpose() * y / n);
    if (solver.info() != Eigen::Success || !weight.allFinite())
      return fail(Fault::invalid_input, "ridge: the equations have no solution; raise l2");
    if (options.progress && !options.progress(1)) return fail(Fault::conflict, "training was cancelled");
    return model::Regressor(model::LinearModel{.intercept = intercept,
                                               .centre = {centre.begin(), centre.end()},
                                               .scale = {scale.begin(), scale.end()},
                                               .weight = {weight.begin(), weight.end()}});
  }
};

}  // namespace

std::unique_ptr<Trainer> make_ridge() { return std::make_unique<RidgeTrainer>(); }

}  // namespace nacelle::trainer
