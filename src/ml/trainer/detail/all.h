#pragma once
// The makers of all trainers, and what their sources share. Private to ml/trainer.

#include <memory>

#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

std::unique_ptr<Trainer> make_xgboost();
std::unique_ptr<Trainer> make_random_forest();
std::unique_ptr<Trainer> make_extra_trees();
std::unique_ptr<Trainer> make_ridge();
std::unique_ptr<Trainer> make_svr();
std::unique_ptr<Trainer> make_mlp();
std::unique_ptr<Trainer> make_lstm();
std::unique_ptr<Trainer> make_cnn();
std::unique_ptr<Trainer> make_similarity();
std::unique_ptr<Trainer> make_survival();
std::unique_ptr<Trainer> make_blend();

/// `parameters` are merged ones: every name is there.
inline double number(const json::Value& parameters, std::string_view name) { return parameters.find(name)->as_number(); }
inline std::size_t count(const json::Value& parameters, std::string_view name) {
  return static_cast<std::size_t>(parameters.find(name)->as_integer());
}

/// The recipe makes sequences of `steps` at least. Fault::invalid_input: longer than an engine is remembered.
Result<> ask_for_steps(feature::Recipe& recipe, std::size_t steps, std::string_view trainer);

inline Failure cancelled() { return fail(Fault::conflict, "training was cancelled"); }

}  // namespace nacelle::trainer
