#include "service/workbench/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <fstream>

#include "codec/digest/digest.h"
#include "ml/dataset/labels.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"

namespace nacelle::workbench {

namespace {

constexpr std::string_view where = "trial";

json::Value plan_json(const trainer::Plan& plan) {
  return json::Object{{"name", plan.model_name},
                      {"trainer", plan.trainer},
                      {"parameters", plan.parameters},
                      {"recipe", plan.recipe.to_json()},
                      {"cap", plan.cap},
                      {"folds", plan.folds},
                      {"stride", plan.fold_row_stride},
                      {"lateJoins", plan.late_joins},
                      {"cutsPerEngine", plan.cuts.per_engine},
                      {"cutMaxRul", plan.cuts.max_rul},
                      {"cutMinRows", plan.cuts.min_rows},
                      {"coverage", plan.coverage},
                      {"seed", plan.seed},
                      {"threads", plan.threads},
                      {"codeVersion", plan.code_version}};
}

template <class Whole>
Result<> read_whole(const json::Value& object, std::string_view key, Whole& to) {
  TRY_LET(const std::int64_t value, json::get_integer(object, key, where));
  if (value < 0) return fail(Fault::invalid_input, fmt::format("{}: {}: expected 0 or more", where, key));
  to = static_cast<Whole>(value);
  return {};
}

Result<trainer::Plan> read_plan(const json::Value& object) {
  trainer::Plan plan;
  TRY_LET(plan.model_name, json::get_string(object, "name", where));
  TRY_LET(plan.trainer, json::get_string(object, "trainer", where));
  if (const json::Value* parameters = object.find("parameters")) plan.parameters = *parameters;
  const json::Value* recipe = object.find("recipe");
  if (!recipe) return fail(Fault::invalid_input, "trial: recipe: expected one");
  TRY_LET(plan.recipe, feature::Recipe::from_json(*recipe));
  TRY_LET(plan.cap, json::get_number(object, "cap", where));
  TRY(read_whole(object, "folds", plan.folds));
  TRY(read_whole(object, "stride", plan.fold_row_stride));
  TRY(read_whole(object, "lateJoins", plan.late_joins));
  TRY(read_whole(object, "cutsPerEngine", plan.cuts.per_engine));
  TRY_LET(plan.cuts.max_rul, json::get_number(object, "cutMaxRul", where));
  TRY(read_whole(object, "cutMinRows", plan.cuts.min_rows));
  TRY_LET(plan.coverage, json::get_number(object, "coverage", where));
  TRY(read_whole(object, "seed", plan.seed));
  TRY(read_whole(object, "threads", plan.threads));
  TRY_LET(plan.code_version, json::get_string(object, "codeVersion", where));
  if (plan.fold_row_stride == 0) return fail(Fault::invalid_input, "trial: stride: expected 1 or more");
  return plan;
}

Result<std::vector<std::string>> read_names(const json::Value& object, std::string_view key) {
  std::vector<std::string> names;
  const json::Value* list = object.find(key);
  if (!list || !list->is_array()) return fail(Fault::invalid_input, fmt::format("{}: {}: expected an array", where, key));
  for (const json::Value& item : list->as_array()) {
    if (!item.is_string()) return fail(Fault::invalid_input, fmt::format("{}: {}: expected text", where, key));
    names.push_back(item.as_string());
  }
  return names;
}

Result<json::Value> fit_artifact(const TrialRequest& request, const dataset::FleetTable& table) {
  if (!request.judged.is_array() || request.judged.as_array().empty())
    return fail(Fault::invalid_input, "trial: judged: expected the folds judged before");
  std::vector<trainer::JudgedFold> folds;
  for (const json::Value& item : request.judged.as_array()) {
    TRY_LET(trainer::JudgedFold fold, judged_from_json(item, request.plan.cap));
    folds.push_back(std::move(fold));
  }
  const trainer::CrossValidation judged = trainer::combine(std::move(folds), request.plan);
  TRY_LET(const model::Artifact artifact, trainer::train(table, request.plan, judged));
  const Bytes bytes = model::encode_artifact(artifact);
  TRY(write_whole(request.artifact, bytes));
  return json::Value(json::Object{{"sha256", digest::sha256_hex(bytes)}});
}

}  // namespace

Result<dataset::FleetTable> load_fleet(const DataReference& reference) {
  if (reference.data.empty()) return fail(Fault::invalid_input, "expected data: a file or a data set's name, found none");
  std::vector<dataset::FleetTable> tables;
  for (const std::string& one : reference.data) {
    TRY_LET(dataset::FleetTable table, load_table(one, reference.schema));
    tables.push_back(std::move(table));
  }
  dataset::FleetTable table = tables.size() == 1 ? std::move(tables.front()) : join_tables(std::move(tables));
  if (reference.rul.empty()) return table;
  TRY_LET(std::vector<double> rul, load_rul(reference.rul));
  return dataset::with_end_rul(std::move(table), std::move(rul), reference.rul);
}

json::Value TrialRequest::to_json() const {
  json::Array data, fold_list;
  for (const std::string& one : source.data) data.emplace_back(one);
  for (const std::size_t fold : folds) fold_list.emplace_back(fold);
  return json::Object{{"data", std::move(data)},   {"rul", source.rul},       {"schema", source.schema},
                      {"dataSha256", data_sha256}, {"plan", plan_json(plan)}, {"folds", std::move(fold_list)},
                      {"artifact", artifact},      {"judged", judged},        {"memoryMb", memory_mb},
                      {"seconds", seconds}};
}

Result<TrialRequest> TrialRequest::from_json(const json::Value& document) {
  TrialRequest request;
  TRY_LET(request.source.data, read_names(document, "data"));
  TRY_LET(request.source.rul, json::get_string(document, "rul", where));
  TRY_LET(request.source.schema, json::get_string(document, "schema", where));
  TRY_LET(request.data_sha256, json::get_string(document, "dataSha256", where));
  const json::Value* plan = document.find("plan");
  if (!plan) return fail(Fault::invalid_input, "trial: plan: expected an object");
  TRY_LET(request.plan, read_plan(*plan));
  const json::Value* folds = document.find("folds");
  if (!folds || !folds->is_array()) return fail(Fault::invalid_input, "trial: folds: expected an array");
  for (const json::Value& fold : folds->as_array()) {
    if (!fold.is_integer() || fold.as_integer() < 0) return fail(Fault::invalid_input, "trial: folds: expected whole numbers");
    request.folds.push_back(static_cast<std::size_t>(fold.as_integer()));
  }
  TRY_LET(request.artifact, json::get_string(document, "artifact", where));
  if (const json::Value* judged = document.find("judged")) request.judged = *judged;
  TRY(read_whole(document, "memoryMb", request.memory_mb));
  TRY_LET(request.seconds, json::get_number(document, "seconds", where));
  return request;
}

json::Value judged_to_json(const trainer::JudgedFold& judged, std::size_t index) {
  json::Array held, cuts;
  for (const std::size_t engine : judged.fold.held_out) held.emplace_back(engine);
  for (const trainer::Cut& cut : judged.cuts) cuts.emplace_back(json::Array{cut.engine, cut.row, cut.truth, cut.predicted});
  return json::Object{{"fold", index}, {"heldOut", std::move(held)}, {"cuts", std::move(cuts)}};
}

Result<trainer::JudgedFold> judged_from_json(const json::Value& document, double cap) {
  const auto wrong = [] { return fail(Fault::corrupt, "judged fold: expected heldOut and cuts of four numbers"); };
  trainer::JudgedFold judged;
  const json::Value* held = document.find("heldOut");
  const json::Value* cuts = document.find("cuts");
  if (!held || !held->is_array() || !cuts || !cuts->is_array()) return wrong();
  for (const json::Value& engine : held->as_array()) {
    if (!engine.is_integer() || engine.as_integer() < 0) return wrong();
    judged.fold.held_out.push_back(static_cast<std::size_t>(engine.as_integer()));
  }
  std::vector<double> truth, predicted;
  for (const json::Value& item : cuts->as_array()) {
    const bool four = item.is_array() && item.as_array().size() == 4 && item.as_array()[0].is_integer() &&
                      item.as_array()[1].is_integer() && item.as_array()[2].is_number() && item.as_array()[3].is_number();
    if (!four) return wrong();
    const json::Array& cut = item.as_array();
    judged.cuts.push_back({.engine = static_cast<std::size_t>(cut[0].as_integer()),
                           .row = static_cast<std::size_t>(cut[1].as_integer()),
                           .truth = cut[2].as_number(),
                           .predicted = cut[3].as_number()});
    truth.push_back(std::min(judged.cuts.back().truth, cap));
    predicted.push_back(judged.cuts.back().predicted);
  }
  judged.fold.metrics = evaluation::measure(truth, predicted);
  return judged;
}

Result<json::Value> run_trial(const TrialRequest& request, const dataset::FleetTable& table) {
  if (table.content_hash() != request.data_sha256)
    return fail(Fault::conflict, fmt::format("the data are not what the experiment began with (SHA-256 {} then, {} now)",
                                             request.data_sha256.substr(0, 12), table.content_hash().substr(0, 12)));
  if (!request.artifact.empty()) return fit_artifact(request, table);
  json::Array folds;
  for (const std::size_t index : request.folds) {
    TRY_LET(const trainer::JudgedFold judged, trainer::judge_fold(table, request.plan, index));
    for (const trainer::Cut& cut : judged.cuts)
      if (!std::isfinite(cut.predicted))
        return fail(Fault::invalid_input, fmt::format("fold {}: a prediction is not a number", index));
    folds.emplace_back(judged_to_json(judged, index));
  }
  return json::Value(json::Object{{"folds", std::move(folds)}});
}

namespace {

class LocalWorkers final : public TrialWorkers {
 public:
  explicit LocalWorkers(const dataset::FleetTable& table) : table_(table) {}
  std::size_t room() const override { return waiting_.empty() ? 1 : 0; }
  Result<> start(std::size_t ticket, const TrialRequest& request) override {
    waiting_.emplace_back(ticket, request);
    return {};
  }
  Result<Done> next() override {
    INVARIANT(!waiting_.empty(), "next() is called after start()");
    const auto [ticket, request] = std::move(waiting_.front());
    waiting_.pop_front();
    return Done{ticket, run_trial(request, table_)};
  }

 private:
  const dataset::FleetTable& table_;
  std::deque<std::pair<std::size_t, TrialRequest>> waiting_;
};

}  // namespace

std::unique_ptr<TrialWorkers> make_local_workers(const dataset::FleetTable& table) { return std::make_unique<LocalWorkers>(table); }

}  // namespace nacelle::workbench
