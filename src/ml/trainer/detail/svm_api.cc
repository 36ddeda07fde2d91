#include "ml/trainer/detail/svm_api.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace nacelle::trainer {

namespace {

Result<SvmApi> load() {
  void* library = ::dlopen("libsvm.so.3", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(Fault::unavailable, fmt::format("the libsvm library could not be loaded ({}); install libsvm3", ::dlerror()));
  std::string missing;
  const auto find = [&]<class Function>(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (!function) missing = name;
  };
  SvmApi api;
  decltype(&svm_set_print_string_function) set_print = nullptr;
  find(api.train, "svm_train");
  find(api.predict, "svm_predict");
  find(api.check_parameter, "svm_check_parameter");
  find(api.free_model, "svm_free_and_destroy_model");
  find(set_print, "svm_set_print_string_function");
  if (!missing.empty()) return fail(Fault::unavailable, fmt::format("the libsvm library has no function {}", missing));
  set_print([](const char*) {});  // it would tell its progress on standard output
  return api;
}

}  // namespace

Result<const SvmApi*> svm_api() {
  static const Result<SvmApi> api = load();
  if (!api) return fail(api.error());
  return &*api;
}

}  // namespace nacelle::trainer
