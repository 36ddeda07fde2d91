#include "ml/trainer/detail/network_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <numbers>
#include <numeric>

#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/boosting.h"
#include "ml/trainer/detail/rows.h"
#include "ml/trainer/detail/tasks.h"

namespace nacelle::trainer {

namespace {

using FloatMatrix = Net<float>::Matrix;
using FloatVector = Net<float>::Vector;
using Eigen::Index;

/// So many held-out rows say enough.
constexpr std::size_t max_judged_rows = 4000;
constexpr Index judged_batch = 256;

/// Eigen cuts products into blocks by the sizes of the machine's caches, and blocks order the sums: fixed, so that models do not
/// depend on the machine's.
void fix_blocks() {
  static const bool done = [] {
    Eigen::setCpuCacheSizes(32 << 10, 256 << 10, 2 << 20);
    return true;
  }();
  (void)done;
}

struct Data {
  FloatMatrix inputs;             ///< a column is a row of the set, standardised
  FloatMatrix target;             ///< [1, rows], standardised
  float lowest = 0, highest = 0;  ///< of a prediction: 0 and the cap, standardised
};

/// Source: Kingma, Ba, "Adam", ICLR 2015; decay apart from the gradient: Loshchilov, Hutter, ICLR 2019.
class Adam {
 public:
  void step(FloatVector& parameters, const FloatVector& gradient, float rate, float decay) {
    if (first_.size() == 0) first_ = second_ = FloatVector::Zero(parameters.size());
    constexpr float keep_first = 0.9f, keep_second = 0.999f;
    first_ = keep_first * first_ + (1 - keep_first) * gradient;
    second_ = keep_second * second_ + (1 - keep_second) * gradient.cwiseAbs2();
    power_first_ *= keep_first, power_second_ *= keep_second;
    const float corrected = rate * std::sqrt(1 - power_second_) / (1 - power_first_);
    parameters.array() -= corrected * first_.array() / (second_.array().sqrt() + 1e-7f) + rate * decay * parameters.array();
  }

 private:
  FloatVector first_, second_;
  float power_first_ = 1, power_second_ = 1;
};

/// One net's learning.
class Learner {
 public:
  Learner(const TrainingSet& set, const Data& data, const NetworkFit& how, std::uint64_t seed)
      : data_(data),
        how_(how),
        random_(seed),
        net_(static_cast<Index>(how.steps), static_cast<Index>(how.channels),
             static_cast<Index>(how.columns.size() - how.steps * how.channels)) {
    how.build(net_);
    net_.initialise(random_);
    share_out(set);
  }

  std::vector<model::Layer> learn(Work& work) {
    FloatVector best = net_.parameters();
    double least = std::numeric_limits<double>::infinity();
    const std::size_t rows = std::clamp<std::size_t>(how_.epoch_rows, 1, learning_.size());
    const std::size_t batches = (rows + how_.batch - 1) / how_.batch;
    std::size_t since_best = 0;
    bool stopped = false;
    for (std::size_t epoch = 0; epoch < how_.epochs; ++epoch) {
      if (stopped) {  // its steps are counted, so that what is told of the work done is true
        work.step();
        continue;
      }
      draw(rows);
      for (std::size_t b = 0; b < batches; ++b) {
        const double done = static_cast<double>(epoch * batches + b) / static_cast<double>(how_.epochs * batches);
        learn_batch(b * how_.batch, std::min(rows, (b + 1) * how_.batch), 0.5 * (1 + std::cos(std::numbers::pi * done)));
      }
      if (!work.step()) break;
      if (judged_.empty()) continue;
      const double error = judge();
      stopped = ++since_best > how_.patience;
      if (error < least) best = net_.parameters(), least = error, since_best = 0;
    }
    return net_.layers_of(judged_.empty() ? net_.parameters() : best);
  }

