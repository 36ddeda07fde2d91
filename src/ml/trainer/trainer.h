#pragma once
// Trainer: a learning algorithm behind one name. It sees feature rows and targets only; folds, cuts and artifacts are the
// business of experiment.h.
//
//   TRY_LET(const Trainer* trainer, find_trainer("xgboost"));
//   for (const Parameter& p : trainer->parameters()) ...                    // a search space, if one is wanted
//   TRY_LET(const model::Regressor fitted, trainer->fit(set, {.parameters = json::Object{{"max_depth", 3}}, .seed = 7}));

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"
#include "ml/feature/recipe.h"
#include "ml/model/regressor.h"

namespace nacelle::trainer {

/// Row-major [rows, features]. All finite.
struct FeatureRows {
  std::size_t rows = 0;
  std::size_t features = 0;
  std::vector<float> values;
  const float* row(std::size_t index) const { return values.data() + index * features; }
};

struct TrainingSet {
  FeatureRows rows;
  std::vector<std::string> feature_names;  ///< one a feature, as Pipeline::feature_names() calls them; empty: not told
  std::vector<float> target;               ///< of each row: remaining life, cut at the cap
  std::vector<std::uint32_t> engine;       ///< of each row; whoever holds rows out must hold out all of an engine. Empty: not told
  std::vector<std::uint8_t> censored;      ///< of each row; 1: the life is at least the target. Empty: none is
  double cap = 125;
};

/// One documented parameter of a trainer: what it may be, and where a search should look.
struct Parameter {
  std::string_view name;
  json::Value standard;  ///< the default; its type is the parameter's: whole number, number, text or true/false
  double low = 0;        ///< numbers lie in low .. high
  double high = 0;
  double search_low = 0;  ///< a search draws from search_low .. search_high; equal: it is not searched
  double search_high = 0;
  bool logarithmic = false;                    ///< a search draws its logarithm evenly
  std::vector<std::string_view> choices = {};  ///< what a text may be
  std::string_view meaning;
};

struct FitOptions {
  json::Value parameters = json::Object{};  ///< overrides of the trainer's defaults
  std::uint64_t seed = 1;
  int threads = 2;
  /// Called now and then with the part done (0 to 1); false cancels the fit. May be empty.
  std::function<bool(double done)> progress;
};

/// Stateless; any thread. The same set, parameters and seed give the same bits, whatever the number of threads.
class Trainer {
 public:
  virtual ~Trainer() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view description() const = 0;
  virtual std::vector<Parameter> parameters() const = 0;
  /// Asks for the features that it learns from with these parameters and that the recipe does not have. Fault::invalid_input.
  virtual Result<> prepare(feature::Recipe& /*recipe*/, const json::Value& /*parameters*/) const { return {}; }
  /// True if it learns from the sequence of fused channels. In a blend, the others are not shown it.
  virtual bool reads_sequence() const { return false; }
  /// True if it learns from rows whose life is only known to be longer than something; others are not shown such rows.
  virtual bool takes_censored() const { return false; }
  /// True if what it says of engines seen from their first cycle does not depend on the rows of others (feature::joined_feature).
  virtual bool learns_late_apart() const { return false; }
  /// Fault::invalid_input names a bad parameter, or says what the set lacks. Fault::conflict: cancelled.
  virtual Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const = 0;

  /// Every parameter with its default.
  json::Value defaults() const;
};

/// Those there are, in the order in which they are offered.
const std::vector<const Trainer*>& trainers();
/// Fault::invalid_input lists the names there are.
Result<const Trainer*> find_trainer(std::string_view name);

/// The defaults with the overrides laid over them. Fault::invalid_input: an unknown name, another type, or out of range.
Result<json::Value> merge_parameters(const Trainer& trainer, const json::Value& overrides);

}  // namespace nacelle::trainer
