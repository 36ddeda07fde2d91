#include "ml/feature/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "ml/feature/detail/tables.h"

namespace nacelle::feature {

namespace {

/// rate^times by squaring: the same bits everywhere, which std::pow does not promise.
double power(double rate, std::int64_t times) {
  double result = 1;
  for (double square = rate; times > 0; times >>= 1, square *= square)
    if (times & 1) result *= square;
  return result;
}

constexpr std::size_t max_fit_terms = max_features + max_fit_curved * (max_fit_curved + 1) / 2;

void take_in(const Pipeline::Tables& tables, std::int64_t cycle, std::span<const double> values, EngineState::Data& state);
std::int64_t begin_count(EngineState::Data& state, std::int64_t cycle);
void write_row(const Pipeline::Tables& tables, const EngineState::Data& state, float* row);

}  // namespace

void write_fit_terms(const Pipeline::Tables& tables, const Fits& fits, const float* row, double* terms) {
  for (std::size_t f = 0; f < tables.fit_inputs; ++f)
    terms[f] = std::clamp((static_cast<double>(row[f]) - fits.centre[f]) * fits.scale[f], -max_fit_z, max_fit_z);
  double* product = terms + tables.fit_inputs;
  for (std::size_t a = 0; a < tables.fit_curved.size(); ++a)
    for (std::size_t b = a; b < tables.fit_curved.size(); ++b)
      *product++ = terms[tables.fit_curved[a]] * terms[tables.fit_curved[b]];
}

std::size_t Pipeline::Tables::regime_of(const double* settings) const {
  std::size_t nearest = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t r = 0; r < regimes; ++r) {
    double distance = 0;
    for (std::size_t s = 0; s < recipe.settings.size(); ++s) {
      const double apart = (settings[s] - set_points[r * recipe.settings.size() + s]) / recipe.settings[s].tolerance;
      distance += apart * apart;
    }
    if (distance < least) least = distance, nearest = r;
  }
  return nearest;
}

EngineState::Data::Data(const Pipeline::Tables& tables)
    : pipeline_id(tables.id),
      cycles(tables.capacity),
      values(tables.capacity * tables.channels),
      held_settings(tables.set_points.begin(), tables.set_points.begin() + static_cast<std::ptrdiff_t>(tables.settings())),
      held_z(tables.kept.size()),
      last_value(tables.longest_run.size()),
      run(tables.longest_run.size()),
      ewma_sum(tables.recipe.ewma_rates.size() * tables.channels),
      ewma_weight(tables.recipe.ewma_rates.size()) {}

Result<bool> Pipeline::step(EngineState& state, const Reading& reading, std::span<float> row) const {
  return step(state, reading.cycle, reading.values, row);
}

Result<bool> Pipeline::step(EngineState& state, std::int64_t cycle, std::span<const double> values, std::span<float> row) const {
  const Tables& tables = *tables_;
  INVARIANT(row.size() >= tables.feature_names.size(), "the caller's row holds all features");
  if (values.size() != tables.input_names.size())
    return fail(Fault::invalid_input,
                fmt::format("reading: expected {} values, found {}", tables.input_names.size(), values.size()));
  if (state.data_ && state.data_->pipeline_id != tables.id)
    return fail(Fault::conflict, "the engine's state was made by another feature pipeline");
  const bool told = cycle != 0 || needs_cycle();
  if (!told) cycle = state.last_cycle() + 1;
  if (cycle < 1 || cycle > max_cycle)
    return fail(Fault::invalid_input, fmt::format("reading: expected a cycle from 1 to {}, found {}", max_cycle, cycle));
  if (!state.data_) {
    state.data_ = std::make_unique<EngineState::Data>(tables);
    state.data_->counted = told;
  }
  if (told && !state.data_->counted) cycle = begin_count(*state.data_, cycle);
  const bool fresh = cycle > state.data_->last_cycle;
  if (fresh) take_in(tables, cycle, values, *state.data_);
  write_row(tables, *state.data_, row.data());
  return fresh;
}

