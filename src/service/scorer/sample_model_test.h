#pragma once
// A small real model for this folder's tests: a learned pipeline and a linear regressor, as an artifact.

#include <memory>

#include "codec/json/value.h"
#include "ml/model/estimator.h"

namespace nacelle::scorer {

std::shared_ptr<const model::Estimator> sample_estimator();
/// The first `count` readings of an engine as telemetry bodies.
json::Array sample_records(std::size_t engine, std::size_t count);

}  // namespace nacelle::scorer
