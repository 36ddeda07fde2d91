#include "ml/decision/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace nacelle::decision {

Result<Costs> Costs::from_json(const json::Value& document) {
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("costs: expected an object, found {}", json::type_name(document)));
  Costs costs;
  const std::pair<std::string_view, double*> numbers[] = {{"overhaul", &costs.overhaul},
                                                          {"failure", &costs.failure},
                                                          {"unusedCycle", &costs.unused_cycle},
                                                          {"notice", &costs.notice},
                                                          {"soon", &costs.soon}};
  for (const auto& [key, value] : document.as_object()) {
    if (key == "unit" && value.is_string()) {
      costs.unit = value.as_string();
      continue;
    }
    const auto known =
        std::find_if(std::begin(numbers), std::end(numbers), [&k = key](const auto& number) { return number.first == k; });
    if (known == std::end(numbers)) return fail(Fault::invalid_input, fmt::format("costs: the member '{}' is unknown", key));
    if (!value.is_number() || !(value.as_number() >= 0 && value.as_number() < 1e15))
      return fail(Fault::invalid_input, fmt::format("costs: {}: expected a number of 0 or more", key));
    *known->second = value.as_number();
  }
  if (!(costs.failure > costs.overhaul))
    return fail(Fault::invalid_input, fmt::format("costs: expected a failure to cost more than an overhaul, found {} and {}",
                                                  costs.failure, costs.overhaul));
  return costs;
}

json::Value Costs::to_json() const {
  return json::Object{{"overhaul", overhaul}, {"failure", failure}, {"unusedCycle", unused_cycle},
                      {"notice", notice},     {"soon", soon},       {"unit", unit}};
}

double LifeDistribution::probability_within(double cycles) const {
  if (points.empty() || cycles < points.front().cycles) return 0;
  for (std::size_t p = 1; p < points.size(); ++p) {
    const Point &before = points[p - 1], &after = points[p];
    if (cycles >= after.cycles) continue;
    return before.probability +
           (after.probability - before.probability) * (cycles - before.cycles) / (after.cycles - before.cycles);
  }
  return points.back().probability;
}

LifeDistribution distribution_of(double predicted, double low, double high, double coverage, double cap) {
  const double tail = (1 - coverage) / 2;
  low = std::clamp(low, 0.0, predicted);
  high = std::max(high, predicted);
  const LifeDistribution::Point all[] = {{std::max(0.0, low - (predicted - low)), 0.0},
                                         {low, tail},
                                         {predicted, 0.5},
                                         {high, 1 - tail},
                                         {high + (high - predicted), 1.0}};
  LifeDistribution life;
  for (const auto& point : all) {
    if (!life.points.empty() && point.cycles <= life.points.back().cycles) {
      life.points.back().probability = point.probability;  // an interval of no width on this side: a step
      continue;
    }
    // Up to the cap only: the interval is cut there, and what is beyond cannot be told apart.
    if (point.cycles >= cap) {
      if (life.points.empty()) life.points.push_back({cap, 0});
      break;
    }
    life.points.push_back(point);
  }
  return life;
}

std::string_view urgency_name(Urgency urgency) {
  switch (urgency) {
    case Urgency::now: return "now";
    case Urgency::soon: return "soon";
    case Urgency::planned: return "planned";
    case Urgency::none: break;
  }
  return "none";
}

Advice advise(const LifeDistribution& life, const Costs& costs, double cap) {
  const auto horizon = static_cast<std::size_t>(std::max(1.0, std::ceil(cap)));
  // P(T <= t) at each whole cycle, and E[(T - t)+] as the sum of what survives behind it.
  std::vector<double> failed(horizon + 1);
  for (std::size_t t = 0; t <= horizon; ++t) failed[t] = life.probability_within(static_cast<double>(t));
  std::vector<double> unused(horizon + 1, 0.0);
  for (std::size_t t = horizon; t-- > 0;) unused[t] = unused[t + 1] + 1 - (failed[t] + failed[t + 1]) / 2;
  const auto cost = [&](std::size_t t) {
    return costs.overhaul * (1 - failed[t]) + costs.failure * failed[t] + costs.unused_cycle * unused[t];
  };
  const auto earliest = static_cast<std::size_t>(std::min(std::ceil(costs.notice), static_cast<double>(horizon)));
  std::size_t best = earliest;
  for (std::size_t t = earliest + 1; t <= horizon; ++t)
    if (cost(t) < cost(best) - 1e-12) best = t;
  Advice advice{.overhaul_in = static_cast<double>(best),
                .expected_cost = cost(best),
                .cost_now = cost(earliest),
                .cost_of_waiting = costs.failure,
                .failure_probability = failed[best]};
  if (best == horizon && failed[horizon] < 1)
    advice.urgency = Urgency::none;
  else if (best == earliest)
    advice.urgency = Urgency::now;
  else
    advice.urgency = static_cast<double>(best) <= costs.soon ? Urgency::soon : Urgency::planned;
  return advice;
}

json::Value to_json(const Advice& advice) {
  const bool some = advice.urgency != Urgency::none;
  return json::Object{
      {"urgency", urgency_name(advice.urgency)}, {"overhaulIn", some ? json::Value(advice.overhaul_in) : json::Value()},
      {"expectedCost", advice.expected_cost},    {"costNow", advice.cost_now},
      {"costOfWaiting", advice.cost_of_waiting}, {"failureProbability", advice.failure_probability}};
}

}  // namespace nacelle::decision
