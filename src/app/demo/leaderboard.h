#pragma once
// The leaderboard of a sweep while it runs: rewritten in place on a terminal, elsewhere a line at the end of each rung.

#include <string>

#include "codec/json/value.h"

namespace nacelle::app::demo {

class Leaderboard {
 public:
  Leaderboard();
  /// A line of `nacelle train --json --progress`.
  void tell(const json::Value& line);
  /// Takes the lines on the terminal away.
  void clear();

 private:
  void print(const std::string& text);
  const bool terminal_;
  std::size_t lines_ = 0;  ///< on the terminal
  std::string rung_;       ///< the last that was told to its end
};

/// "xgboost 9.99 on 5 folds" of a run.
std::string standing(const json::Value& run);

}  // namespace nacelle::app::demo
