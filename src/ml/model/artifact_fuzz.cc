// Whatever bytes are given as a model or as an engine's state, reading them ends with a fault or with something that can be used.

#include <array>
#include <cstdint>

#include "ml/model/artifact.h"
#include "ml/model/import.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacelle;
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  (void)model::decode_artifact(bytes);
  for (const char* kind : {"trees", "linear", "network", "kernel", "trajectories", "log-life", "blend"}) {
    const auto regressor = model::decode(kind, bytes);
    if (!regressor || model::feature_count(*regressor) > feature::max_features) continue;
    const std::array<float, feature::max_features> row{};
    (void)model::predict(*regressor, row);
  }
  (void)model::import_model(bytes, {.columns = {"a", "b"}});
  const auto document = json::parse(bytes);
  if (!document) return 0;
  const auto pipeline = feature::Pipeline::from_json(*document);
  if (!pipeline) return 0;
  feature::EngineState state;
  std::array<float, feature::max_features> row;
  (void)pipeline->step(state, 1, std::vector<double>(pipeline->input_names().size(), 1.0), row);
  (void)feature::EngineState::parse(state.serialise(*pipeline), *pipeline);
  return 0;
}
