#include "ml/trainer/detail/svm_api.h"

#include "ml/trainer/detail/shared_library.h"

namespace nacelle::trainer {

namespace {

Result<SvmApi> load() {
  TRY_LET(SharedLibrary library, SharedLibrary::open({"libsvm.so.3"}, "libsvm", "libsvm3"));
  SvmApi api;
  decltype(&svm_set_print_string_function) set_print = nullptr;
  library.find(api.train, "svm_train");
  library.find(api.predict, "svm_predict");
  library.find(api.check_parameter, "svm_check_parameter");
  library.find(api.free_model, "svm_free_and_destroy_model");
  library.find(set_print, "svm_set_print_string_function");
  TRY(library.complete());
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
