#include "ml/feature/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace nacelle::feature {

namespace {

constexpr std::string_view where = "feature recipe";
constexpr std::int64_t longest_window = 200;

Failure wrong(std::string_view member, std::string_view expected) {
  return fail(Fault::invalid_input, fmt::format("{}: {}: expected {}", where, member, expected));
}

Result<> read_number(const json::Value& document, std::string_view key, double& value, double low, double high) {
  if (!document.find(key)) return {};
  TRY_LET(value, json::get_number(document, key, where));
  if (!(value >= low && value <= high)) return wrong(key, fmt::format("a number from {} to {}", low, high));
  return {};
}

Result<> read_size(const json::Value& document, std::string_view key, std::size_t& value, std::int64_t low, std::int64_t high) {
  if (!document.find(key)) return {};
  TRY_LET(const std::int64_t found, json::get_integer(document, key, where));
  if (found < low || found > high) return wrong(key, fmt::format("a whole number from {} to {}", low, high));
  value = static_cast<std::size_t>(found);
  return {};
}

Result<> read_windows(const json::Value& document, std::string_view key, std::vector<std::size_t>& windows) {
  const json::Value* found = document.find(key);
  if (!found) return {};
  const auto expected = fmt::format("an array of window lengths from 2 to {} in ascending order, at most 16", longest_window);
  if (!found->is_array() || found->as_array().size() > 16) return wrong(key, expected);
  windows.clear();
  for (const json::Value& item : found->as_array()) {
    if (!item.is_integer() || item.as_integer() < 2 || item.as_integer() > longest_window) return wrong(key, expected);
    const auto window = static_cast<std::size_t>(item.as_integer());
    if (!windows.empty() && windows.back() >= window) return wrong(key, expected);
    windows.push_back(window);
  }
  return {};
}

Result<> read_rates(const json::Value& document, std::vector<double>& rates) {
  const json::Value* found = document.find("ewma_rates");
  if (!found) return {};
  if (!found->is_array() || found->as_array().size() > 8) return wrong("ewma_rates", "an array of at most 8 numbers");
  rates.clear();
  for (const json::Value& item : found->as_array()) {
    if (!item.is_number() || !(item.as_number() > 0 && item.as_number() < 1)) return wrong("ewma_rates", "numbers between 0 and 1");
    rates.push_back(item.as_number());
  }
  return {};
}

Result<> read_settings(const json::Value& document, std::vector<Setting>& settings) {
  const json::Value* found = document.find("settings");
  if (!found) return {};
  if (!found->is_array() || found->as_array().size() > 16) return wrong("settings", "an array of at most 16 settings");
  settings.clear();
  for (const json::Value& item : found->as_array()) {
    Setting setting;
    TRY_LET(setting.name, json::get_string(item, "name", where));
    TRY_LET(setting.tolerance, json::get_number(item, "tolerance", where));
    if (!(setting.tolerance > 0 && std::isfinite(setting.tolerance))) return wrong("settings", "tolerances above 0");
    settings.push_back(std::move(setting));
  }
  return {};
}

Result<> read_points(const json::Value& document, std::size_t settings, std::vector<std::vector<double>>& points) {
  const json::Value* found = document.find("regime_points");
  if (!found) return {};
  const std::string expected = fmt::format("1 to 256 rows of {} numbers, one a setting", settings);
  if (!found->is_array() || found->as_array().empty() || found->as_array().size() > 256 || settings == 0)
    return wrong("regime_points", expected);
  for (const json::Value& row : found->as_array()) {
    if (!row.is_array() || row.as_array().size() != settings) return wrong("regime_points", expected);
    std::vector<double>& point = points.emplace_back();
    for (const json::Value& item : row.as_array()) {
      if (!item.is_number() || !std::isfinite(item.as_number())) return wrong("regime_points", expected);
      point.push_back(item.as_number());
    }
  }
  return {};
}

Result<> read_sensors(const json::Value& document, std::size_t most, std::vector<std::string>& sensors) {
  const json::Value* found = document.find("sensors");
  if (!found) return {};
  if (!found->is_array() || found->as_array().empty() || found->as_array().size() > most)
    return wrong("sensors", fmt::format("an array of 1 to {} names", most));
  sensors.clear();
  for (const json::Value& item : found->as_array()) {
    if (!item.is_string() || item.as_string().empty()) return wrong("sensors", "names of sensors");
    sensors.push_back(item.as_string());
  }
  return {};
}

template <class T>
json::Value to_array(const std::vector<T>& items) {
  json::Array array;
  for (const T& item : items) array.emplace_back(item);
  return array;
}

}  // namespace

std::vector<std::string> Recipe::default_sensors() {
  std::vector<std::string> names;
  for (int i = 1; i <= 21; ++i) names.push_back(fmt::format("Sensor{}", i));
  return names;
}

std::vector<std::string> Recipe::input_names() const {
  std::vector<std::string> names;
  for (const Setting& setting : settings) names.push_back(setting.name);
  names.insert(names.end(), sensors.begin(), sensors.end());
  return names;
}

