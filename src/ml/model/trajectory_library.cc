#include "ml/model/trajectory_library.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "foundation/binary.h"
#include "ml/model/detail/smooth.h"

namespace nacelle::model {

using binary::put;
using binary::put_all;

namespace {

/// Sums that do not wait for each other; their number is part of the result's bits.
constexpr std::size_t lanes = 8;

float squared_distance(const float* a, const float* b, std::size_t count) {
  std::array<float, lanes> sum{};
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (std::size_t l = 0; l < lanes; ++l) {
      const float apart = a[i + l] - b[i + l];
      sum[l] += apart * apart;
    }
  for (std::size_t l = 0; i < count; ++i, ++l) sum[l] += (a[i] - b[i]) * (a[i] - b[i]);
  float all = 0;
  for (const float part : sum) all += part;
  return all;
}

struct Neighbour {
  float distance = std::numeric_limits<float>::infinity();
  float life = 0;
};

}  // namespace

double TrajectoryLibrary::predict(const float* row) const {
  std::array<float, max_columns> stretch;
  const std::size_t width_of = columns.size();
  for (std::size_t c = 0; c < width_of; ++c) stretch[c] = row[columns[c]] * scale[c];
  std::array<Neighbour, max_neighbours> best;  // ascending
  std::size_t found = 0;
  for (std::size_t engine = 0; engine + 1 < begin.size(); ++engine) {
    Neighbour nearest;
    for (std::size_t s = begin[engine]; s < begin[engine + 1]; ++s) {
      const float distance = squared_distance(stretch.data(), stretches.data() + s * width_of, width_of);
      if (distance < nearest.distance) nearest = {distance, life[s]};
    }
    std::size_t at = found < neighbours ? found++ : neighbours;  // beyond the last: it falls off the end
    for (; at > 0 && nearest.distance < best[at - 1].distance; --at)
      if (at < neighbours) best[at] = best[at - 1];
    if (at < neighbours) best[at] = nearest;
  }
  double sum = 0, weights = 0;
  for (std::size_t n = 0; n < found; ++n) {
    const double further = static_cast<double>(best[n].distance - best[0].distance) / static_cast<double>(width_of);
    const double weight = n == 0 ? 1 : exp_same(-further / width);
    if (!(weight > 0)) continue;  // infinitely far, or no number
    sum += weight * static_cast<double>(best[n].life);
    weights += weight;
  }
  return weights > 0 ? sum / weights : 0;
}

Result<> TrajectoryLibrary::check() const {
  const auto wrong = [](std::string_view what) { return fail(Fault::corrupt, fmt::format("trajectories: {}", what)); };
  if (columns.empty() || columns.size() > max_columns || scale.size() != columns.size()) return wrong("expected 1 to 1024 columns");
  for (const std::uint16_t column : columns)
    if (column >= row_features) return wrong(fmt::format("column {} of {} is used", column, row_features));
  if (neighbours == 0 || neighbours > max_neighbours) return wrong("expected 1 to 64 neighbours");
  if (!(width > 0)) return wrong("expected a width above 0");
  if (begin.size() < 2 || begin.front() != 0 || begin.back() != life.size() || !std::is_sorted(begin.begin(), begin.end()))
    return wrong("the engines' stretches are out of place");
  if (stretches.size() != life.size() * columns.size()) return wrong("a stretch has other columns");
  return {};
}

void TrajectoryLibrary::encode(Bytes& out) const {
  put(out, row_features);
  put(out, static_cast<std::uint32_t>(columns.size()));
  put(out, static_cast<std::uint32_t>(begin.size() - 1));
  put(out, static_cast<std::uint32_t>(life.size()));
  put(out, neighbours);
  put(out, width);
  put_all(out, columns);
  put_all(out, scale);
  put_all(out, begin);
  put_all(out, life);
  put_all(out, stretches);
}

Result<TrajectoryLibrary> TrajectoryLibrary::decode(BytesView bytes) {
  binary::Reader in{bytes};
  TrajectoryLibrary library;
  library.row_features = in.take<std::uint32_t>();
  const auto width_of = in.take<std::uint32_t>();
  const auto engines = in.take<std::uint32_t>();
  const auto count = in.take<std::uint32_t>();
  library.neighbours = in.take<std::uint32_t>();
  library.width = in.take<double>();
  in.take_all(library.columns, width_of);
  in.take_all(library.scale, width_of);
  in.take_all(library.begin, std::size_t{engines} + 1);
  in.take_all(library.life, count);
  in.take_all(library.stretches, std::size_t{count} * width_of);
  if (!in.good || !in.rest.empty()) return fail(Fault::corrupt, "trajectories: their length does not fit their counts");
  TRY(library.check());
  return library;
}

}  // namespace nacelle::model
