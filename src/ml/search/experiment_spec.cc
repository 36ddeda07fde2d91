#include "ml/search/experiment_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace nacelle::search {

namespace {

constexpr std::pair<std::string_view, Metric> metrics[] = {
    {"rmse", Metric::rmse}, {"mae", Metric::mae}, {"phm08PerEngine", Metric::phm08_per_engine}, {"rmseRaw", Metric::rmse_raw}};

/// An object's members, each taken at most once; what is left at the end is unknown.
class Members {
 public:
  static Result<Members> of(const json::Value& object, std::string where) {
    if (!object.is_object())
      return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", where, json::type_name(object)));
    return Members(object.as_object(), std::move(where));
  }
  const json::Value* take(std::string_view key) {
    taken_.emplace_back(key);
    return object_->find(key);
  }
  Result<> number(std::string_view key, double& to, double low, double high) {
    const json::Value* found = take(key);
    if (!found) return {};
    if (!found->is_number() || !(found->as_number() >= low && found->as_number() <= high))
      return fail(Fault::invalid_input, fmt::format("{}: {}: expected a number from {} to {}", where_, key, low, high));
    to = found->as_number();
    return {};
  }
  template <class Whole>
  Result<> whole(std::string_view key, Whole& to, std::int64_t low, std::int64_t high) {
    const json::Value* found = take(key);
    if (!found) return {};
    if (!found->is_integer() || found->as_integer() < low || found->as_integer() > high)
      return fail(Fault::invalid_input, fmt::format("{}: {}: expected a whole number from {} to {}", where_, key, low, high));
    to = static_cast<Whole>(found->as_integer());
    return {};
  }
  Result<> text(std::string_view key, std::string& to) {
    const json::Value* found = take(key);
    if (!found) return {};
    if (!found->is_string()) return fail(Fault::invalid_input, fmt::format("{}: {}: expected text", where_, key));
    to = found->as_string();
    return {};
  }
  Result<> done() const {
    for (const auto& [key, value] : *object_)
      if (std::find(taken_.begin(), taken_.end(), key) == taken_.end())
        return fail(Fault::invalid_input, fmt::format("{}: the member '{}' is unknown", where_, key));
    return {};
  }

 private:
  Members(const json::Object& object, std::string where) : object_(&object), where_(std::move(where)) {}
  const json::Object* object_;
  std::string where_;
  std::vector<std::string> taken_;
};

/// Reads the object at `key` by `read`; absent: nothing.
template <class Read>
Result<> nested(Members& members, std::string_view key, Read read) {
  const json::Value* found = members.take(key);
  if (!found) return {};
  TRY_LET(Members inner, Members::of(*found, fmt::format("experiment: {}", key)));
  TRY(read(inner));
  return inner.done();
}

Result<> read_data(const json::Value* data, Experiment& experiment) {
  if (!data) return {};
  const auto wrong = [] { return fail(Fault::invalid_input, "experiment: data: expected a name or file, or an array of them"); };
  if (data->is_string()) {
    experiment.data = {data->as_string()};
    return {};
  }
  if (!data->is_array()) return wrong();
  for (const json::Value& item : data->as_array()) {
    if (!item.is_string()) return wrong();
    experiment.data.push_back(item.as_string());
  }
  return {};
}

Result<> read_spaces(const json::Value* spaces, Experiment& experiment) {
  constexpr std::size_t most = 100;
  if (!spaces || !spaces->is_array() || spaces->as_array().empty() || spaces->as_array().size() > most)
    return fail(Fault::invalid_input,
                fmt::format("experiment: spaces: expected an array of 1 to {} trainers or their spaces", most));
  for (const json::Value& item : spaces->as_array()) {
    TRY_LET(Space space, Space::from_json(item, fmt::format("experiment: spaces[{}]", experiment.spaces.size())));
    experiment.spaces.push_back(std::move(space));
  }
  return {};
}

Result<> read_metric(const json::Value* metric, Experiment& experiment) {
  if (!metric) return {};
  for (const auto& [name, value] : metrics)
    if (metric->is_string() && metric->as_string() == name) {
      experiment.metric = value;
      return {};
    }
  return fail(Fault::invalid_input, "experiment: metric: expected rmse, mae, phm08PerEngine or rmseRaw");
}

}  // namespace