Result<Recipe> Recipe::from_json(const json::Value& document) {
  if (!document.is_object()) return fail(Fault::invalid_input, fmt::format("{}: expected an object", where));
  Recipe recipe;
  Recipe full;  // with every member that a document may have
  full.sequence_steps = full.regime_count = 1;
  full.regime_points = {{0}};
  full.identity = true;
  const json::Value defaults = full.to_json();
  for (const auto& [key, value] : document.as_object())
    if (!defaults.find(key)) return fail(Fault::invalid_input, fmt::format("{}: unknown member '{}'", where, key));
  TRY(read_settings(document, recipe.settings));
  TRY_LET(recipe.identity, json::get_bool_or(document, "identity", false, where));
  TRY(read_sensors(document, recipe.identity ? 1000 : 256, recipe.sensors));
  TRY(read_size(document, "max_regimes", recipe.max_regimes, 1, 256));
  TRY(read_size(document, "regime_count", recipe.regime_count, 0, 256));
  TRY(read_points(document, recipe.settings.size(), recipe.regime_points));
  if (recipe.regime_count > 0 && !recipe.regime_points.empty())
    return fail(Fault::invalid_input, fmt::format("{}: regimes are either given (regime_points) or learned (regime_count)", where));
  TRY(read_number(document, "min_movement", recipe.min_movement, 0, 100));
  TRY(read_size(document, "movement_cycles", recipe.movement_cycles, 1, 1000));
  TRY(read_number(document, "rul_cap", recipe.rul_cap, 1, 1e6));
  TRY(read_number(document, "fusion_ridge", recipe.fusion_ridge, 0, 1e9));
  TRY(read_size(document, "drift_channels", recipe.drift_channels, 0, 8));
  TRY(read_size(document, "drift_cycles", recipe.drift_cycles, 1, 1000));
  TRY(read_windows(document, "mean_windows", recipe.mean_windows));
  TRY(read_windows(document, "slope_windows", recipe.slope_windows));
  TRY(read_windows(document, "spread_windows", recipe.spread_windows));
  TRY(read_rates(document, recipe.ewma_rates));
  TRY(read_size(document, "sequence_steps", recipe.sequence_steps, 0, longest_window));
  TRY(read_size(document, "sequence_stride", recipe.sequence_stride, 1, longest_window));
  if (recipe.sequence_steps * recipe.sequence_stride > static_cast<std::size_t>(longest_window))
    return wrong("sequence_steps", fmt::format("at most {} cycles in all", longest_window));
  TRY(read_size(document, "life_fits", recipe.life_fits, 0, 16));
  TRY_LET(recipe.cycle_count, json::get_bool_or(document, "cycle_count", recipe.cycle_count, where));
  TRY_LET(recipe.history_length, json::get_bool_or(document, "history_length", recipe.history_length, where));
  TRY_LET(recipe.estimate_silent, json::get_bool_or(document, "estimate_silent", recipe.estimate_silent, where));
  TRY_LET(recipe.joined, json::get_bool_or(document, "joined", recipe.joined, where));
  const auto names = recipe.input_names();
  if (std::set<std::string>(names.begin(), names.end()).size() != names.size())
    return fail(Fault::invalid_input, fmt::format("{}: a setting or sensor is named twice", where));
  return recipe;
}

json::Value Recipe::to_json() const {
  json::Array declared;
  for (const Setting& setting : settings)
    declared.emplace_back(json::Object{{"name", setting.name}, {"tolerance", setting.tolerance}});
  json::Object object{{"settings", std::move(declared)},
                      {"sensors", to_array(sensors)},
                      {"max_regimes", max_regimes},
                      {"min_movement", min_movement},
                      {"movement_cycles", movement_cycles},
                      {"rul_cap", rul_cap},
                      {"fusion_ridge", fusion_ridge},
                      {"drift_channels", drift_channels},
                      {"drift_cycles", drift_cycles},
                      {"mean_windows", to_array(mean_windows)},
                      {"slope_windows", to_array(slope_windows)},
                      {"spread_windows", to_array(spread_windows)},
                      {"ewma_rates", to_array(ewma_rates)},
                      {"life_fits", life_fits},
                      {"cycle_count", cycle_count},
                      {"history_length", history_length},
                      {"estimate_silent", estimate_silent},
                      {"joined", joined}};
  if (sequence_steps > 0) {  // left out else: recipes, and the states of engines, keep the identity that they had before
    object.set("sequence_steps", sequence_steps);
    object.set("sequence_stride", sequence_stride);
  }
  if (regime_count > 0) object.set("regime_count", regime_count);
  if (!regime_points.empty()) {
    json::Array points;
    for (const std::vector<double>& point : regime_points) points.emplace_back(to_array(point));
    object.set("regime_points", std::move(points));
  }
  if (identity) object.set("identity", true);
  return object;
}

}  // namespace nacelle::feature
