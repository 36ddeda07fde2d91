#pragma once
// Trainer: a learning algorithm behind one name. It sees feature rows and targets only; engines, folds and artifacts are
// the business of experiment.h.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"
#include "ml/model/regressor.h"

namespace nacelle::trainer {

/// Row-major [rows, features]. All finite.
struct FeatureRows {
  std::size_t rows = 0;
  std::size_t features = 0;
  std::vector<float> values;
  const float* row(std::size_t index) const { return values.data() + index * features; }
};

struct FitOptions {
  json::Value parameters = json::Object{};  ///< overrides of the trainer's defaults
  std::uint64_t seed = 1;
  int threads = 2;
  /// Called now and then with the part done (0 to 1); false cancels the fit. May be empty.
  std::function<bool(double done)> progress;
};

/// Stateless; any thread. The same rows, target, options and threads give the same bits.
class Trainer {
 public:
  virtual ~Trainer() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view description() const = 0;
  /// Every parameter with its default.
  virtual json::Value defaults() const = 0;
  /// Fault::invalid_input names a bad parameter. Fault::conflict: cancelled.
  virtual Result<model::Regressor> fit(const FeatureRows& rows, std::span<const float> target, const FitOptions& options) const = 0;
};

/// Those there are, in the order in which they are offered.
const std::vector<const Trainer*>& trainers();
/// Fault::invalid_input lists the names there are.
Result<const Trainer*> find_trainer(std::string_view name);

/// The defaults with the overrides laid over them. Fault::invalid_input: an unknown name or another type.
Result<json::Value> merge_parameters(const Trainer& trainer, const json::Value& overrides);

std::unique_ptr<Trainer> make_xgboost();
std::unique_ptr<Trainer> make_ridge();

}  // namespace nacelle::trainer