std::string_view metric_name(Metric metric) {
  for (const auto& [name, value] : metrics)
    if (value == metric) return name;
  return "rmse";
}

Result<Experiment> Experiment::from_json(const json::Value& document) {
  Experiment e;
  TRY_LET(Members members, Members::of(document, "experiment"));
  TRY(members.text("name", e.name));
  TRY(read_data(members.take("data"), e));
  TRY(members.text("rul", e.rul));
  TRY(members.text("schema", e.schema));
  TRY(members.whole("seed", e.seed, 0, std::int64_t{1} << 53));
  TRY(read_spaces(members.take("spaces"), e));
  TRY(nested(members, "budget", [&e](Members& budget) -> Result<> {
    TRY(budget.whole("trials", e.trials, 1, 10'000));
    double seconds = 0;
    TRY(budget.number("seconds", seconds, 1, 1e7));
    if (seconds > 0) e.seconds = seconds;
    return {};
  }));
  TRY(nested(members, "halving", [&e](Members& halving) -> Result<> {
    TRY(halving.whole("keep_one_in", e.keep_one_in, 1, 100));
    return halving.whole("finalists", e.finalists, 1, 1000);
  }));
  TRY(members.whole("blend", e.blend, 0, 32));
  TRY(read_metric(members.take("metric"), e));
  TRY(members.whole("folds", e.folds, 2, 100));
  TRY(members.whole("fold_row_stride", e.fold_row_stride, 1, 100));
  TRY(members.number("cap", e.cap, 1, 1e6));
  TRY(members.number("coverage", e.coverage, 0.5, 0.99));
  TRY(nested(members, "cuts", [&e](Members& cuts) -> Result<> {
    TRY(cuts.whole("per_engine", e.cuts_per_engine, 1, 1000));
    TRY(cuts.number("max_rul", e.cut_max_rul, 1, 1e6));
    return cuts.whole("min_rows", e.cut_min_rows, 1, 100'000);
  }));
  if (const json::Value* recipe = members.take("recipe")) e.recipe = *recipe;
  TRY(members.whole("keep", e.keep, 1, 100));
  TRY(members.text("register", e.register_as));
  TRY(nested(members, "trial", [&e](Members& trial) -> Result<> {
    TRY(trial.whole("memory_mb", e.trial_memory_mb, 64, 1'000'000));
    TRY(trial.number("seconds", e.trial_seconds, 0.1, 1e6));
    return trial.whole("threads", e.trial_threads, 1, 256);
  }));
  TRY(members.done());
  return e;
}

json::Value Experiment::to_json() const {
  json::Array files, space_list;
  for (const Space& space : spaces) space_list.push_back(space.to_json());
  for (const std::string& reference : data) files.emplace_back(reference);
  json::Object budget{{"trials", trials}};
  if (seconds) budget.set("seconds", *seconds);
  json::Object object{
      {"name", name},
      {"data", std::move(files)},
      {"rul", rul},
      {"schema", schema},
      {"seed", seed},
      {"spaces", std::move(space_list)},
      {"budget", std::move(budget)},
      {"halving", json::Object{{"keep_one_in", keep_one_in}, {"finalists", finalists}}},
      {"blend", blend},
      {"metric", metric_name(metric)},
      {"folds", folds},
      {"fold_row_stride", fold_row_stride},
      {"cap", cap},
      {"coverage", coverage},
      {"cuts", json::Object{{"per_engine", cuts_per_engine}, {"max_rul", cut_max_rul}, {"min_rows", cut_min_rows}}},
      {"keep", keep},
      {"register", register_as},
      {"trial", json::Object{{"memory_mb", trial_memory_mb}, {"seconds", trial_seconds}, {"threads", trial_threads}}}};
  if (recipe) object.set("recipe", *recipe);
  return object;
}

}  // namespace nacelle::search
