#pragma once
// Search spaces: for each trainer, which of its parameters may take which values; and configurations drawn from them.

#include <cstdint>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::search {

/// The values that one parameter may take.
struct Choice {
  enum class Kind { fixed, one_of, uniform, log_uniform, whole, log_whole };
  Kind kind = Kind::fixed;
  std::vector<json::Value> values;  ///< of fixed (one) and one_of
  double low = 0, high = 0;         ///< of the ranges, inclusive

  /// 0.1, [1, 2], {"one_of":[..]}, {"uniform":[a,b]}, {"log":[a,b]}, {"whole":[a,b]}, {"log_whole":[a,b]}.
  /// Fault::invalid_input names `where`.
  static Result<Choice> from_json(const json::Value& document, const std::string& where);
  json::Value to_json() const;
};

struct Space {
  std::string trainer;
  std::vector<std::pair<std::string, Choice>> parameters;
  double weight = 1;  ///< of the budget's trials, this trainer's share

  static Result<Space> from_json(const json::Value& document, const std::string& where);
  json::Value to_json() const;
};

struct Trial {
  std::size_t number = 0;  ///< from 0
  std::string trainer;
  json::Value parameters;  ///< overrides of the trainer's defaults
};

/// `count` configurations (fewer if the spaces hold fewer different ones), shared between the spaces by weight: each trainer's
/// first has its fixed values and defaults only, the rest are drawn. Trial k does not depend on `count` as long as the shares do
/// not: the draws of a space are a sequence of their own. No two are the same.
std::vector<Trial> draw_trials(const std::vector<Space>& spaces, std::size_t count, std::uint64_t seed);

}  // namespace nacelle::search
