#pragma once
// The deployment of the demo's edge: the tutorial's three modules and six routes (T-40 to T-44).

#include <filesystem>
#include <string>

#include "codec/json/value.h"

namespace nacelle::app::demo {

inline constexpr const char* classifier_module = "turbofanRulClassifier";
inline constexpr const char* router_module = "turbofanRouter";
inline constexpr const char* writer_module = "avroFileWriter";

/// `avro_folder`: where the writer keeps its files until they are uploaded. Slices are seconds long here, not minutes, so
/// that a demo sees them come and go.
json::Value turbofan_manifest(const std::filesystem::path& avro_folder);

}  // namespace nacelle::app::demo
