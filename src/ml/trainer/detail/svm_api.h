#pragma once
// libsvm's C API, loaded when first needed, as XGBoost's is: edge, hub and scorer do without. Private to ml/trainer.

#include <libsvm/svm.h>

#include "foundation/result.h"

namespace nacelle::trainer {

struct SvmApi {
  decltype(&svm_train) train = nullptr;
  decltype(&svm_predict) predict = nullptr;
  decltype(&svm_check_parameter) check_parameter = nullptr;
  decltype(&svm_free_and_destroy_model) free_model = nullptr;
};

/// Fault::unavailable if the library is not installed. Any thread.
Result<const SvmApi*> svm_api();

}  // namespace nacelle::trainer
