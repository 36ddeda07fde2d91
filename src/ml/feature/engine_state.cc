#include <fmt/format.h>

#include <cmath>

#include "foundation/binary.h"
#include "ml/feature/detail/tables.h"

// docs/formats/engine-state.md describes the bytes.

namespace nacelle::feature {

EngineState::EngineState() = default;
EngineState::~EngineState() = default;
EngineState::EngineState(const EngineState& other) : data_(other.data_ ? std::make_unique<Data>(*other.data_) : nullptr) {}
EngineState::EngineState(EngineState&&) noexcept = default;
EngineState& EngineState::operator=(const EngineState& other) {
  if (this != &other) data_ = other.data_ ? std::make_unique<Data>(*other.data_) : nullptr;
  return *this;
}
EngineState& EngineState::operator=(EngineState&&) noexcept = default;

std::int64_t EngineState::last_cycle() const { return data_ ? data_->last_cycle : 0; }
bool EngineState::count_known() const { return !data_ || data_->counted; }

namespace {

using binary::put;
using binary::put_all;

constexpr std::string_view magic = "NES1";

/// Takes numbers that are finite; others, and too few, leave `in.good` false.
void take_all(binary::Reader& in, std::vector<double>& values, bool may_be_silent = false) {
  for (double& value : values) {
    value = in.take<double>();
    in.good = in.good && (std::isfinite(value) || (may_be_silent && std::isnan(value)));
  }
}

}  // namespace

Bytes EngineState::serialise(const Pipeline& pipeline) const {
  Bytes out(magic);
  put(out, data_ ? data_->pipeline_id : pipeline.tables_->id);
  put(out, last_cycle());
  put(out, data_ ? data_->count : std::uint32_t{0});
  if (data_) {
    put(out, data_->counted ? data_->first_cycle : 0);
    const std::size_t capacity = data_->cycles.size();
    const std::size_t channels = data_->values.size() / capacity;
    for (std::size_t i = 0; i < data_->count; ++i) {
      const std::size_t slot = (data_->first + i) % capacity;
      put(out, static_cast<std::uint32_t>(data_->last_cycle - data_->cycles[slot]));
      for (std::size_t c = 0; c < channels; ++c) put(out, data_->values[slot * channels + c]);
    }
    put_all(out, data_->held_settings);
    put_all(out, data_->held_z);
    put_all(out, data_->last_value);
    put_all(out, data_->run);
    put_all(out, data_->ewma_sum);
    put_all(out, data_->ewma_weight);
  }
  put(out, binary::fnv1a(out));
  return out;
}

Result<EngineState> EngineState::parse(BytesView bytes, const Pipeline& pipeline) {
  const auto corrupt = [](std::string_view what) { return fail(Fault::corrupt, fmt::format("engine state: {}", what)); };
  const Pipeline::Tables& tables = *pipeline.tables_;
  if (!bytes.starts_with(magic)) return corrupt("expected bytes that begin with NES1");
  if (bytes.size() < magic.size() + sizeof(std::uint64_t)) return corrupt("it is cut off");
  binary::Reader tail{bytes.substr(bytes.size() - sizeof(std::uint64_t))};
  const BytesView checked = bytes.substr(0, bytes.size() - sizeof(std::uint64_t));
  if (tail.take<std::uint64_t>() != binary::fnv1a(checked)) return corrupt("the checksum does not match");

  binary::Reader in{checked.substr(magic.size())};
  const auto id = in.take<std::uint64_t>();
  if (in.good && id != tables.id) return fail(Fault::conflict, "engine state: it was made by another feature pipeline");
  EngineState state;
  const auto last_cycle = in.take<std::int64_t>();
  const auto count = in.take<std::uint32_t>();
  if (in.good && last_cycle == 0 && count == 0 && in.rest.empty()) return state;
  if (!in.good || last_cycle < 1 || last_cycle > max_cycle || count < 1 || count > tables.capacity)
    return corrupt("a count is out of range");

  state.data_ = std::make_unique<Data>(tables);
  Data& data = *state.data_;
  data.first_cycle = in.take<std::int64_t>();
  data.counted = data.first_cycle != 0;
  if (!data.counted) data.first_cycle = 1;
  data.last_cycle = last_cycle;
  data.count = count;
  std::int64_t before = 0;
  for (std::size_t i = 0; i < count && in.good; ++i) {
    data.cycles[i] = last_cycle - static_cast<std::int64_t>(in.take<std::uint32_t>());
    for (std::size_t c = 0; c < tables.channels; ++c) {
      data.values[i * tables.channels + c] = in.take<float>();
      in.good = in.good && std::isfinite(data.values[i * tables.channels + c]);
    }
    in.good = in.good && data.cycles[i] > before;
    before = data.cycles[i];
  }
  take_all(in, data.held_settings);
  take_all(in, data.held_z, tables.recipe.identity);
  take_all(in, data.last_value);
  take_all(in, data.run);
  take_all(in, data.ewma_sum);
  take_all(in, data.ewma_weight);
  if (!in.good || !in.rest.empty() || before != last_cycle || data.first_cycle < 1 || data.first_cycle > data.cycles[0])
    return corrupt("its length or values do not fit the pipeline");
  for (const double weight : data.ewma_weight)
    if (!(weight > 0)) return corrupt("an average has no weight");
  return state;
}

}  // namespace nacelle::feature
