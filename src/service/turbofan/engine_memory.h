#pragma once
// EngineMemory: what the classifier knows of every engine: the pipeline's state, and its last readings, from which a new
// model's state is rebuilt. Pure; how it is kept on disk is classifier_store.h and docs/formats/classifier-state.md.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "foundation/bytes.h"
#include "foundation/result.h"
#include "ml/model/estimator.h"
#include "service/turbofan/reading_form.h"

namespace nacelle::turbofan {

/// One reading as remembered and journalled. NaN: the channel was silent.
struct SeenReading {
  std::int64_t cycle = 0;
  std::vector<double> values;  ///< in the form's order
  std::uint64_t message = 0;   ///< hash of the correlation id: tells a repeated delivery from a new run
  double prediction = 0;
  bool operator==(const SeenReading&) const = default;
};

/// Takes a reading out of a record. Fault::invalid_input names the member that is missing or no number.
Result<SeenReading> read_reading(const json::Value& record, const ReadingForm& form = ReadingForm::turbofan());

std::uint64_t message_hash(std::string_view correlation_id);

class EngineMemory {
 public:
  explicit EngineMemory(ReadingForm form = ReadingForm::turbofan()) : form_(std::move(form)) {}
  const ReadingForm& form() const { return form_; }

  static constexpr std::size_t readings_kept = 200;    ///< the longest window of a pipeline (ml/feature/recipe.h)
  static constexpr std::size_t engines_kept = 20'000;  ///< beyond it the one that was silent longest is forgotten

  struct Engine {
    std::uint64_t first_message = 0;  ///< that began this run: cycle 1 again under another message begins a new run
    std::uint64_t used = 0;           ///< for forgetting
    feature::EngineState state;
    std::deque<SeenReading> readings;
  };
  struct Answer {
    double prediction = 0;
    bool is_new = false;  ///< to be journalled
    SeenReading reading;
  };

  /// Puts a model in place. States are kept if the pipeline is the same, else rebuilt from the kept readings.
  /// Fault::invalid_input, and the old model stays, if the model wants inputs no reading has.
  Result<> use(std::shared_ptr<const model::Estimator> model);
  /// Makes every engine's state anew from its kept readings.
  Result<> rebuild();
  bool has_model() const { return model_ != nullptr; }
  const model::Estimator& model() const { return *model_; }

  /// The prediction for a reading. One that was answered before (same cycle) gets the same answer, and nothing changes.
  Result<Answer> step(const std::string& engine, SeenReading reading);

  std::map<std::string, Engine>& engines() { return engines_; }
  const std::map<std::string, Engine>& engines() const { return engines_; }

 private:
  Result<double> advance(feature::EngineState& state, const SeenReading& reading) const;
  void forget_one();

  ReadingForm form_;
  std::shared_ptr<const model::Estimator> model_;
  std::vector<std::size_t> channel_of_input_;  ///< for each of the pipeline's inputs
  std::map<std::string, Engine> engines_;
  std::uint64_t steps_ = 0;
};

}  // namespace nacelle::turbofan
