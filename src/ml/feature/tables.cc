// The saved form of what a Pipeline has learned.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "ml/feature/detail/tables.h"

namespace nacelle::feature {

void Pipeline::Tables::complete() {
  input_names = recipe.input_names();
  if (recipe.identity) return complete_identity();

  std::vector<std::string> block_names;
  const auto window_of = [this](std::size_t cycles) -> Window& {
    auto at = std::find_if(windows.begin(), windows.end(), [cycles](const Window& w) { return w.cycles >= cycles; });
    if (at == windows.end() || at->cycles != cycles) at = windows.insert(at, Window{.cycles = cycles});
    return *at;
  };
  const auto add = [&block_names](std::string name) {
    block_names.push_back(std::move(name));
    return static_cast<int>(block_names.size()) - 1;
  };
  windows.clear();
  for (const std::size_t w : recipe.mean_windows) window_of(w).mean_at = add(fmt::format("mean{}", w));
  for (const std::size_t w : recipe.slope_windows) window_of(w).slope_at = add(fmt::format("slope{}", w));
  for (const std::size_t w : recipe.spread_windows) window_of(w).spread_at = add(fmt::format("spread{}", w));
  for (const double rate : recipe.ewma_rates) add(fmt::format("ewma{}", rate));
  add("last");
  block = block_names.size();
  capacity = std::max(windows.empty() ? 1 : windows.back().cycles, recipe.sequence_steps * recipe.sequence_stride);

  feature_names.clear();
  for (std::size_t c = 0; c < channels; ++c)
    for (const std::string& name : block_names)
      feature_names.push_back(c == 0 ? fmt::format("health.{}", name) : fmt::format("drift{}.{}", c, name));
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t step = 0; step < recipe.sequence_steps; ++step)
      feature_names.push_back(c == 0 ? fmt::format("health.step{}", step) : fmt::format("drift{}.step{}", c, step));
  if (recipe.cycle_count) feature_names.push_back("cycle");
  if (recipe.history_length) feature_names.push_back("history");
  if (recipe.joined) feature_names.emplace_back(joined_feature);
  fit_inputs = feature_names.size();
  for (std::size_t fit = 0; fit < (fits.empty() ? 0 : recipe.life_fits); ++fit)
    feature_names.push_back(fmt::format("life.{}", fit + 1));

  identify();
}

/// Of the first three channels: means over short, middling and long windows, the slope over a middling one, of the health index
/// over the longest, too; the cycle, and the length of the history.
void Pipeline::Tables::choose_curved() {
  const std::size_t means = recipe.mean_windows.size(), slopes = recipe.slope_windows.size();
  fit_curved.clear();
  for (std::size_t c = 0; c < std::min<std::size_t>(channels, 3); ++c) {
    const std::size_t begin = c * block;
    if (means > 0)
      for (const std::size_t at : {means / 5, means / 2, means - 1}) fit_curved.push_back(begin + at);
    if (slopes > 0) fit_curved.push_back(begin + means + slopes / 2);
    if (slopes > 0 && c == 0) fit_curved.push_back(begin + means + slopes - 1);
  }
  for (std::size_t f = channels * block; f < fit_inputs; ++f)
    if (feature_names[f] == "cycle" || feature_names[f] == "history") fit_curved.push_back(f);
  std::sort(fit_curved.begin(), fit_curved.end());
  fit_curved.erase(std::unique(fit_curved.begin(), fit_curved.end()), fit_curved.end());
}

