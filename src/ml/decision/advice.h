#pragma once
// Advice: when to overhaul an engine, from the distribution of its remaining life and the costs of being early and late.

#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::decision {

/// In any one unit. The defaults are an example: a failure costs ten overhauls, a hundred cycles of life thrown away cost one.
struct Costs {
  double overhaul = 1;         ///< planned, in time
  double failure = 10;         ///< overhaul after a failure, with all that comes of it
  double unused_cycle = 0.01;  ///< of life left in the part when it is taken out
  double notice = 5;           ///< cycles: no overhaul can be had sooner
  double soon = 25;            ///< cycles: advice within so many is urgent
  std::string unit = "overhauls";

  /// Absent members keep their defaults. Fault::invalid_input: an unknown member, a negative or infinite number, a failure that
  /// costs no more than an overhaul (then nothing is to be decided).
  static Result<Costs> from_json(const json::Value& document);
  json::Value to_json() const;
};

/// A distribution of remaining life as points of its distribution function, straight lines between; ascending in both. What lies
/// beyond the last point is "longer than the model can tell".
struct LifeDistribution {
  struct Point {
    double cycles = 0;
    double probability = 0;  ///< that the life is at most so long
  };
  std::vector<Point> points;
  double probability_within(double cycles) const;
};

/// From a prediction and the interval around it that holds the truth with probability `coverage`, half of the rest on each side:
/// through the interval's ends and the prediction as the median; the tails are as wide as the interval's sides. Lives above `cap`
/// are not told apart by the model: they are beyond.
LifeDistribution distribution_of(double predicted, double low, double high, double coverage, double cap);

enum class Urgency { now, soon, planned, none };
std::string_view urgency_name(Urgency urgency);  ///< "now", "soon", "planned", "none"

struct Advice {
  double overhaul_in = 0;  ///< cycles from now; meaningless if urgency is none
  Urgency urgency = Urgency::none;
  double expected_cost = 0;        ///< of following the advice
  double cost_now = 0;             ///< of an overhaul as soon as it can be had
  double cost_of_waiting = 0;      ///< of running to failure
  double failure_probability = 0;  ///< before the overhaul
};

/// The whole cycle from costs.notice to `cap` after which an overhaul costs least on average; of equal ones the earliest. None if
/// that is the cap: nothing need be planned within what the model can tell. Expected cost of an overhaul after t cycles:
/// overhaul * P(T > t) + failure * P(T <= t) + unused_cycle * E[(T - t)+], lives beyond the cap counted as the cap. Source: the age
/// replacement policy, Barlow, Hunter, "Optimum preventive maintenance policies", Operations Research 8 (1960), for one horizon.
Advice advise(const LifeDistribution& life, const Costs& costs, double cap);

json::Value to_json(const Advice& advice);

}  // namespace nacelle::decision
