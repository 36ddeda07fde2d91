// Blend: several trainers' models, weighted by how they do on engines that they did not learn from.

#include "ml/trainer/blend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/rows.h"
#include "ml/trainer/experiment.h"

namespace nacelle::trainer {

std::vector<double> weigh(const std::vector<std::vector<double>>& predictions, std::span<const double> truth) {
  const std::size_t members = predictions.size();
  std::vector<double> gram(members * members), by_truth(members), weights(members, 0.0);
  const auto product = [](std::span<const double> a, std::span<const double> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  for (std::size_t a = 0; a < members; ++a) {
    by_truth[a] = product(predictions[a], truth);
    for (std::size_t b = 0; b < members; ++b) gram[a * members + b] = product(predictions[a], predictions[b]);
  }
  // Members are much alike, so the descent is slow near its end; a round costs next to nothing.
  constexpr int max_rounds = 100'000;
  constexpr double still = 1e-10;
  for (int round = 0; round < max_rounds; ++round) {
    double moved = 0;
    for (std::size_t a = 0; a < members; ++a) {
      if (!(gram[a * members + a] > 0)) continue;
      double pull = by_truth[a];
      for (std::size_t b = 0; b < members; ++b) pull -= gram[a * members + b] * weights[b];
      const double next = std::max(0.0, weights[a] + pull / gram[a * members + a]);
      moved = std::max(moved, std::abs(next - weights[a]));
      weights[a] = next;
    }
    if (moved < still) break;
  }
  const bool nothing = std::all_of(weights.begin(), weights.end(), [](double w) { return w == 0; });
  if (nothing) std::fill(weights.begin(), weights.end(), 1 / static_cast<double>(members));
  return weights;
}

std::vector<double> blend(const std::vector<std::vector<double>>& predictions, std::span<const double> weights) {
  std::vector<double> sum(predictions.empty() ? 0 : predictions.front().size());
  for (std::size_t m = 0; m < predictions.size(); ++m)
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weights[m] * predictions[m][i];
  return sum;
}

namespace {

struct Member {
  const Trainer* trainer = nullptr;
  json::Value parameters = json::Object{};
};

Result<std::vector<Member>> read_members(const json::Value& list) {
  std::vector<Member> members;
  for (const json::Value& item : list.as_array()) {
    const std::string where = fmt::format("blend: members[{}]", members.size());
    Member member;
    std::string name = item.is_string() ? item.as_string() : "";
    if (item.is_object()) {
      TRY_LET(name, json::get_string(item, "trainer", where));
      if (const json::Value* parameters = item.find("parameters")) member.parameters = *parameters;
    } else if (!item.is_string()) {
      return fail(Fault::invalid_input,
                  fmt::format("{}: expected a trainer's name or an object, found {}", where, json::type_name(item)));
    }
    if (name == "blend") return fail(Fault::invalid_input, fmt::format("{}: a blend cannot be in a blend", where));
    TRY_LET(member.trainer, in(find_trainer(name), where));
    TRY(in(merge_parameters(*member.trainer, member.parameters), where));
    members.push_back(std::move(member));
  }
  if (members.empty() || members.size() > model::Blend::max_members)
    return fail(Fault::invalid_input,
                fmt::format("blend: members: expected 1 to {}, found {}", model::Blend::max_members, members.size()));
  return members;
}

/// Empty: to be learned.
Result<std::vector<double>> read_weights(const json::Value& list, std::size_t members) {
  std::vector<double> weights;
  for (const json::Value& item : list.as_array()) {
    if (!item.is_number() || !(item.as_number() >= 0 && item.as_number() <= 1000))
      return fail(Fault::invalid_input,
                  fmt::format("blend: weights: expected numbers from 0 to 1000, found {}", json::print(item)));
    weights.push_back(item.as_number());
  }
  if (!weights.empty() && weights.size() != members)
    return fail(Fault::invalid_input, fmt::format("blend: weights: expected {}, one a member, found {}", members, weights.size()));
  return weights;
}

/// Some rows and columns of a set.
TrainingSet part_of(const TrainingSet& set, const std::vector<std::size_t>& rows, const std::vector<std::uint16_t>& columns) {
  TrainingSet part;
  part.cap = set.cap;
  part.rows.rows = rows.size();
  part.rows.features = columns.size();
  if (!set.feature_names.empty())
    for (const std::uint16_t column : columns) part.feature_names.push_back(set.feature_names[column]);
  for (const std::size_t row : rows) {
    for (const std::uint16_t column : columns) part.rows.values.push_back(set.rows.row(row)[column]);
    part.target.push_back(set.target[row]);
    if (!set.engine.empty()) part.engine.push_back(set.engine[row]);
    if (!set.censored.empty()) part.censored.push_back(set.censored[row]);
  }
  return part;
}

class BlendTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "blend"; }
  std::string_view description() const override { return "several trainers' models, weighted by how they do out of fold"; }
  bool takes_censored() const override { return true; }  // members that do not are not shown such rows
  bool reads_sequence() const override { return true; }

  std::vector<Parameter> parameters() const override {
    return {{.name = "members",
             .standard = json::Array{"xgboost", "mlp", "survival"},
             .meaning = "trainers: names, or {\"trainer\":..,\"parameters\":{..}}"},
            {.name = "weights",
             .standard = json::Array{},
             .meaning = "one a member; empty: learned, by least squares with weights not below 0 on out-of-fold predictions"},
            {.name = "folds", .standard = 3, .low = 2, .high = 20, .meaning = "by engine, to learn the weights"}};
  }

  Result<> prepare(feature::Recipe& recipe, const json::Value& overrides) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, overrides));
    TRY_LET(const std::vector<Member> members, read_members(*parameters.find("members")));
    for (const Member& member : members) TRY(member.trainer->prepare(recipe, member.parameters));
    return {};
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    TRY_LET(const std::vector<Member> members, read_members(*parameters.find("members")));
    TRY_LET(std::vector<double> weights, read_weights(*parameters.find("weights"), members.size()));
    const std::size_t folds = weights.empty() ? std::min(count(parameters, "folds"), engines_in(set).size()) : 0;
    Steps steps{.all = members.size() * (folds + 1), .options = options};
    // Of one engine alone nothing can be held out: all have the same say.
    if (folds == 1) weights.assign(members.size(), 1 / static_cast<double>(members.size()));
    if (weights.empty()) {
      TRY_LET(weights, learn_weights(set, members, folds, steps));
    }
    model::Blend made{.row_features = static_cast<std::uint32_t>(set.rows.features), .cap = set.cap, .members = {}};
    for (std::size_t m = 0; m < members.size(); ++m) {
      if (weights[m] == 0) continue;  // it would be asked for nothing
      TRY_LET(model::Blend::Member member, fit_member(
                                               set, members[m], [](std::size_t) { return true; }, steps));
      member.weight = weights[m];
      made.members.push_back(std::move(member));
    }
    if (made.members.empty()) return fail(Fault::invalid_input, "blend: weights: expected one above 0");
    return model::Regressor(std::move(made));
  }

 private:
  struct Steps {
    std::size_t all = 1, done = 0;
    const FitOptions& options;
  };

  /// Fits to the rows that `learned` chooses.
  static Result<model::Blend::Member> fit_member(const TrainingSet& set, const Member& member,
                                                 const std::function<bool(std::size_t)>& learned, Steps& steps) {
    model::Blend::Member made;
    if (member.trainer->reads_sequence()) {
      for (std::size_t f = 0; f < set.rows.features; ++f) made.columns.push_back(static_cast<std::uint16_t>(f));
    } else {
      made.columns = plain_columns(set);
    }
    std::vector<std::size_t> rows;
    for (std::size_t row = 0; row < set.rows.rows; ++row) {
      const bool hidden = !set.censored.empty() && set.censored[row] != 0 && !member.trainer->takes_censored();
      if (!hidden && learned(row)) rows.push_back(row);
    }
    const FitOptions options{.parameters = member.parameters,
                             .seed = steps.options.seed,
                             .threads = steps.options.threads,
                             .progress = [&steps](double done) {
                               return !steps.options.progress || steps.options.progress((static_cast<double>(steps.done) + done) /
                                                                                        static_cast<double>(steps.all));
                             }};
    TRY_LET(model::Regressor regressor, member.trainer->fit(part_of(set, rows, made.columns), options));
    std::visit(
        [&made]<class Model>(Model&& model) {
          if constexpr (std::is_constructible_v<model::Single, Model>) made.model = std::forward<Model>(model);
        },
        std::move(regressor));
    ++steps.done;
    return made;
  }

  static Result<std::vector<double>> learn_weights(const TrainingSet& set, const std::vector<Member>& members, std::size_t folds,
                                                   Steps& steps) {
    const std::vector<std::uint32_t> engines = engines_in(set);
    TRY_LET(const auto dealt, deal_folds(engines.size(), folds, steps.options.seed));
    std::vector<std::size_t> fold_of(engines.back() + std::size_t{1});
    for (std::size_t fold = 0; fold < dealt.size(); ++fold)
      for (const std::size_t engine : dealt[fold]) fold_of[engines[engine]] = fold;

    std::vector<std::size_t> judged;  // rows whose end is known
    std::vector<double> truth;
    for (std::size_t row = 0; row < set.rows.rows; ++row)
      if (set.censored.empty() || set.censored[row] == 0) {
        judged.push_back(row);
        truth.push_back(static_cast<double>(set.target[row]));
      }
    std::vector<std::vector<double>> predictions;
    for (const Member& member : members) {
      std::vector<double>& of_member = predictions.emplace_back(judged.size());
      for (std::size_t fold = 0; fold < folds; ++fold) {
        const auto held = [&](std::size_t row) { return fold_of[set.engine[row]] == fold; };
        TRY_LET(model::Blend::Member fitted, fit_member(
                                                 set, member, [&](std::size_t row) { return !held(row); }, steps));
        fitted.weight = 1;
        const model::Blend alone{
            .row_features = static_cast<std::uint32_t>(set.rows.features), .cap = set.cap, .members = {std::move(fitted)}};
        for (std::size_t i = 0; i < judged.size(); ++i)
          if (held(judged[i])) of_member[i] = alone.predict(set.rows.row(judged[i]));
      }
    }
    return weigh(predictions, truth);
  }
};

}  // namespace

std::unique_ptr<Trainer> make_blend() { return std::make_unique<BlendTrainer>(); }

}  // namespace nacelle::trainer
