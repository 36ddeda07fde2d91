#pragma once
// SharedLibrary: a training library, loaded when it is first asked for, so that programs that only predict need none. Private to
// ml/trainer.
//
//   TRY_LET(SharedLibrary library, SharedLibrary::open({"libsvm.so.3"}, "libsvm", "libsvm3"));
//   library.find(api.train, "svm_train");
//   TRY(library.complete());

#include <initializer_list>
#include <string>

#include "foundation/result.h"

namespace nacelle::trainer {

/// Stays loaded for the life of the process: threads of some outlive any unloading.
class SharedLibrary {
 public:
  /// The first of `files` that there is. Fault::unavailable says why there is none, and which Debian package brings it.
  static Result<SharedLibrary> open(std::initializer_list<const char*> files, std::string called, std::string_view package);

  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(address_of(name));
  }
  /// Fault::unavailable names a function that was not found; `expected` is said behind it.
  Result<> complete(std::string_view expected = {}) const;

 private:
  SharedLibrary(void* handle, std::string called) : handle_(handle), called_(std::move(called)) {}
  void* address_of(const char* name);

  void* handle_;
  std::string called_;
  std::string missing_;
};

}  // namespace nacelle::trainer
