#pragma once
// TrajectoryLibrary: remaining life by likeness. An engine's last stretch is laid beside every stretch of the lives of engines that
// have ended; each of those tells what it had left where it looks most alike, and the most alike have the most say.
// Source: Wang, Yu, Siegel, Lee, "A similarity-based prognostics approach for remaining useful life estimation", PHM 2008.

#include <cstdint>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::model {

struct TrajectoryLibrary {
  std::uint32_t row_features = 0;      ///< of the row that it is given
  std::vector<std::uint16_t> columns;  ///< of the row: those of the stretch
  std::vector<float> scale;            ///< of each; likeness is the mean over columns of ((x - y) * scale)^2
  std::uint32_t neighbours = 10;       ///< engines that are asked
  double width = 0.1;                  ///< an engine's say is exp(-(likeness - the best one's) / width)
  std::vector<std::uint32_t> begin;    ///< each engine's first stretch, and their number at the end
  std::vector<float> life;             ///< left at the end of each stretch
  std::vector<float> stretches;        ///< [stretches][columns], scaled

  static constexpr std::string_view kind = "trajectories";
  static constexpr std::size_t max_columns = 1024;
  static constexpr std::size_t max_neighbours = 64;

  std::size_t feature_count() const { return row_features; }
  double predict(const float* row) const;  ///< allocates nothing
  Result<> check() const;                  ///< Fault::corrupt
  void encode(Bytes& out) const;
  static Result<TrajectoryLibrary> decode(BytesView bytes);  ///< Fault::corrupt
};

}  // namespace nacelle::model
