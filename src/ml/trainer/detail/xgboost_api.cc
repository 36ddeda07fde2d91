#include "ml/trainer/detail/xgboost_api.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

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
  void* library = ::dlopen("libxgboost.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = ::dlopen("libxgboost.so", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(Fault::unavailable, fmt::format("the XGBoost library could not be loaded ({}); install libxgboost0", ::dlerror()));
  std::string missing;
  const auto find = [&]<class Function>(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (!function) missing = name;
  };
  XgboostApi api;
  find(api.last_error, "XGBGetLastError");
  find(api.matrix_create, "XGDMatrixCreateFromMat");
  find(api.matrix_set_floats, "XGDMatrixSetFloatInfo");
  find(api.matrix_free, "XGDMatrixFree");
  find(api.booster_create, "XGBoosterCreate");
  find(api.booster_free, "XGBoosterFree");
  find(api.booster_set_parameter, "XGBoosterSetParam");
  find(api.booster_update, "XGBoosterUpdateOneIter");
  find(api.booster_save, "XGBoosterSaveModelToBuffer");
  find(api.booster_load, "XGBoosterLoadModelFromBuffer");
  find(api.booster_predict, "XGBoosterPredict");
  find(api.booster_predict_in_place, "XGBoosterPredictFromDense");
  if (!missing.empty())
    return fail(Fault::unavailable, fmt::format("the XGBoost library has no function {}; expected version 1.6 or later", missing));
  return api;
}

}  // namespace

Result<const XgboostApi*> xgboost_api() {
  static const Result<XgboostApi> api = load();  // for the life of the process: OpenMP's threads outlive any unloading
  if (!api) return fail(api.error());
  return &*api;
}

}  // namespace nacelle::trainer
