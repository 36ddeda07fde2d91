#pragma once
// UBJSON (draft 12, big-endian), the binary form of JSON that XGBoost saves models in, read as a json::Value.
// Source: https://ubjson.org

#include <string_view>

#include "codec/json/value.h"

namespace nacelle::json {

/// One document and nothing after it. Single-precision numbers become the double that equals them. Fault::invalid_input names the
/// byte and what was wrong; beyond a limit Fault::exhausted. Counts from the document are not trusted: what they promise must be
/// there. High-precision numbers (H) and the no-op (N) within typed containers are refused: nobody writes them.
Result<Value> parse_ubj(std::string_view bytes, const ParseLimits& limits = {});

}  // namespace nacelle::json
