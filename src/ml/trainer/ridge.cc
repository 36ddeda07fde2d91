// Ridge regression: least squares with a penalty on the weights of standardised features. Exact, and 0.1 s: the yardstick.

#include <Eigen/Dense>
#include <cmath>

#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/rows.h"

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
  std::vector<Parameter> parameters() const override {
    return {{.name = "l2",
             .standard = 0.001,
             .low = 0,
             .high = 1e12,
             .search_low = 1e-5,
             .search_high = 1,
             .logarithmic = true,
             .meaning = "penalty, in units of the mean square of a standardised feature, which is 1"}};
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    const double penalty = number(parameters, "l2");
    const FeatureRows& rows = set.rows;
    const std::vector<float>& target = set.target;
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
    if (options.progress && !options.progress(1)) return cancelled();
    return model::Regressor(model::LinearModel{.intercept = intercept,
                                               .centre = {centre.begin(), centre.end()},
                                               .scale = {scale.begin(), scale.end()},
                                               .weight = {weight.begin(), weight.end()}});
  }
};

}  // namespace

std::unique_ptr<Trainer> make_ridge() { return std::make_unique<RidgeTrainer>(); }

}  // namespace nacelle::trainer
