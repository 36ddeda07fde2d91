#include "ml/model/estimator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <system_error>

#include "codec/digest/digest.h"
#include "ml/model/artifact.h"

namespace nacelle::model {

namespace {

constexpr ByteCount max_artifact_bytes = 256_MiB;

class ArtifactEstimator final : public Estimator {
 public:
  ArtifactEstimator(Artifact artifact, std::string content_hash)
      : artifact_(std::move(artifact)), content_hash_(std::move(content_hash)) {}

  const std::string& name() const override { return artifact_.name; }
  const std::string& content_hash() const override { return content_hash_; }
  const feature::Pipeline& pipeline() const override { return artifact_.pipeline; }
  const json::Value& provenance() const override { return artifact_.provenance; }

  Result<Cycles> step(feature::EngineState& state, const feature::Reading& reading) const override {
    std::array<float, feature::max_features> row;
    TRY(artifact_.pipeline.step(state, reading, row));
    return predict(row);
  }

  Cycles predict(std::span<const float> row) const override {
    const double raw = model::predict(artifact_.regressor, row);
    return std::isnan(raw) ? 0 : std::clamp(raw, 0.0, artifact_.cap);
  }

  Interval interval(Cycles predicted) const override {
    const ConformalBins& bins = artifact_.intervals;
    if (bins.low.empty()) return {0, artifact_.cap};
    const std::size_t bin = bins.bin_of(predicted);
    return {std::clamp(predicted + bins.low[bin], 0.0, artifact_.cap), std::clamp(predicted + bins.high[bin], 0.0, artifact_.cap)};
  }

  bool has_intervals() const override { return !artifact_.intervals.low.empty(); }

  Result<Explanation> explain(std::span<const float> row) const override {
    return model::explain(artifact_.regressor, row, artifact_.background);
  }

 private:
  Artifact artifact_;
  std::string content_hash_;
};

}  // namespace

Result<Explanation> Estimator::explain(std::span<const float>) const {
  return fail(Fault::unavailable, fmt::format("explanation: model '{}' does not tell what its predictions are made of", name()));
}

Result<std::shared_ptr<const Estimator>> Estimator::parse(std::string_view artifact_bytes) {
  TRY_LET(Artifact artifact, decode_artifact(artifact_bytes));
  return std::shared_ptr<const Estimator>(
      std::make_shared<ArtifactEstimator>(std::move(artifact), digest::sha256_hex(artifact_bytes)));
}

Result<std::shared_ptr<const Estimator>> Estimator::load(const std::filesystem::path& artifact) {
  std::error_code code;
  const auto path = std::filesystem::is_directory(artifact, code) ? artifact / artifact_file_name : artifact;
  const auto size = std::filesystem::file_size(path, code);
  if (code) return fail(Fault::not_found, fmt::format("model {}: {}", path.string(), code.message()));
  if (size > max_artifact_bytes) return fail(Fault::corrupt, fmt::format("model {}: {} bytes is no model", path.string(), size));
  std::ifstream in(path, std::ios::binary);
  Bytes bytes(size, '\0');
  if (!in.read(bytes.data(), static_cast<std::streamsize>(size)))
    return fail(Fault::unavailable, fmt::format("model {}: cannot be read", path.string()));
  return nacelle::in(parse(bytes), path.string());
}

}  // namespace nacelle::model
