// Neural trainers: a multi-layer perceptron on the features of a row, an LSTM and a convolutional network on the sequence of fused
// channels that a row can carry. The sequence is part of the feature pipeline, so a served model keeps no other state.

#include <fmt/format.h>

#include <algorithm>

#include "ml/feature/pipeline.h"
#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/network_fit.h"
#include "ml/trainer/detail/rows.h"

namespace nacelle::trainer {

namespace {

using Kind = model::Layer::Kind;
using Activation = model::Layer::Activation;

Eigen::Index width(const json::Value& parameters, std::string_view name) {
  return static_cast<Eigen::Index>(count(parameters, name));
}

class MlpTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "mlp"; }
  std::string_view description() const override { return "multi-layer perceptrons on the features, averaged"; }
  std::vector<Parameter> parameters() const override {
    std::vector<Parameter> list = {{.name = "units",
                                    .standard = 32,
                                    .low = 1,
                                    .high = 1024,
                                    .search_low = 16,
                                    .search_high = 64,
                                    .logarithmic = true,
                                    .meaning = "of the first hidden layer"},
                                   {.name = "second_units",
                                    .standard = 16,
                                    .low = 0,
                                    .high = 1024,
                                    .meaning = "of the second hidden layer; 0: there is none"}};
    for (Parameter& parameter : network_parameters(4, 60, 8000, 0.005, 0.1)) list.push_back(std::move(parameter));
    return list;
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    NetworkFit how{.columns = plain_columns(set)};
    read_network_parameters(parameters, how);
    how.build = [&parameters](Net<float>& net) {
      net.add(Kind::dense, width(parameters, "units"), Activation::relu);
      if (width(parameters, "second_units") > 0) net.add(Kind::dense, width(parameters, "second_units"), Activation::relu);
      net.add(Kind::dense, 1, Activation::none);
    };
    return fit_network(set, options, how, name());
  }
};

/// What the LSTM and the convolutional network share: they read the sequence, and beside it how old the engine is.
class SequenceTrainer : public Trainer {
 public:
  bool reads_sequence() const override { return true; }

  Result<> prepare(feature::Recipe& recipe, const json::Value& overrides) const override {
    TRY_LET(const json::Value parameters, merge(overrides));
    return ask_for_steps(recipe, count(parameters, "steps"), name());
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge(options.parameters));
    TRY(check_set(set, name()));
    SequenceColumns sequence = sequence_columns(set, count(parameters, "steps"));
    if (sequence.columns.empty())
      return fail(Fault::invalid_input, fmt::format("{}: expected features with a sequence of {} steps (recipe: sequence_steps)",
                                                    name(), count(parameters, "steps")));
    NetworkFit how{.columns = std::move(sequence.columns), .steps = count(parameters, "steps"), .channels = sequence.channels};
    for (std::size_t f = 0; f < set.feature_names.size(); ++f) {
      const std::string& feature = set.feature_names[f];
      if (feature == "cycle" || feature == "history" || feature == feature::joined_feature)
        how.columns.push_back(static_cast<std::uint16_t>(f));
    }
    read_network_parameters(parameters, how);
    how.build = [this, &parameters](Net<float>& net) { add_layers(net, parameters); };
    return fit_network(set, options, how, name());
  }

 protected:
  virtual void add_layers(Net<float>& net, const json::Value& parameters) const = 0;
  virtual Result<json::Value> merge(const json::Value& overrides) const { return merge_parameters(*this, overrides); }
  static Parameter steps_parameter(std::int64_t standard) {
    return {.name = "steps",
            .standard = standard,
            .low = 1,
            .high = 200,
            .meaning = "of the sequence; each is the mean of as many cycles as the recipe's sequence_stride says (5)"};
  }
};

class LstmTrainer final : public SequenceTrainer {
 public:
  std::string_view name() const override { return "lstm"; }
  std::string_view description() const override { return "long short-term memory over the fused channels, averaged"; }
  std::vector<Parameter> parameters() const override {
    std::vector<Parameter> list = {
        steps_parameter(24),
        {.name = "units",
         .standard = 16,
         .low = 1,
         .high = 256,
         .search_low = 8,
         .search_high = 32,
         .logarithmic = true,
         .meaning = "of the LSTM"},
        {.name = "dense_units", .standard = 16, .low = 1, .high = 1024, .meaning = "of the layer after it"}};
    for (Parameter& parameter : network_parameters(2, 30, 3000, 0.01, 0.01)) list.push_back(std::move(parameter));
    return list;
  }

 private:
  void add_layers(Net<float>& net, const json::Value& parameters) const override {
    net.add(Kind::lstm, width(parameters, "units"), Activation::none);
    net.add(Kind::dense, width(parameters, "dense_units"), Activation::relu);
    net.add(Kind::dense, 1, Activation::none);
  }
};

class CnnTrainer final : public SequenceTrainer {
 public:
  std::string_view name() const override { return "cnn"; }
  std::string_view description() const override { return "convolutions over the fused channels, averaged"; }
  std::vector<Parameter> parameters() const override {
    std::vector<Parameter> list = {
        steps_parameter(32),
        {.name = "filters",
         .standard = 12,
         .low = 1,
         .high = 128,
         .search_low = 6,
         .search_high = 24,
         .logarithmic = true,
         .meaning = "of each of the two convolutions"},
        {.name = "taps", .standard = 5, .low = 1, .high = 100, .meaning = "steps that a filter sees"},
        {.name = "dense_units", .standard = 24, .low = 1, .high = 1024, .meaning = "of the layer after them"}};
    for (Parameter& parameter : network_parameters(3, 40, 4000, 0.005, 0.01)) list.push_back(std::move(parameter));
    return list;
  }

 private:
  Result<json::Value> merge(const json::Value& overrides) const override {
    TRY_LET(json::Value parameters, merge_parameters(*this, overrides));
    if (2 * count(parameters, "taps") > count(parameters, "steps") + 1)
      return fail(Fault::invalid_input, fmt::format("cnn: taps: two convolutions of {} taps do not fit into {} steps",
                                                    count(parameters, "taps"), count(parameters, "steps")));
    return parameters;
  }

  void add_layers(Net<float>& net, const json::Value& parameters) const override {
    for (int layer = 0; layer < 2; ++layer)
      net.add(Kind::convolution, width(parameters, "filters"), Activation::relu, width(parameters, "taps"));
    net.add(Kind::dense, width(parameters, "dense_units"), Activation::relu);
    net.add(Kind::dense, 1, Activation::none);
  }
};

}  // namespace

std::unique_ptr<Trainer> make_mlp() { return std::make_unique<MlpTrainer>(); }
std::unique_ptr<Trainer> make_lstm() { return std::make_unique<LstmTrainer>(); }
std::unique_ptr<Trainer> make_cnn() { return std::make_unique<CnnTrainer>(); }

}  // namespace nacelle::trainer