void Pipeline::Tables::identify() {
  hash = digest::sha256_hex(json::print(to_json()));
  id = 0;
  for (int digit = 0; digit < 16; ++digit) {
    const char c = hash[static_cast<std::size_t>(digit)];
    id = id << 4 | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
}

json::Value Pipeline::Tables::to_json() const {
  if (recipe.identity) return json::Object{{"recipe", recipe.to_json()}};
  const auto matrix = [](const std::vector<double>& values, std::size_t width) {
    json::Array rows;
    for (std::size_t begin = 0; begin < values.size(); begin += width) {
      json::Array row;
      for (std::size_t i = 0; i < width; ++i) row.emplace_back(values[begin + i]);
      rows.emplace_back(std::move(row));
    }
    return json::Value(std::move(rows));
  };
  json::Array sensors;
  for (const std::size_t k : kept) sensors.emplace_back(recipe.sensors[k]);
  json::Object object{{"recipe", recipe.to_json()},
                      {"regimes", regimes},
                      {"set_points", settings() == 0 ? json::Value(json::Array{}) : matrix(set_points, settings())},
                      {"kept_sensors", std::move(sensors)},
                      {"mean", matrix(mean, kept.size())},
                      {"inverse_spread", matrix(inverse_spread, kept.size())},
                      {"fusion", matrix(fusion, kept.size())}};
  if (!coupling.empty()) {
    object.set("coupling", matrix(coupling, kept.size()));
    object.set("longest_run", matrix(longest_run, kept.size()));
  }
  if (!fits.empty()) {
    json::Array curved, all;
    for (const std::size_t f : fit_curved) curved.emplace_back(f);
    for (const Fits& one : fits)
      all.emplace_back(json::Object{{"centre", matrix(one.centre, fit_inputs)},
                                    {"scale", matrix(one.scale, fit_inputs)},
                                    {"weight", matrix(one.weight, fit_terms())},
                                    {"base", matrix(one.base, one.base.size())}});
    object.set("fit_curved", std::move(curved));
    object.set("fits", std::move(all));
  }
  return object;
}

namespace {

constexpr std::string_view where = "feature pipeline";

Failure corrupt(std::string_view member, std::string_view expected) {
  return fail(Fault::corrupt, fmt::format("{}: {}: expected {}", where, member, expected));
}

/// A matrix of finite numbers, `height` rows of `width`; a height of 0 takes any from 1 to `max_height`.
Result<std::vector<double>> read_matrix(const json::Value& document, std::string_view key, std::size_t height,
                                        std::size_t max_height, std::size_t width) {
  const json::Value* found = document.find(key);
  if (!found || !found->is_array()) return corrupt(key, "an array of rows");
  const json::Array& rows = found->as_array();
  if (height != 0 ? rows.size() != height : rows.empty() || rows.size() > max_height)
    return corrupt(key, height != 0 ? fmt::format("{} rows", height) : fmt::format("1 to {} rows", max_height));
  std::vector<double> values;
  for (const json::Value& row : rows) {
    if (!row.is_array() || row.as_array().size() != width) return corrupt(key, fmt::format("rows of {} numbers", width));
    for (const json::Value& item : row.as_array()) {
      if (!item.is_number() || !std::isfinite(item.as_number())) return corrupt(key, "numbers");
      values.push_back(item.as_number());
    }
  }
  return values;
}

/// Indices below `width`, ascending.
Result<std::vector<std::size_t>> read_curved(const json::Value& document, std::size_t width) {
  constexpr std::string_view key = "fit_curved";
  const json::Value* found = document.find(key);
  if (!found || !found->is_array() || found->as_array().size() > max_fit_curved)
    return corrupt(key, fmt::format("at most {} features", max_fit_curved));
  std::vector<std::size_t> curved;
  for (const json::Value& item : found->as_array()) {
    const bool fits = item.is_integer() && item.as_integer() >= 0 && item.as_integer() < static_cast<std::int64_t>(width);
    if (!fits || (!curved.empty() && static_cast<std::size_t>(item.as_integer()) <= curved.back()))
      return corrupt(key, fmt::format("ascending whole numbers below {}", width));
    curved.push_back(static_cast<std::size_t>(item.as_integer()));
  }
  return curved;
}

Result<> read_fits(const json::Value& document, Pipeline::Tables& tables) {
  const std::size_t width = tables.fit_inputs, wanted = tables.recipe.joined ? 2 : 1, fits = tables.recipe.life_fits;
  TRY_LET(tables.fit_curved, read_curved(document, width));
  const json::Value* found = document.find("fits");
  if (!found || !found->is_array() || found->as_array().size() != wanted) return corrupt("fits", fmt::format("{} of them", wanted));
  for (const json::Value& item : found->as_array()) {
    Fits one;
    TRY_LET(one.centre, read_matrix(item, "centre", 1, 0, width));
    TRY_LET(one.scale, read_matrix(item, "scale", 1, 0, width));
    TRY_LET(one.weight, read_matrix(item, "weight", fits, 0, tables.fit_terms()));
    TRY_LET(one.base, read_matrix(item, "base", 1, 0, fits));
    tables.fits.push_back(std::move(one));
  }
  return {};
}

}  // namespace

Result<Pipeline> Pipeline::from_json(const json::Value& document) {
  auto tables = std::make_shared<Tables>();
  const json::Value* declared = document.find("recipe");
  if (!declared) return corrupt("recipe", "an object");
  auto recipe = Recipe::from_json(*declared);
  if (!recipe) return fail(Fault::corrupt, recipe.error().message);
  if (recipe->identity) return identity_of(*recipe);
  tables->recipe = std::move(recipe).value();
  // Made before there were such members: as they worked then.
  if (!declared->find("joined")) tables->recipe.joined = false;
  if (!declared->find("estimate_silent")) tables->recipe.estimate_silent = false;
  if (!declared->find("life_fits")) tables->recipe.life_fits = 0;

  const json::Value* regimes = document.find("regimes");
  if (!regimes || !regimes->is_integer() || regimes->as_integer() < 1 || regimes->as_integer() > 256)
    return corrupt("regimes", "1 to 256");
  tables->regimes = static_cast<std::size_t>(regimes->as_integer());
  if (tables->settings() > 0) {
    TRY_LET(tables->set_points, read_matrix(document, "set_points", tables->regimes, 0, tables->settings()));
  }

  const json::Value* kept = document.find("kept_sensors");
  if (!kept || !kept->is_array() || kept->as_array().empty() || kept->as_array().size() > max_kept)
    return corrupt("kept_sensors", "names of sensors");
  const auto& sensors = tables->recipe.sensors;
  for (const json::Value& item : kept->as_array()) {
    const auto at = item.is_string() ? std::find(sensors.begin(), sensors.end(), item.as_string()) : sensors.end();
    if (at == sensors.end()) return corrupt("kept_sensors", "names of the recipe's sensors");
    tables->kept.push_back(static_cast<std::size_t>(at - sensors.begin()));
  }
  TRY_LET(tables->mean, read_matrix(document, "mean", tables->regimes, 0, tables->kept.size()));
  TRY_LET(tables->inverse_spread, read_matrix(document, "inverse_spread", tables->regimes, 0, tables->kept.size()));
  TRY_LET(tables->fusion, read_matrix(document, "fusion", 0, max_channels, tables->kept.size()));
  tables->channels = tables->fusion.size() / tables->kept.size();
  if (tables->recipe.estimate_silent) {
    const std::size_t width = tables->kept.size();
    TRY_LET(tables->coupling, read_matrix(document, "coupling", width, 0, width));
    TRY_LET(tables->longest_run, read_matrix(document, "longest_run", 1, 0, width));
  }
  tables->complete();
  if (tables->recipe.life_fits > 0) {
    TRY(read_fits(document, *tables));
    tables->complete();
  }
  if (tables->feature_names.size() > max_features) return corrupt("recipe", fmt::format("at most {} features", max_features));
  return Pipeline(std::move(tables));
}

}  // namespace nacelle::feature
