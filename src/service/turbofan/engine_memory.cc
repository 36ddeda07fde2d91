#include "service/turbofan/engine_memory.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "codec/digest/digest.h"

namespace nacelle::turbofan {

std::uint64_t message_hash(std::string_view correlation_id) {
  const Bytes hash = digest::sha256(correlation_id);
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<unsigned char>(hash[i]);
  return number;
}

Result<SeenReading> read_reading(const json::Value& record, const ReadingForm& form) {
  if (!record.is_object())
    return fail(Fault::invalid_input, fmt::format("record: expected an object, found {}", json::type_name(record)));
  constexpr double most = 1e9;
  SeenReading reading;
  const json::Value* told = form.cycle_in(record);
  if (!told) return fail(Fault::invalid_input, fmt::format("record: expected a member {}, found none", form.time));
  if (!told->is_number())
    return fail(Fault::invalid_input, fmt::format("record: {}: expected a number, found {}", form.time, json::type_name(*told)));
  const double cycle = told == record.find(form.time) ? form.counted.cycle_of(told->as_number()) : told->as_number();
  if (!(cycle >= 1 && cycle <= most) || cycle != std::floor(cycle))
    return fail(Fault::invalid_input,
                fmt::format("record: {}: expected a whole number from 1 to 10^9, found {}", form.time, told->as_number()));
  reading.cycle = static_cast<std::int64_t>(cycle);
  reading.values.assign(form.channels.size(), std::numeric_limits<double>::quiet_NaN());
  bool any = false;
  for (std::size_t i = 0; i < form.channels.size(); ++i) {
    const json::Value* value = record.find(form.channels[i]);
    if (!value || value->is_null()) continue;
    if (!value->is_number())
      return fail(Fault::invalid_input,
                  fmt::format("record: {}: expected a number, found {}", form.channels[i], json::type_name(*value)));
    reading.values[i] = value->as_number();
    any = true;
  }
  if (!any) return fail(Fault::invalid_input, "record: no setting and no sensor has a value");
  return reading;
}

Result<> EngineMemory::use(std::shared_ptr<const model::Estimator> model) {
  std::vector<std::size_t> mapping;
  for (const std::string& name : model->pipeline().input_names()) {
    const auto at = std::find(form_.channels.begin(), form_.channels.end(), name);
    if (at == form_.channels.end())
      return fail(Fault::invalid_input,
                  fmt::format("model {}: its input '{}' is not in a reading; is the fleet's schema given as FLEET_SCHEMA?",
                              model->name(), name));
    mapping.push_back(static_cast<std::size_t>(at - form_.channels.begin()));
  }
  const bool same_pipeline = model_ && model_->pipeline().hash() == model->pipeline().hash();
  model_ = std::move(model);
  channel_of_input_ = std::move(mapping);
  return same_pipeline ? Result<>() : rebuild();
}

Result<> EngineMemory::rebuild() {
  for (auto& [name, engine] : engines_) {
    engine.state = {};
    for (const SeenReading& reading : engine.readings) TRY(advance(engine.state, reading));
  }
  return {};
}

Result<double> EngineMemory::advance(feature::EngineState& state, const SeenReading& seen) const {
  feature::Reading reading;
  reading.cycle = seen.cycle;
  reading.values.reserve(channel_of_input_.size());
  for (const std::size_t channel : channel_of_input_) reading.values.push_back(seen.values[channel]);
  return model_->step(state, reading);
}

Result<EngineMemory::Answer> EngineMemory::step(const std::string& name, SeenReading reading) {
  INVARIANT(model_, "readings wait until there is a model");
  const bool known = engines_.contains(name);
  if (!known && engines_.size() >= engines_kept) forget_one();
  Engine& engine = engines_[name];
  engine.used = ++steps_;
  const bool new_run = reading.cycle == 1 && !engine.readings.empty() && engine.first_message != reading.message;
  if (new_run) {
    engine.state = {};
    engine.readings.clear();
  }
  if (!engine.readings.empty() && reading.cycle <= engine.readings.back().cycle) {
    const auto same = std::find_if(engine.readings.rbegin(), engine.readings.rend(),
                                   [&](const SeenReading& seen) { return seen.cycle == reading.cycle; });
    // A reading older than all that is remembered gets the newest answer: the state has gone on.
    const SeenReading& answered = same == engine.readings.rend() ? engine.readings.back() : *same;
    return Answer{answered.prediction, false, answered};
  }
  auto prediction = advance(engine.state, reading);
  if (!prediction) {
    if (engine.readings.empty()) engines_.erase(name);
    return fail(std::move(prediction).error());
  }
  if (engine.readings.empty()) engine.first_message = reading.message;
  reading.prediction = *prediction;
  engine.readings.push_back(reading);
  if (engine.readings.size() > readings_kept) engine.readings.pop_front();
  return Answer{reading.prediction, true, reading};
}

void EngineMemory::forget_one() {
  const auto oldest = std::min_element(engines_.begin(), engines_.end(),
                                       [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  engines_.erase(oldest);
}

}  // namespace nacelle::turbofan
