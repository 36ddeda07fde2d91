#include "ml/trainer/trainer.h"

#include <fmt/format.h>

#include <algorithm>

#include "ml/trainer/detail/all.h"

namespace nacelle::trainer {

const std::vector<const Trainer*>& trainers() {
  static const std::vector<std::unique_ptr<Trainer>> made = [] {
    std::vector<std::unique_ptr<Trainer>> list;
    for (const auto make : {make_xgboost, make_random_forest, make_extra_trees, make_ridge, make_svr, make_mlp, make_lstm, make_cnn,
                            make_similarity, make_survival, make_blend})
      list.push_back(make());
    return list;
  }();
  static const std::vector<const Trainer*> all = [] {
    std::vector<const Trainer*> list;
    for (const auto& trainer : made) list.push_back(trainer.get());
    return list;
  }();
  return all;
}

Result<const Trainer*> find_trainer(std::string_view name) {
  std::string names;
  for (const Trainer* trainer : trainers()) {
    if (trainer->name() == name) return trainer;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", trainer->name());
  }
  return fail(Fault::invalid_input, fmt::format("trainer '{}' is unknown; there are: {}", name, names));
}

json::Value Trainer::defaults() const {
  json::Object object;
  for (const Parameter& parameter : parameters()) object.set(std::string(parameter.name), parameter.standard);
  return object;
}

namespace {

Result<> check(const Parameter& parameter, const json::Value& value, std::string_view where) {
  const json::Value& standard = parameter.standard;
  const auto wrong = [&](std::string_view expected) {
    return fail(Fault::invalid_input,
                fmt::format("{}: {}: expected {}, found {}", where, parameter.name, expected, json::print(value)));
  };
  if (standard.is_bool()) return value.is_bool() ? Result<>() : wrong("true or false");
  if (standard.is_string()) {
    const bool listed = value.is_string() &&
                        std::find(parameter.choices.begin(), parameter.choices.end(), value.as_string()) != parameter.choices.end();
    return listed ? Result<>() : wrong(fmt::format("one of {}", fmt::join(parameter.choices, ", ")));
  }
  if (!standard.is_number())
    return json::type_name(value) == json::type_name(standard) ? Result<>() : wrong(json::type_name(standard));
  const bool whole = standard.is_integer();
  const bool fits = value.is_number() && (!whole || value.is_integer()) && value.as_number() >= parameter.low &&
                    value.as_number() <= parameter.high;
  return fits ? Result<>() : wrong(fmt::format("a {}number from {} to {}", whole ? "whole " : "", parameter.low, parameter.high));
}

}  // namespace

Result<json::Value> merge_parameters(const Trainer& trainer, const json::Value& overrides) {
  const std::string where = fmt::format("parameters of {}", trainer.name());
  if (!overrides.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", where, json::type_name(overrides)));
  const std::vector<Parameter> known = trainer.parameters();
  json::Value merged = trainer.defaults();
  for (const auto& [key, value] : overrides.as_object()) {
    const auto at = std::find_if(known.begin(), known.end(), [&key = key](const Parameter& p) { return p.name == key; });
    if (at == known.end()) return fail(Fault::invalid_input, fmt::format("{}: '{}' is unknown", where, key));
    TRY(check(*at, value, where));
    merged.as_object().set(key, value);
  }
  return merged;
}

}  // namespace nacelle::trainer
