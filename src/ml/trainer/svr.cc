// Support vector regression by libsvm. Its time grows with the square of the rows, so it learns from some of them, taken evenly:
// what the parameter `max_rows` says. Source: Chang, Lin, "LIBSVM: a library for support vector machines", 2011.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/boosting.h"
#include "ml/trainer/detail/rows.h"
#include "ml/trainer/detail/svm_api.h"

namespace nacelle::trainer {

namespace {

struct FreeModel {
  const SvmApi* api = nullptr;
  void operator()(svm_model* model) const { api->free_model(&model); }
};
using SvmModel = std::unique_ptr<svm_model, FreeModel>;

/// Rows as libsvm reads them: lists of (index from 1, value), ended by -1.
struct Problem {
  std::vector<svm_node> nodes;
  std::vector<svm_node*> rows;
  std::vector<double> target;
};

class SvrTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "svr"; }
  std::string_view description() const override { return "support vector regression (libsvm), learned from some of the rows"; }

  std::vector<Parameter> parameters() const override {
    return {{.name = "kernel", .standard = "rbf", .choices = {"rbf", "linear"}, .meaning = "Gaussian, or none"},
            {.name = "c",
             .standard = 5.0,
             .low = 1e-6,
             .high = 1e6,
             .search_low = 0.5,
             .search_high = 50,
             .logarithmic = true,
             .meaning = "cost of an error, in standard deviations of the target"},
            {.name = "gamma",
             .standard = 1.0,
             .low = 1e-9,
             .high = 1e6,
             .search_low = 0.1,
             .search_high = 5,
             .logarithmic = true,
             .meaning = "of the Gaussian kernel, divided by the number of features"},
            {.name = "epsilon",
             .standard = 0.1,
             .low = 0,
             .high = 10,
             .search_low = 0.02,
             .search_high = 0.4,
             .logarithmic = true,
             .meaning = "errors that cost nothing, in standard deviations of the target"},
            {.name = "tolerance", .standard = 0.005, .low = 1e-6, .high = 1, .meaning = "of libsvm's stopping criterion"},
            {.name = "max_rows",
             .standard = 4000,
             .low = 10,
             .high = 200'000,
             .meaning = "rows learned from, taken evenly from all; the time grows with their square"}};
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    if (set.rows.features > model::KernelModel::max_features)
      return fail(Fault::invalid_input,
                  fmt::format("svr: expected at most {} features, found {}", model::KernelModel::max_features, set.rows.features));
    TRY_LET(const SvmApi* api, svm_api());

    model::KernelModel made;
    std::vector<std::uint16_t> all(set.rows.features);
    for (std::size_t f = 0; f < all.size(); ++f) all[f] = static_cast<std::uint16_t>(f);
    Standard standard = standardise(set.rows, all);
    made.centre = std::move(standard.centre);
    made.scale = std::move(standard.scale);
    made.gamma = number(parameters, "gamma") / static_cast<double>(set.rows.features);
    made.target_centre = mean_of(set.target);
    double squares = 0;
    for (const float y : set.target)
      squares += std::pow(static_cast<double>(y) - made.target_centre, 2) / static_cast<double>(set.rows.rows);
    made.target_scale = squares > 1e-12 ? std::sqrt(squares) : 1;
    Problem rows = make_problem(set, made, count(parameters, "max_rows"));
    const svm_problem problem{.l = static_cast<int>(rows.rows.size()), .y = rows.target.data(), .x = rows.rows.data()};

    const bool linear = parameters.find("kernel")->as_string() == "linear";
    svm_parameter how{};
    how.svm_type = EPSILON_SVR;
    how.kernel_type = linear ? LINEAR : RBF;
    how.gamma = made.gamma;
    how.cache_size = 200;  // MB
    how.eps = number(parameters, "tolerance");
    how.C = number(parameters, "c");
    how.p = number(parameters, "epsilon");
    how.shrinking = 1;
    if (const char* wrong = api->check_parameter(&problem, &how)) return fail(Fault::invalid_input, fmt::format("svr: {}", wrong));
    const SvmModel trained(api->train(&problem, &how), FreeModel{api});
    if (options.progress && !options.progress(1)) return cancelled();
    made.intercept = -trained->rho[0];
    for (int v = 0; v < trained->l; ++v) {
      made.coefficient.push_back(trained->sv_coef[0][v]);
      for (std::size_t f = 0; f < set.rows.features; ++f) made.vectors.push_back(static_cast<float>(trained->SV[v][f].value));
    }
    if (linear) return model::Regressor(as_line(made));
    return model::Regressor(std::move(made));
  }

 private:
  static Problem make_problem(const TrainingSet& set, const model::KernelModel& scaled, std::size_t max_rows) {
    const std::size_t features = set.rows.features, taken = std::min(set.rows.rows, max_rows);
    Problem problem;
    problem.nodes.reserve(taken * (features + 1));
    for (std::size_t i = 0; i < taken; ++i) {
      const std::size_t row = i * set.rows.rows / taken;
      problem.rows.push_back(problem.nodes.data() + problem.nodes.size());
      for (std::size_t f = 0; f < features; ++f)
        problem.nodes.push_back(
            {static_cast<int>(f + 1), static_cast<double>((set.rows.row(row)[f] - scaled.centre[f]) * scaled.scale[f])});
      problem.nodes.push_back({-1, 0});
      problem.target.push_back((static_cast<double>(set.target[row]) - scaled.target_centre) / scaled.target_scale);
    }
    return problem;
  }

  /// Without a kernel the vectors sum to one weight a feature.
  static model::LinearModel as_line(const model::KernelModel& trained) {
    const std::size_t features = trained.centre.size();
    model::LinearModel line{.intercept = trained.target_centre + trained.target_scale * trained.intercept,
                            .centre = {trained.centre.begin(), trained.centre.end()},
                            .scale = {trained.scale.begin(), trained.scale.end()},
                            .weight = std::vector<double>(features)};
    for (std::size_t v = 0; v < trained.coefficient.size(); ++v)
      for (std::size_t f = 0; f < features; ++f)
        line.weight[f] += trained.target_scale * trained.coefficient[v] * static_cast<double>(trained.vectors[v * features + f]);
    return line;
  }
};

}  // namespace

std::unique_ptr<Trainer> make_svr() { return std::make_unique<SvrTrainer>(); }

}  // namespace nacelle::trainer
