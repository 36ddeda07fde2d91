#pragma once
// How all neural trainers learn: Adam on mini-batches, each net stopped early on engines of its own that it does not learn from,
// and several nets averaged. Private to ml/trainer.

#include "ml/trainer/detail/net.h"
#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

struct NetworkFit {
  std::vector<std::uint16_t> columns;  ///< of the set's rows: steps x channels, then the values beside
  std::size_t steps = 0, channels = 0;
  std::function<void(Net<float>&)> build;  ///< adds the layers
  std::size_t nets = 3;
  std::size_t epochs = 30;
  std::size_t epoch_rows = 0;  ///< rows that an epoch takes, drawn anew each time
  std::size_t batch = 64;
  double rate = 0.003;       ///< of learning, at the start; it falls to nothing along a cosine
  double decay = 0;          ///< of weights
  double held_out = 0.15;    ///< part of the engines that a net is stopped by
  std::size_t patience = 8;  ///< epochs without a better one
};

/// The parameters that they share.
std::vector<Parameter> network_parameters(std::int64_t nets, std::int64_t epochs, std::int64_t epoch_rows, double rate,
                                          double decay);
/// Takes those in.
void read_network_parameters(const json::Value& merged, NetworkFit& fit);

/// Fault::conflict if cancelled; Fault::invalid_input if what was learned is no number.
Result<model::Regressor> fit_network(const TrainingSet& set, const FitOptions& options, const NetworkFit& how,
                                     std::string_view trainer);

}  // namespace nacelle::trainer
