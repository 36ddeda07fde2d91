#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "ml/feature/detail/tables.h"

// docs/formats/engine-state.md describes the bytes. Integers and floats are little-endian.
static_assert(std::endian::native == std::endian::little, "the states' byte order is the machine's");

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

constexpr std::string_view magic = "NES1";

template <class T>
void put(Bytes& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_all(Bytes& out, const std::vector<double>& values) {
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
}

/// FNV-1a, 64 bit: finds torn or flipped bytes, not attackers.
std::uint64_t checksum(BytesView bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

/// Takes values off the front; too few leave `good` false.
struct Reader {
  BytesView rest;
  bool good = true;

  template <class T>
  T take() {
    T value{};
    good = good && rest.size() >= sizeof value;
    if (!good) return value;
    std::memcpy(&value, rest.data(), sizeof value);
    rest.remove_prefix(sizeof value);
    return value;
  }
  void take_all(std::vector<double>& values, bool may_be_silent = false) {
    for (double& value : values) {
      value = take<double>();
      good = good && (std::isfinite(value) || (may_be_silent && std::isnan(value)));
    }
  }
};

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
  put(out, checksum(out));
  return out;
}

Result<EngineState> EngineState::parse(BytesView bytes, const Pipeline& pipeline) {
  const auto corrupt = [](std::string_view what) { return fail(Fault::corrupt, fmt::format("engine state: {}", what)); };
  const Pipeline::Tables& tables = *pipeline.tables_;
  if (!bytes.starts_with(magic)) return corrupt("expected bytes that begin with NES1");
  if (bytes.size() < magic.size() + sizeof(std::uint64_t)) return corrupt("it is cut off");
  Reader tail{bytes.substr(bytes.size() - sizeof(std::uint64_t))};
  const BytesView checked = bytes.substr(0, bytes.size() - sizeof(std::uint64_t));
  if (tail.take<std::uint64_t>() != checksum(checked)) return corrupt("the checksum does not match");

  Reader in{checked.substr(magic.size())};
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
  in.take_all(data.held_settings);
  in.take_all(data.held_z, tables.recipe.identity);
  in.take_all(data.last_value);
  in.take_all(data.run);
  in.take_all(data.ewma_sum);
  in.take_all(data.ewma_weight);
  if (!in.good || !in.rest.empty() || before != last_cycle || data.first_cycle < 1 || data.first_cycle > data.cycles[0])
    return corrupt("its length or values do not fit the pipeline");
  for (const double weight : data.ewma_weight)
    if (!(weight > 0)) return corrupt("an average has no weight");
  return state;
}

}  // namespace nacelle::feature
