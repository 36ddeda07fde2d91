// Whatever parses prints, and what is printed parses to the same value; a view sees what parse() sees.
#include <cstdlib>

#include "codec/json/value.h"
#include "codec/json/view.h"

namespace {

using nacelle::json::Place;

bool same(const Place& place, const nacelle::json::Value& value) {
  switch (place.kind) {
    case Place::Kind::absent: return false;
    case Place::Kind::null: return value.is_null();
    case Place::Kind::boolean: return value.is_bool() && value.as_bool() == place.boolean;
    case Place::Kind::number: return value.is_number() && value.as_number() == place.number;
    case Place::Kind::string: return value.is_string() && value.as_string() == place.text;
    case Place::Kind::array: return value.is_array();
    case Place::Kind::object: return value.is_object();
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace nacelle;
  json::View view;
  const bool viewed = view.read({reinterpret_cast<const char*>(data), size});
  if (viewed) {
    const auto parsed = json::parse({reinterpret_cast<const char*>(data), size});
    if (!parsed) std::abort();  // a view reads nothing that parse() does not
    for (const auto& [key, member] : parsed->as_object())
      if (!same(view.at(std::vector<json::PathStep>{{key, {}}}), member)) std::abort();
  }
  const auto value = json::parse({reinterpret_cast<const char*>(data), size}, {.max_bytes = 1u << 20, .max_depth = 32});
  if (!value) return 0;
  for (const std::string& text : {json::print(*value), json::print_pretty(*value)}) {
    const auto again = json::parse(text);
    if (!again || !(*again == *value)) std::abort();
  }
  json::Value target = *value;
  json::merge_patch(target, *value);
  return 0;
}
