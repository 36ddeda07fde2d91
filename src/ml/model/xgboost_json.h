#pragma once
// Reads a model saved by XGBoost (JSON, or UBJSON by way of codec/ubj) into our tables: gbtree booster, one output, an objective
// whose sum of leaves is the prediction. Source: XGBoost 1.7 doc/model.schema.

#include <string>
#include <vector>

#include "codec/json/value.h"
#include "ml/model/regressor.h"

namespace nacelle::model {

/// Fault::invalid_input names what is missing or not supported.
Result<TreeEnsemble> read_xgboost(const json::Value& document);
/// Empty if the model does not tell them.
Result<std::vector<std::string>> read_xgboost_feature_names(const json::Value& document);

}  // namespace nacelle::model
