#include "ml/trainer/detail/xgboost_api.h"

#include <fmt/format.h>

#include <cstdlib>

#include "ml/trainer/detail/shared_library.h"

namespace nacelle::trainer {

Result<> XgboostApi::check(int code) const {
  if (code == 0) return {};
  std::string text = last_error();
  if (const std::size_t end = text.find("\nStack trace"); end != std::string::npos) text.resize(end);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return fail(Fault::invalid_input, fmt::format("XGBoost: {}", text));
}

namespace {

Result<XgboostApi> load() {
  // OpenMP reads this once, when its library is loaded. Threads that spin while they wait made two threads on a shared
  // machine ten times slower than one (FD003: 41 s against 4 s).
  ::setenv("OMP_WAIT_POLICY", "passive", 0);
  TRY_LET(SharedLibrary library, SharedLibrary::open({"libxgboost.so.0", "libxgboost.so"}, "XGBoost", "libxgboost0"));
  XgboostApi api;
  library.find(api.last_error, "XGBGetLastError");
  library.find(api.matrix_create, "XGDMatrixCreateFromMat");
  library.find(api.matrix_set_floats, "XGDMatrixSetFloatInfo");
  library.find(api.matrix_free, "XGDMatrixFree");
  library.find(api.booster_create, "XGBoosterCreate");
  library.find(api.booster_free, "XGBoosterFree");
  library.find(api.booster_set_parameter, "XGBoosterSetParam");
  library.find(api.booster_update, "XGBoosterUpdateOneIter");
  library.find(api.booster_save, "XGBoosterSaveModelToBuffer");
  library.find(api.booster_load, "XGBoosterLoadModelFromBuffer");
  library.find(api.booster_predict, "XGBoosterPredict");
  library.find(api.booster_predict_in_place, "XGBoosterPredictFromDense");
  TRY(library.complete("; expected version 1.6 or later"));
  return api;
}

}  // namespace

Result<const XgboostApi*> xgboost_api() {
  static const Result<XgboostApi> api = load();
  if (!api) return fail(api.error());
  return &*api;
}

}  // namespace nacelle::trainer