 private:
  /// Rows of some engines are judged, those of the others learned from. Of one engine alone all are learned from.
  void share_out(const TrainingSet& set) {
    std::vector<std::uint32_t> engines = engines_in(set);
    random_.shuffle(engines);
    const auto wanted = static_cast<std::size_t>(std::llround(how_.held_out * static_cast<double>(engines.size())));
    engines.resize(engines.size() < 2 ? 0 : std::min(engines.size() - 1, how_.held_out > 0 ? std::max<std::size_t>(wanted, 1) : 0));
    std::sort(engines.begin(), engines.end());
    for (std::size_t row = 0; row < set.rows.rows; ++row) {
      const bool held = !set.engine.empty() && std::binary_search(engines.begin(), engines.end(), set.engine[row]);
      (held ? judged_ : learning_).push_back(static_cast<std::uint32_t>(row));
    }
    const std::size_t stride = judged_.size() / max_judged_rows + 1;
    std::vector<std::uint32_t> thinned;
    for (std::size_t i = 0; i < judged_.size(); i += stride) thinned.push_back(judged_[i]);
    judged_ = std::move(thinned);
  }

  /// The first `rows` of learning_ are drawn anew.
  void draw(std::size_t rows) {
    for (std::size_t i = 0; i < rows; ++i) std::swap(learning_[i], learning_[i + random_.below(learning_.size() - i)]);
  }

  void gather(const std::vector<std::uint32_t>& rows, std::size_t begin, std::size_t end) {
    inputs_.resize(data_.inputs.rows(), static_cast<Index>(end - begin));
    target_.resize(1, inputs_.cols());
    for (std::size_t i = begin; i < end; ++i) {
      inputs_.col(static_cast<Index>(i - begin)) = data_.inputs.col(rows[i]);
      target_(0, static_cast<Index>(i - begin)) = data_.target(0, rows[i]);
    }
  }

  void learn_batch(std::size_t begin, std::size_t end, double share) {
    gather(learning_, begin, end);
    const FloatMatrix by_output = (net_.forward(inputs_) - target_) * (2.0f / static_cast<float>(end - begin));
    net_.backward(inputs_, by_output);
    adam_.step(net_.parameters(), net_.gradient(), static_cast<float>(how_.rate * share), static_cast<float>(how_.decay));
  }

  double judge() {
    double squares = 0;
    for (std::size_t begin = 0; begin < judged_.size(); begin += judged_batch) {
      gather(judged_, begin, std::min(judged_.size(), begin + judged_batch));
      const FloatMatrix& out = net_.forward(inputs_);
      for (Index i = 0; i < out.cols(); ++i) {
        const float apart = std::clamp(out(0, i), data_.lowest, data_.highest) - target_(0, i);
        squares += static_cast<double>(apart) * static_cast<double>(apart);
      }
    }
    return squares;
  }

