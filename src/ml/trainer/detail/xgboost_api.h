#pragma once
// XGBoost's C API, loaded when first needed. Private to ml/trainer. Why not linked: docs/decisions/0051-xgboost-on-demand.md.

#include <xgboost/c_api.h>

#include "foundation/result.h"

namespace nacelle::trainer {

struct XgboostApi {
  decltype(&XGBGetLastError) last_error = nullptr;
  decltype(&XGDMatrixCreateFromMat) matrix_create = nullptr;
  decltype(&XGDMatrixSetFloatInfo) matrix_set_floats = nullptr;
  decltype(&XGDMatrixFree) matrix_free = nullptr;
  decltype(&XGBoosterCreate) booster_create = nullptr;
  decltype(&XGBoosterFree) booster_free = nullptr;
  decltype(&XGBoosterSetParam) booster_set_parameter = nullptr;
  decltype(&XGBoosterUpdateOneIter) booster_update = nullptr;
  decltype(&XGBoosterSaveModelToBuffer) booster_save = nullptr;
  decltype(&XGBoosterLoadModelFromBuffer) booster_load = nullptr;
  decltype(&XGBoosterPredict) booster_predict = nullptr;
  decltype(&XGBoosterPredictFromDense) booster_predict_in_place = nullptr;

  /// A call's failure as ours; its text without the stack trace.
  Result<> check(int code) const;
};

/// Fault::unavailable if the library is not installed. Any thread.
Result<const XgboostApi*> xgboost_api();

}  // namespace nacelle::trainer
