#pragma once
// Reads a model saved by XGBoost as JSON into our tables: gbtree booster, one output, objective reg:squarederror.
// Source: XGBoost 1.7 doc/model.schema.

#include "codec/json/value.h"
#include "ml/model/regressor.h"

namespace nacelle::model {

/// Fault::invalid_input names what is missing or not supported.
Result<TreeEnsemble> read_xgboost(const json::Value& document);

}  // namespace nacelle::model
