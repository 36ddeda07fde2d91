// The feature pipeline as an ONNX graph, from a window of readings to the row that the model takes. It follows
// ml/feature/pipeline.cc step by step, in double precision; windows are masks over the readings' ages, so that skipped cycles count
// as they do there.

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "ml/model/detail/onnx_graph.h"
#include "ml/model/onnx_trees.h"

namespace nacelle::model {

namespace {

using onnx::Attribute;
using onnx::Element;

/// z-scores are cut here: ml/feature/detail/tables.h.
constexpr double max_z = 10;

Failure cannot(std::string_view what) { return fail(Fault::unavailable, fmt::format("ONNX: {}", what)); }

/// A member of the pipeline's document, [rows][width], as one column of numbers.
Result<std::vector<double>> matrix(const json::Value& document, std::string_view key) {
  std::vector<double> values;
  const json::Value* rows = document.find(key);
  if (!rows || !rows->is_array()) return cannot(fmt::format("the pipeline has no {}", key));
  for (const json::Value& row : rows->as_array())
    for (const json::Value& number : row.as_array()) values.push_back(number.as_number());
  return values;
}

std::int64_t size(std::size_t count) { return static_cast<std::int64_t>(count); }

/// Everything of a window of readings that features are made of, by name of a value in the graph.
struct Parts {
  std::string channels;  ///< [t, C]
  std::string newest;    ///< [1, C]
  std::string apart;     ///< [t, C]: channels less the newest
  std::string age;       ///< [t, 1]
  std::string last;      ///< [1, 1]: the last cycle
  std::string first;
};

Result<Parts> write_channels(GraphWriter& graph, const feature::Pipeline& pipeline) {
  const json::Value tables = pipeline.to_json();
  const auto& recipe = pipeline.recipe();
  const json::Value* kept_names = tables.find("kept_sensors");
  if (!kept_names || !kept_names->is_array()) return cannot("the pipeline has no fused channels");
  TRY_LET(const auto mean, matrix(tables, "mean"));
  TRY_LET(const auto inverse_spread, matrix(tables, "inverse_spread"));
  TRY_LET(const auto fusion, matrix(tables, "fusion"));
  const std::size_t kept = kept_names->as_array().size(), settings = recipe.settings.size(), regimes = mean.size() / kept;
  std::vector<std::int64_t> setting_columns, sensor_columns;
  for (std::size_t s = 0; s < settings; ++s) setting_columns.push_back(size(s));
  for (const json::Value& name : kept_names->as_array())
    for (std::size_t i = 0; i < pipeline.input_names().size(); ++i)
      if (pipeline.input_names()[i] == name.as_string()) sensor_columns.push_back(size(i));

  const std::string values = graph.gather("readings", graph.indices(sensor_columns), 1);
  std::string centre, scale;
  if (regimes > 1) {
    TRY_LET(const auto set_points, matrix(tables, "set_points"));
    std::vector<double> tolerances;
    for (const auto& setting : recipe.settings) tolerances.push_back(setting.tolerance);
    const std::string told = graph.gather("readings", graph.indices(setting_columns), 1);
    const std::string apart = graph.add("Sub", {graph.add("Unsqueeze", {told, graph.indices({1})}),
                                                graph.constant({1, size(regimes), size(settings)}, set_points)});
    const std::string in_tolerances = graph.add("Div", {apart, graph.constant({1, 1, size(settings)}, tolerances)});
    const std::string distance = graph.sum(graph.add("Mul", {in_tolerances, in_tolerances}), 2, false);
    const std::string regime =
        graph.add("ArgMin", {distance}, {Attribute::of("axis", std::int64_t{1}), Attribute::of("keepdims", std::int64_t{0})});
    centre = graph.gather(graph.constant({size(regimes), size(kept)}, mean), regime, 0);
    scale = graph.gather(graph.constant({size(regimes), size(kept)}, inverse_spread), regime, 0);
  } else {
    centre = graph.constant({1, size(kept)}, mean);
    scale = graph.constant({1, size(kept)}, inverse_spread);
  }
  const std::string scaled = graph.add("Mul", {graph.add("Sub", {values, centre}), scale});
  const std::string z = graph.add("Clip", {scaled, graph.constant(-max_z), graph.constant(max_z)});
  const std::size_t channels = fusion.size() / kept;
  std::vector<double> turned(fusion.size());
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t k = 0; k < kept; ++k) turned[k * channels + c] = fusion[c * kept + k];
  const std::string fused = graph.add("MatMul", {z, graph.constant({size(kept), size(channels)}, turned)});
  Parts parts;
  parts.channels = graph.cast(graph.cast(fused, Element::float32), Element::float64);  // as an engine's state keeps them
  parts.newest = graph.gather(parts.channels, graph.indices({-1}), 0);
  parts.apart = graph.add("Sub", {parts.channels, parts.newest});
  parts.last = graph.gather("cycles", graph.indices({-1}), 0);
  parts.first = graph.gather("cycles", graph.indices({0}), 0);
  parts.age = graph.add("Sub", {parts.last, "cycles"});
  return parts;
}

template <class T>
bool read_tail(std::string_view text, std::string_view head, T& number) {
  if (!text.starts_with(head)) return false;
  const auto [end, code] = std::from_chars(text.data() + head.size(), text.data() + text.size(), number);
  return code == std::errc() && end == text.data() + text.size();
}

/// What a block's feature is of every channel, [1, C]; by the names that ml/feature/tables.cc gives.
Result<std::string> write_feature(GraphWriter& graph, const Parts& parts, std::string_view name) {
  if (name == "last") return parts.newest;
  double rate = 0;
  if (read_tail(name, "ewma", rate)) {
    const std::string fade = graph.add("Pow", {graph.constant(1 - rate), parts.age});
    const std::string weight = graph.add("Mul", {fade, graph.constant(rate)});
    return graph.add("Div", {graph.sum(graph.add("Mul", {weight, parts.channels}), 0), graph.sum(weight, 0)});
  }
  int window = 0;
  const bool mean = read_tail(name, "mean", window), slope = !mean && read_tail(name, "slope", window);
  if (!mean && !slope && !read_tail(name, "spread", window)) return cannot(fmt::format("the feature '{}' is not expressed", name));
  const std::string within = graph.cast(graph.add("Less", {parts.age, graph.constant(window)}), Element::float64);
  const std::string n = graph.sum(within, 0);
  const std::string apart = graph.add("Mul", {within, parts.apart});
  const std::string sum = graph.sum(apart, 0);
  if (mean) return graph.add("Add", {parts.newest, graph.add("Div", {sum, n})});
  const auto times = [&graph](const std::string& a, const std::string& b) { return graph.add("Mul", {a, b}); };
  if (slope) {
    const std::string t = graph.add("Neg", {times(within, parts.age)});
    const std::string sum_t = graph.sum(t, 0);
    const std::string determinant = graph.add("Sub", {times(n, graph.sum(times(t, t), 0)), times(sum_t, sum_t)});
    const std::string numerator = graph.add("Sub", {times(n, graph.sum(times(t, parts.apart), 0)), times(sum_t, sum)});
    // A single reading has neither: its numerator is 0, and what it is divided by does not matter.
    return graph.add("Div", {numerator, graph.add("Max", {determinant, graph.constant(std::numeric_limits<double>::min())})});
  }
  const std::string average = graph.add("Div", {sum, n});
  const std::string variance =
      graph.add("Sub", {graph.add("Div", {graph.sum(times(apart, parts.apart), 0), n}), times(average, average)});
  return graph.add("Sqrt", {graph.add("Max", {variance, graph.constant(0)})});
}

/// The fitted lives of engines whose count is known, as the graph's are, on the features `before` them: [1, fits] as float32.
Result<std::string> write_fits(GraphWriter& graph, const feature::Pipeline& pipeline, const std::string& before) {
  const json::Value tables = pipeline.to_json();
  const json::Value* all = tables.find("fits");
  const json::Value* declared = tables.find("fit_curved");
  if (!all || !all->is_array() || all->as_array().empty() || !declared || !declared->is_array())
    return cannot("the pipeline has no fits");
  const json::Value& fit = all->as_array().front();
  const json::Array& curved = declared->as_array();
  TRY_LET(const auto centre, matrix(fit, "centre"));
  TRY_LET(const auto scale, matrix(fit, "scale"));
  TRY_LET(const auto weight, matrix(fit, "weight"));
  TRY_LET(const auto base, matrix(fit, "base"));
  const std::size_t fits = base.size(), terms = weight.size() / fits;
  const std::vector<std::int64_t> width = {1, size(centre.size())};
  const std::string apart = graph.add("Sub", {graph.cast(before, Element::float64), graph.constant(width, centre)});
  constexpr double max_fit_z = 4;  // ml/feature/detail/tables.h
  const std::string scaled = graph.add("Mul", {apart, graph.constant(width, scale)});
  std::string z = graph.add("Clip", {scaled, graph.constant(-max_fit_z), graph.constant(max_fit_z)});
  std::vector<std::int64_t> first, second;
  for (std::size_t a = 0; a < curved.size(); ++a)
    for (std::size_t b = a; b < curved.size(); ++b) {
      first.push_back(curved[a].as_integer());
      second.push_back(curved[b].as_integer());
    }
  if (!first.empty()) {
    const std::string left = graph.gather(z, graph.indices(first), 1), right = graph.gather(z, graph.indices(second), 1);
    z = graph.concat({z, graph.add("Mul", {left, right})}, 1);
  }
  std::vector<double> turned(weight.size());
  for (std::size_t f = 0; f < fits; ++f)
    for (std::size_t t = 0; t < terms; ++t) turned[t * fits + f] = weight[f * terms + t];
  const std::string sums = graph.add("MatMul", {z, graph.constant({size(terms), size(fits)}, turned)});
  return graph.cast(graph.add("Add", {sums, graph.constant({1, size(fits)}, base)}), Element::float32);
}

}  // namespace

