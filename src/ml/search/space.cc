#include "ml/search/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ml/dataset/seeded.h"

namespace nacelle::search {

namespace {

struct RangeKind {
  std::string_view name;
  Choice::Kind kind;
  bool whole, logarithmic;
};
constexpr RangeKind range_kinds[] = {{"uniform", Choice::Kind::uniform, false, false},
                                     {"log", Choice::Kind::log_uniform, false, true},
                                     {"whole", Choice::Kind::whole, true, false},
                                     {"log_whole", Choice::Kind::log_whole, true, true}};

Result<Choice> read_list(const json::Value& list, const std::string& where) {
  if (!list.is_array() || list.as_array().empty())
    return fail(Fault::invalid_input, fmt::format("{}: expected an array with one value at least", where));
  const Choice::Kind kind = list.as_array().size() == 1 ? Choice::Kind::fixed : Choice::Kind::one_of;
  return Choice{.kind = kind, .values = list.as_array()};
}

Result<Choice> read_range(const RangeKind& kind, const json::Value& bounds, const std::string& where) {
  const bool pair =
      bounds.is_array() && bounds.as_array().size() == 2 && bounds.as_array()[0].is_number() && bounds.as_array()[1].is_number();
  if (!pair) return fail(Fault::invalid_input, fmt::format("{}: {}: expected [low, high]", where, kind.name));
  const json::Value &first = bounds.as_array()[0], &second = bounds.as_array()[1];
  if (kind.whole && !(first.is_integer() && second.is_integer()))
    return fail(Fault::invalid_input, fmt::format("{}: {}: expected whole numbers", where, kind.name));
  Choice choice{.kind = kind.kind, .values = {}, .low = first.as_number(), .high = second.as_number()};
  if (!(choice.low <= choice.high) || (kind.logarithmic && choice.low <= 0))
    return fail(Fault::invalid_input, fmt::format("{}: {}: expected low <= high{}, found [{}, {}]", where, kind.name,
                                                  kind.logarithmic ? ", both above 0" : "", choice.low, choice.high));
  return choice;
}

/// Drawn numbers are kept short, so that people can read and repeat them.
double four_digits(double value) {
  if (value == 0) return 0;
  const double scale = std::pow(10.0, 3 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

json::Value draw(const Choice& choice, dataset::Seeded& random) {
  const double u = random.uniform();  // always one number a parameter: the others' draws do not depend on this one's kind
  const auto between = [&](double low, double high) { return low + u * (high - low); };
  switch (choice.kind) {
    case Choice::Kind::fixed: return choice.values.front();
    case Choice::Kind::one_of:
      return choice
          .values[std::min(static_cast<std::size_t>(u * static_cast<double>(choice.values.size())), choice.values.size() - 1)];
    case Choice::Kind::uniform: return std::clamp(four_digits(between(choice.low, choice.high)), choice.low, choice.high);
    case Choice::Kind::log_uniform:
      return std::clamp(four_digits(std::exp(between(std::log(choice.low), std::log(choice.high)))), choice.low, choice.high);
    case Choice::Kind::whole:
      return static_cast<std::int64_t>(std::min(std::floor(between(choice.low, choice.high + 1)), choice.high));
    case Choice::Kind::log_whole: {
      const double drawn = std::floor(std::exp(between(std::log(choice.low), std::log(choice.high + 1))));
      return static_cast<std::int64_t>(std::clamp(drawn, choice.low, choice.high));
    }
  }
  return {};
}

/// The first configuration of a space: what is fixed; all else at the trainer's defaults.
json::Value plain_parameters(const Space& space) {
  json::Object parameters;
  for (const auto& [name, choice] : space.parameters)
    if (choice.kind == Choice::Kind::fixed) parameters.set(name, choice.values.front());
  return parameters;
}

json::Value drawn_parameters(const Space& space, dataset::Seeded& random) {
  json::Object parameters;
  for (const auto& [name, choice] : space.parameters) parameters.set(name, draw(choice, random));
  return parameters;
}

/// How many of `count` trials each space gets: one each first, the rest by weight, largest remainder first.
std::vector<std::size_t> shares(const std::vector<Space>& spaces, std::size_t count) {
  std::vector<std::size_t> given(spaces.size(), 0);
  for (std::size_t trial = 0; trial < count; ++trial) {
    std::size_t next = 0;
    const auto hunger = [&](std::size_t s) { return static_cast<double>(given[s]) / spaces[s].weight; };
    for (std::size_t s = 1; s < spaces.size(); ++s)
      if (hunger(s) < hunger(next)) next = s;
    ++given[next];
  }
  return given;
}

}  // namespace

Result<Choice> Choice::from_json(const json::Value& document, const std::string& where) {
  if (document.is_array()) return read_list(document, where);
  if (!document.is_object()) return Choice{.kind = Kind::fixed, .values = {document}};
  if (document.as_object().size() != 1)
    return fail(Fault::invalid_input, fmt::format("{}: expected one of one_of, uniform, log, whole, log_whole", where));
  const auto& [name, body] = *document.as_object().begin();
  if (name == "one_of") return read_list(body, where + ": one_of");
  for (const RangeKind& kind : range_kinds)
    if (name == kind.name) return read_range(kind, body, where);
  return fail(Fault::invalid_input,
              fmt::format("{}: expected one of one_of, uniform, log, whole, log_whole, found '{}'", where, name));
}

Result<Space> Space::from_json(const json::Value& document, const std::string& where) {
  Space space;
  if (document.is_string()) {
    space.trainer = document.as_string();
    return space;
  }
  TRY_LET(space.trainer, json::get_string(document, "trainer", where));
  for (const auto& [key, value] : document.as_object())
    if (key != "trainer" && key != "parameters" && key != "weight")
      return fail(Fault::invalid_input, fmt::format("{}: the member '{}' is unknown", where, key));
  if (document.find("weight")) {
    TRY_LET(space.weight, json::get_number(document, "weight", where));
    if (!(space.weight > 0 && space.weight <= 1000))
      return fail(Fault::invalid_input, fmt::format("{}: weight: expected a number above 0, up to 1000", where));
  }
  TRY_LET(const json::Object* parameters, json::get_object_or_null(document, "parameters", where));
  if (!parameters) return space;
  for (const auto& [name, value] : *parameters) {
    TRY_LET(Choice choice, Choice::from_json(value, fmt::format("{}: parameters: {}", where, name)));
    space.parameters.emplace_back(name, std::move(choice));
  }
  return space;
}

json::Value Choice::to_json() const {
  const bool bare = kind == Kind::fixed && !values.front().is_object() && !values.front().is_array();
  if (bare) return values.front();
  if (kind == Kind::fixed || kind == Kind::one_of) return json::Object{{"one_of", json::Array(values)}};
  for (const RangeKind& range : range_kinds)
    if (range.kind == kind) {
      const auto bound = [&range](double value) {
        return range.whole ? json::Value(static_cast<std::int64_t>(value)) : json::Value(value);
      };
      return json::Object{{std::string(range.name), json::Array{bound(low), bound(high)}}};
    }
  return {};
}

json::Value Space::to_json() const {
  json::Object chosen;
  for (const auto& [name, choice] : parameters) chosen.set(name, choice.to_json());
  return json::Object{{"trainer", trainer}, {"parameters", std::move(chosen)}, {"weight", weight}};
}

std::vector<Trial> draw_trials(const std::vector<Space>& spaces, std::size_t count, std::uint64_t seed) {
  constexpr int tries = 200;  // for one that is not there yet; a small space runs out
  const std::vector<std::size_t> given = shares(spaces, count);
  std::vector<std::vector<Trial>> of_space(spaces.size());
  for (std::size_t s = 0; s < spaces.size(); ++s) {
    dataset::Seeded random(seed * 0x9e3779b97f4a7c15 + s + 1);
    std::set<std::string> seen;
    for (std::size_t t = 0; t < given[s]; ++t) {
      json::Value parameters = t == 0 ? plain_parameters(spaces[s]) : drawn_parameters(spaces[s], random);
      for (int again = 0; again < tries && seen.contains(json::print(parameters)); ++again)
        parameters = drawn_parameters(spaces[s], random);
      if (seen.insert(json::print(parameters)).second)
        of_space[s].push_back({.number = 0, .trainer = spaces[s].trainer, .parameters = std::move(parameters)});
    }
  }
  // In turn, so that a budget of seconds that ends early has seen every trainer.
  std::vector<Trial> trials;
  for (std::size_t t = 0; t < count; ++t)
    for (std::vector<Trial>& of_one : of_space)
      if (t < of_one.size()) {
        trials.push_back(std::move(of_one[t]));
        trials.back().number = trials.size() - 1;
      }
  return trials;
}

}  // namespace nacelle::search
