#include "ml/trainer/detail/shared_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace nacelle::trainer {

Result<SharedLibrary> SharedLibrary::open(std::initializer_list<const char*> files, std::string called, std::string_view package) {
  std::string why;
  for (const char* file : files) {
    if (void* handle = ::dlopen(file, RTLD_NOW | RTLD_LOCAL)) return SharedLibrary(handle, std::move(called));
    if (why.empty()) why = ::dlerror();
  }
  return fail(Fault::unavailable, fmt::format("the {} library could not be loaded ({}); install {}", called, why, package));
}

void* SharedLibrary::address_of(const char* name) {
  void* address = ::dlsym(handle_, name);
  if (!address) missing_ = name;
  return address;
}

Result<> SharedLibrary::complete(std::string_view expected) const {
  if (missing_.empty()) return {};
  return fail(Fault::unavailable, fmt::format("the {} library has no function {}{}", called_, missing_, expected));
}

}  // namespace nacelle::trainer
