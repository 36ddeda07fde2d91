#pragma once
// The makers of all trainers, and what their sources share. Private to ml/trainer.

#include <memory>

#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

std::unique_ptr<Trainer> make_xgboost();
std::unique_ptr<Trainer> make_ridge();

/// `parameters` are merged ones: every name is there.
inline double number(const json::Value& parameters, std::string_view name) { return parameters.find(name)->as_number(); }
inline std::size_t count(const json::Value& parameters, std::string_view name) {
  return static_cast<std::size_t>(parameters.find(name)->as_integer());
}

inline Failure cancelled() { return fail(Fault::conflict, "training was cancelled"); }

}  // namespace nacelle::trainer
