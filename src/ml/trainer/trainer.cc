#include "ml/trainer/trainer.h"

#include <fmt/format.h>

namespace nacelle::trainer {

const std::vector<const Trainer*>& trainers() {
  static const std::unique_ptr<Trainer> xgboost = make_xgboost();
  static const std::unique_ptr<Trainer> ridge = make_ridge();
  static const std::vector<const Trainer*> all = {xgboost.get(), ridge.get()};
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

Result<json::Value> merge_parameters(const Trainer& trainer, const json::Value& overrides) {
  const std::string where = fmt::format("parameters of {}", trainer.name());
  if (!overrides.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", where, json::type_name(overrides)));
  json::Value merged = trainer.defaults();
  for (const auto& [key, value] : overrides.as_object()) {
    const json::Value* known = merged.find(key);
    if (!known) return fail(Fault::invalid_input, fmt::format("{}: '{}' is unknown", where, key));
    if (json::type_name(*known) != json::type_name(value) || (known->is_integer() && !value.is_integer()))
      return fail(Fault::invalid_input,
                  fmt::format("{}: {}: expected a {}{}", where, key, known->is_integer() ? "whole " : "", json::type_name(*known)));
    merged.as_object().set(key, value);
  }
  return merged;
}

}  // namespace nacelle::trainer