Result<onnx::Model> write_onnx_readings(const Artifact& artifact) {
  const feature::Pipeline& pipeline = artifact.pipeline;
  onnx::Model model = begin_onnx(artifact);
  GraphWriter graph(model.graph);
  model.graph.inputs = {{.name = "readings", .type = Element::float64, .dims = {-1, size(pipeline.input_names().size())}},
                        {.name = "cycles", .type = Element::float64, .dims = {-1, 1}}};
  TRY_LET(const Parts parts, write_channels(graph, pipeline));

  // Features come channel by channel, each of the same block; then what is told of the engine as a whole.
  const auto& names = pipeline.feature_names();
  std::vector<std::string> block;
  std::size_t f = 0;
  for (; f < names.size() && names[f].starts_with("health."); ++f) {
    TRY_LET(block.emplace_back(), write_feature(graph, parts, std::string_view(names[f]).substr(7)));
  }
  if (block.empty()) return cannot("the pipeline has no fused channels");
  std::size_t channels = 1;
  for (; f < names.size() && names[f].starts_with(fmt::format("drift{}.", channels)); f += block.size(), ++channels)
    for (std::size_t b = 0; b < block.size(); ++b)
      if (f + b >= names.size() || names[f + b] != fmt::format("drift{}.{}", channels, names[b].substr(7)))
        return cannot("the channels' features differ");
  const std::string by_channel =
      graph.add("Transpose", {graph.concat(block, 0)}, {Attribute::of("perm", std::vector<std::int64_t>{1, 0})});
  std::vector<std::string> row = {graph.add("Reshape", {by_channel, graph.indices({1, size(channels * block.size())})})};
  for (; f < names.size() && !names[f].starts_with("life."); ++f) {
    if (names[f] == "cycle")
      row.push_back(parts.last);
    else if (names[f] == "history")
      row.push_back(graph.add("Add", {graph.add("Sub", {parts.last, parts.first}), graph.constant(1)}));
    else if (names[f] == "joined")  // 1: its first reading is not of its first cycle
      row.push_back(graph.cast(graph.add("Greater", {parts.first, graph.constant(1)}), Element::float64));
    else
      return cannot(fmt::format("the feature '{}' is not expressed", names[f]));
  }
  const std::string whole = row.size() == 1 ? row[0] : graph.concat(row, 1);
  const auto as_float = Attribute::of("to", static_cast<std::int64_t>(Element::float32));
  if (f == names.size()) {
    graph.add("Cast", {whole}, {as_float}, "features");
  } else {
    const std::string before = graph.cast(whole, Element::float32);
    TRY_LET(const std::string fits, write_fits(graph, pipeline, before));
    graph.add("Concat", {before, fits}, {Attribute::of("axis", std::int64_t{1})}, "features");
  }
  TRY_LET(const Element type, append_model(model, artifact, "features"));
  model.graph.outputs = {{.name = "rul", .type = type, .dims = {1, 1}},
                         {.name = "features", .type = Element::float32, .dims = {1, size(names.size())}}};
  return model;
}

}  // namespace nacelle::model