  const Data& data_;
  const NetworkFit& how_;
  dataset::Seeded random_;
  Net<float> net_;
  Adam adam_;
  std::vector<std::uint32_t> learning_, judged_;
  FloatMatrix inputs_, target_;
};

}  // namespace

std::vector<Parameter> network_parameters(std::int64_t nets, std::int64_t epochs, std::int64_t epoch_rows, double rate,
                                          double decay) {
  return {{.name = "nets",
           .standard = nets,
           .low = 1,
           .high = 32,
           .meaning = "nets that are averaged, each begun and stopped by itself"},
          {.name = "epochs",
           .standard = epochs,
           .low = 1,
           .high = 10'000,
           .meaning = "times that rows are drawn and learned from, at most"},
          {.name = "epoch_rows", .standard = epoch_rows, .low = 1, .high = 1e8, .meaning = "rows drawn in an epoch, at most"},
          {.name = "batch", .standard = 64, .low = 1, .high = 65'536, .meaning = "rows of a step"},
          {.name = "rate",
           .standard = rate,
           .low = 1e-8,
           .high = 1,
           .search_low = rate / 3,
           .search_high = rate * 3,
           .logarithmic = true,
           .meaning = "of learning (Adam), at the start; it falls along a cosine"},
          {.name = "decay",
           .standard = decay,
           .low = 0,
           .high = 10,
           .search_low = decay / 10,
           .search_high = decay * 10,
           .logarithmic = true,
           .meaning = "of weights, a step, in units of the rate"},
          {.name = "held_out", .standard = 0.15, .low = 0, .high = 0.9, .meaning = "part of the engines by which a net is stopped"},
          {.name = "patience",
           .standard = 8,
           .low = 1,
           .high = 10'000,
           .meaning = "epochs without a better one on those engines, after which it is stopped"}};
}

void read_network_parameters(const json::Value& merged, NetworkFit& fit) {
  fit.nets = count(merged, "nets");
  fit.epochs = count(merged, "epochs");
  fit.epoch_rows = count(merged, "epoch_rows");
  fit.batch = count(merged, "batch");
  fit.rate = number(merged, "rate");
  fit.decay = number(merged, "decay");
  fit.held_out = number(merged, "held_out");
  fit.patience = count(merged, "patience");
}

Result<model::Regressor> fit_network(const TrainingSet& set, const FitOptions& options, const NetworkFit& how,
                                     std::string_view trainer) {
  fix_blocks();
  Standard standard = standardise(set.rows, how.columns);
  const double mean = mean_of(set.target);
  double squares = 0;
  for (const float y : set.target)
    squares += (static_cast<double>(y) - mean) * (static_cast<double>(y) - mean) / static_cast<double>(set.rows.rows);
  const auto centre = static_cast<float>(mean);
  const auto spread = squares > 1e-12 ? static_cast<float>(std::sqrt(squares)) : 1.0f;
  Data data{.inputs = FloatMatrix(static_cast<Index>(how.columns.size()), static_cast<Index>(set.rows.rows)),
            .target = FloatMatrix(1, static_cast<Index>(set.rows.rows)),
            .lowest = -centre / spread,
            .highest = (static_cast<float>(set.cap) - centre) / spread};
  for (std::size_t r = 0; r < set.rows.rows; ++r) {
    for (std::size_t c = 0; c < how.columns.size(); ++c)
      data.inputs(static_cast<Index>(c), static_cast<Index>(r)) =
          (set.rows.row(r)[how.columns[c]] - standard.centre[c]) * standard.scale[c];
    data.target(0, static_cast<Index>(r)) = (set.target[r] - centre) / spread;
  }

  Work work(how.nets * how.epochs, options.progress);
  std::vector<std::vector<model::Layer>> members(how.nets);
  run_tasks(how.nets, options.threads, [&](std::size_t n) {
    if (!work.cancelled()) members[n] = Learner(set, data, how, options.seed * 0x9e3779b97f4a7c15 + n).learn(work);
  });
  if (work.cancelled()) return cancelled();
  for (const auto& layers : members)
    for (const model::Layer& layer : layers)
      for (const auto* values : {&layer.weight, &layer.bias})
        if (!std::all_of(values->begin(), values->end(), [](float w) { return std::isfinite(w); }))
          return fail(Fault::invalid_input, fmt::format("{}: the weights grew beyond all bounds; lower the rate", trainer));
  model::Network network{.row_features = static_cast<std::uint32_t>(set.rows.features),
                         .steps = static_cast<std::uint32_t>(how.steps),
                         .channels = static_cast<std::uint32_t>(how.channels),
                         .columns = how.columns,
                         .centre = std::move(standard.centre),
                         .scale = std::move(standard.scale),
                         .target_centre = centre,
                         .target_scale = spread,
                         .members = std::move(members)};
  if (const auto fits = network.check(); !fits)
    return fail(Fault::invalid_input, fmt::format("{}: {}", trainer, fits.error().message));
  return model::Regressor(std::move(network));
}

}  // namespace nacelle::trainer