namespace {

/// True if the sensor has told this very value more often in a row than any did in training.
bool is_stuck(const Pipeline::Tables& tables, std::size_t k, double value, EngineState::Data& state) {
  if (tables.coupling.empty()) return false;
  constexpr double many = 1e9;
  state.run[k] = state.run[k] > 0 && value == state.last_value[k] ? std::min(state.run[k] + 1, many) : 1;
  state.last_value[k] = value;
  return state.run[k] > tables.longest_run[k];
}

/// z-scores of silent sensors as the others tell them: the conditional mean of a normal distribution, by Gauss-Seidel sweeps if
/// several are silent.
void estimate(const Pipeline::Tables& tables, std::span<const std::size_t> silent, std::vector<double>& z) {
  constexpr int sweeps = 4;
  for (const std::size_t k : silent) z[k] = 0;
  for (int sweep = 0; sweep < (silent.size() > 1 ? sweeps : 1); ++sweep)
    for (const std::size_t k : silent) {
      const double* weights = &tables.coupling[k * z.size()];
      double sum = 0;
      for (std::size_t j = 0; j < z.size(); ++j) sum += weights[j] * z[j];
      z[k] = std::clamp(sum, -max_z, max_z);
    }
}

/// The first reading that tells its cycle: those before it were the cycles just before. A count lower than what was seen already
/// has begun again somewhere and tells nothing: the engine's count stays unknown. The cycle under which the reading is to be taken
/// in.
std::int64_t begin_count(EngineState::Data& state, std::int64_t cycle) {
  const std::int64_t next = state.last_cycle + 1;
  if (cycle < next) return next;
  for (std::int64_t& seen : state.cycles) seen += cycle - next;
  state.first_cycle += cycle - next;
  state.last_cycle = cycle - 1;
  state.counted = true;
  return cycle;
}

void take_in(const Pipeline::Tables& tables, std::int64_t cycle, std::span<const double> values, EngineState::Data& state) {
  if (tables.recipe.identity) return take_in_identity(tables, cycle, values, state);
  const std::size_t settings = tables.settings();
  for (std::size_t s = 0; s < settings; ++s)
    if (std::isfinite(values[s])) state.held_settings[s] = values[s];
  const std::size_t regime = tables.regime_of(state.held_settings.data());

  const std::size_t kept = tables.kept.size();
  std::array<std::size_t, max_kept> silent;
  std::size_t silent_count = 0;
  for (std::size_t k = 0; k < kept; ++k) {
    const double value = values[settings + tables.kept[k]];
    if (!std::isfinite(value) || is_stuck(tables, k, value, state)) {
      silent[silent_count++] = k;
      continue;
    }
    const double scale = tables.inverse_spread[regime * kept + k];
    state.held_z[k] = scale == 0 ? 0 : std::clamp((value - tables.mean[regime * kept + k]) * scale, -max_z, max_z);
  }

  if (silent_count > 0 && silent_count < kept && !tables.coupling.empty())
    estimate(tables, std::span(silent).first(silent_count), state.held_z);

  const std::size_t capacity = tables.capacity;
  if (state.count == capacity) {
    state.first = static_cast<std::uint32_t>((state.first + 1) % capacity);
    --state.count;
  }
  const std::size_t slot = (state.first + state.count) % capacity;
  ++state.count;
  state.cycles[slot] = cycle;
  float* channel = &state.values[slot * tables.channels];
  for (std::size_t c = 0; c < tables.channels; ++c) {
    double sum = 0;
    for (std::size_t k = 0; k < kept; ++k) sum += tables.fusion[c * kept + k] * state.held_z[k];
    channel[c] = static_cast<float>(sum);
  }

  // Start-corrected: the weights given so far sum to ewma_weight. Skipped cycles let the past fade as if they had been.
  const std::int64_t gap = state.last_cycle == 0 ? 1 : cycle - state.last_cycle;
  for (std::size_t r = 0; r < tables.recipe.ewma_rates.size(); ++r) {
    const double rate = tables.recipe.ewma_rates[r];
    const double fade = power(1 - rate, gap);
    state.ewma_weight[r] = fade * state.ewma_weight[r] + rate;
    double* sums = &state.ewma_sum[r * tables.channels];
    for (std::size_t c = 0; c < tables.channels; ++c) sums[c] = fade * sums[c] + rate * static_cast<double>(channel[c]);
  }
  if (state.last_cycle == 0) state.first_cycle = cycle;
  state.last_cycle = cycle;
}

/// Sums over the rows of a trailing window, of each channel's difference to its newest value (so that the spread of a far-off
/// level is not lost to rounding) and of time, which counts back from the newest cycle.
struct Sums {
  double n = 0, t = 0, tt = 0;
  std::array<double, max_channels> d{}, td{}, dd{};
};

void write_window(const Window& window, const Sums& sums, const float* newest, std::size_t channels, std::size_t block,
                  float* row) {
  const double determinant = sums.n * sums.tt - sums.t * sums.t;
  for (std::size_t c = 0; c < channels; ++c) {
    float* features = row + c * block;
    const double mean = sums.d[c] / sums.n;
    if (window.mean_at >= 0) features[window.mean_at] = static_cast<float>(static_cast<double>(newest[c]) + mean);
    if (window.slope_at >= 0)
      features[window.slope_at] =
          determinant > 0 ? static_cast<float>((sums.n * sums.td[c] - sums.t * sums.d[c]) / determinant) : 0.0f;
    if (window.spread_at >= 0)
      features[window.spread_at] = static_cast<float>(std::sqrt(std::max(0.0, sums.dd[c] / sums.n - mean * mean)));
  }
}

/// Means of consecutive stretches of each channel, newest first, [channels][steps]. A stretch without a reading repeats the one
/// after it: before its history an engine was as it is first known.
void write_sequence(const Pipeline::Tables& tables, const EngineState::Data& state, float* out) {
  const std::size_t steps = tables.recipe.sequence_steps;
  const auto stride = static_cast<std::int64_t>(tables.recipe.sequence_stride);
  std::size_t back = 1;
  for (std::size_t step = 0; step < steps; ++step) {
    const std::int64_t end = static_cast<std::int64_t>(step + 1) * stride;
    std::array<double, max_channels> sum{};
    std::size_t heard = 0;
    for (; back <= state.count; ++back, ++heard) {
      const std::size_t slot = (state.first + state.count - back) % tables.capacity;
      if (state.last_cycle - state.cycles[slot] >= end) break;
      for (std::size_t c = 0; c < tables.channels; ++c) sum[c] += static_cast<double>(state.values[slot * tables.channels + c]);
    }
    for (std::size_t c = 0; c < tables.channels; ++c)
      out[c * steps + step] = heard > 0 ? static_cast<float>(sum[c] / static_cast<double>(heard)) : out[c * steps + step - 1];
  }
}

/// The fits of the features that stand before them in the row.
void write_fits(const Pipeline::Tables& tables, Joined joined, float* row) {
  const Fits& fits = joined == Joined::count_unknown ? tables.fits.back() : tables.fits.front();
  std::array<double, max_fit_terms> terms;
  write_fit_terms(tables, fits, row, terms.data());
  const std::size_t count = tables.fit_terms();
  for (std::size_t fit = 0; fit < fits.base.size(); ++fit) {
    const double* weight = &fits.weight[fit * count];
    // Four sums side by side, whose order is fixed: one would wait for itself.
    std::array<double, 4> sums{fits.base[fit], 0, 0, 0};
    for (std::size_t t = 0; t < count; ++t) sums[t % 4] += weight[t] * terms[t];
    row[tables.fit_inputs + fit] = static_cast<float>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
}

void write_row(const Pipeline::Tables& tables, const EngineState::Data& state, float* row) {
  if (tables.recipe.identity) {
    for (const double value : state.held_z) *row++ = static_cast<float>(value);
    return;
  }
  const std::size_t channels = tables.channels;
  const std::size_t capacity = tables.capacity;
  const float* newest = &state.values[(state.first + state.count - 1) % capacity * channels];
  Sums sums;
  auto window = tables.windows.begin();
  for (std::size_t back = 1; back <= state.count && window != tables.windows.end(); ++back) {
    const std::size_t slot = (state.first + state.count - back) % capacity;
    const std::int64_t age = state.last_cycle - state.cycles[slot];
    while (window != tables.windows.end() && age >= static_cast<std::int64_t>(window->cycles))
      write_window(*window++, sums, newest, channels, tables.block, row);
    const auto t = -static_cast<double>(age);
    sums.n += 1;
    sums.t += t;
    sums.tt += t * t;
    const float* values = &state.values[slot * channels];
    for (std::size_t c = 0; c < channels; ++c) {
      const double d = static_cast<double>(values[c]) - static_cast<double>(newest[c]);
      sums.d[c] += d;
      sums.td[c] += t * d;
      sums.dd[c] += d * d;
    }
  }
  for (; window != tables.windows.end(); ++window) write_window(*window, sums, newest, channels, tables.block, row);

  const std::size_t rates = tables.recipe.ewma_rates.size();
  for (std::size_t c = 0; c < channels; ++c) {
    float* tail = row + (c + 1) * tables.block - rates - 1;
    for (std::size_t r = 0; r < rates; ++r) *tail++ = static_cast<float>(state.ewma_sum[r * channels + c] / state.ewma_weight[r]);
    *tail = newest[c];
  }
  write_sequence(tables, state, row + channels * tables.block);
  float* tail = row + channels * (tables.block + tables.recipe.sequence_steps);
  if (tables.recipe.cycle_count) *tail++ = static_cast<float>(state.last_cycle);
  if (tables.recipe.history_length) *tail++ = static_cast<float>(state.last_cycle - state.first_cycle + 1);
  const Joined joined = !state.counted ? Joined::count_unknown : state.first_cycle > 1 ? Joined::late : Joined::new_engine;
  if (tables.recipe.joined) *tail++ = static_cast<float>(joined);
  if (!tables.fits.empty()) write_fits(tables, joined, row);
}

}  // namespace

Pipeline::Pipeline(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}
const std::string& Pipeline::hash() const { return tables_->hash; }
const Recipe& Pipeline::recipe() const { return tables_->recipe; }
const std::vector<std::string>& Pipeline::input_names() const { return tables_->input_names; }
const std::vector<std::string>& Pipeline::feature_names() const { return tables_->feature_names; }
std::size_t Pipeline::feature_count() const { return tables_->feature_names.size(); }
bool Pipeline::needs_cycle() const { return tables_->recipe.cycle_count && !tables_->recipe.joined; }
json::Value Pipeline::to_json() const { return tables_->to_json(); }

Reading make_reading(const Pipeline& pipeline, std::int64_t cycle, const std::function<double(std::string_view name)>& value_of) {
  Reading reading{.cycle = cycle, .values = {}};
  reading.values.reserve(pipeline.input_names().size());
  for (const std::string& name : pipeline.input_names()) reading.values.push_back(value_of(name));
  return reading;
}

Result<Reading> reading_from_json(const Pipeline& pipeline, const json::Value& body) {
  if (!body.is_object())
    return fail(Fault::invalid_input, fmt::format("reading: expected an object, found {}", json::type_name(body)));
  Reading reading;
  const json::Value* cycle = body.find("CycleTime");
  if (cycle && cycle->is_number()) {
    const double number = cycle->as_number();
    if (!(number >= 1 && number <= static_cast<double>(max_cycle)) || number != std::floor(number))
      return fail(Fault::invalid_input,
                  fmt::format("reading: CycleTime: expected a whole number from 1 to {}, found {}", max_cycle, number));
    reading.cycle = static_cast<std::int64_t>(number);
  } else if (cycle && !cycle->is_null()) {
    return fail(Fault::invalid_input, fmt::format("reading: CycleTime: expected a number, found {}", json::type_name(*cycle)));
  } else if (pipeline.needs_cycle()) {
    return fail(Fault::invalid_input, "reading: expected a member CycleTime, found none");
  }
  std::size_t heard = 0;
  for (const std::string& name : pipeline.input_names()) {
    const json::Value* value = body.find(name);
    if (!value || value->is_null()) {
      reading.values.push_back(std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    if (!value->is_number())
      return fail(Fault::invalid_input, fmt::format("reading: {}: expected a number, found {}", name, json::type_name(*value)));
    reading.values.push_back(value->as_number());
    ++heard;
  }
  if (heard == 0)
    return fail(Fault::invalid_input, fmt::format("reading: expected members {} to {}, found none of them",
                                                  pipeline.input_names().front(), pipeline.input_names().back()));
  return reading;
}

}  // namespace nacelle::feature
