#include "ml/model/regressor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "foundation/binary.h"
#include "ml/model/detail/smooth.h"

namespace nacelle::model {

using binary::put;
using binary::put_all;

double LinearModel::predict(const float* row) const {
  double sum = intercept;
  for (std::size_t f = 0; f < weight.size(); ++f) sum += weight[f] * ((static_cast<double>(row[f]) - centre[f]) * scale[f]);
  return sum;
}

void LinearModel::encode(Bytes& out) const {
  put(out, static_cast<std::uint32_t>(weight.size()));
  put(out, intercept);
  put_all(out, centre);
  put_all(out, scale);
  put_all(out, weight);
}

Result<LinearModel> LinearModel::decode(BytesView bytes) {
  binary::Reader in{bytes};
  LinearModel model;
  const auto count = in.take<std::uint32_t>();
  model.intercept = in.take<double>();
  in.take_all(model.centre, count);
  in.take_all(model.scale, count);
  in.take_all(model.weight, count);
  if (!in.good || !in.rest.empty()) return fail(Fault::corrupt, "linear model: its length does not fit its feature count");
  return model;
}

double LogLifeTrees::predict(const float* row) const { return exp_same(static_cast<double>(trees.predict(row))) - offset; }

void LogLifeTrees::encode(Bytes& out) const {
  put(out, offset);
  trees.encode(out);
}

Result<LogLifeTrees> LogLifeTrees::decode(BytesView bytes) {
  binary::Reader in{bytes};
  LogLifeTrees model;
  model.offset = in.take<double>();
  if (!in.good) return fail(Fault::corrupt, "log-life: it is cut off");
  TRY_LET(model.trees, TreeEnsemble::decode(in.rest));
  return model;
}

namespace {

std::string_view name_of(const TreeEnsemble&) { return "trees"; }
std::string_view name_of(const LinearModel&) { return "linear"; }
std::string_view name_of(const LogLifeTrees&) { return "log-life"; }
std::string_view name_of(const Blend&) { return "blend"; }
template <class Model>
std::string_view name_of(const Model&) {
  return Model::kind;
}

std::size_t features_of(const LinearModel& model) { return model.weight.size(); }
std::size_t features_of(const LogLifeTrees& model) { return model.trees.feature_count(); }
std::size_t features_of(const Blend& model) { return model.row_features; }
template <class Model>
std::size_t features_of(const Model& model) {
  return model.feature_count();
}

/// `Any` is Single or Regressor: the alternatives of the first are among those of the second.
template <class Any, class Model>
Result<Any> decode_as(BytesView bytes) {
  TRY_LET(Model model, Model::decode(bytes));
  return Any(std::move(model));
}

template <class Any>
Result<Any> decode_single(std::string_view kind, BytesView bytes) {
  if (kind == "trees") return decode_as<Any, TreeEnsemble>(bytes);
  if (kind == "linear") return decode_as<Any, LinearModel>(bytes);
  if (kind == Network::kind) return decode_as<Any, Network>(bytes);
  if (kind == KernelModel::kind) return decode_as<Any, KernelModel>(bytes);
  if (kind == TrajectoryLibrary::kind) return decode_as<Any, TrajectoryLibrary>(bytes);
  if (kind == "log-life") return decode_as<Any, LogLifeTrees>(bytes);
  return fail(Fault::corrupt, fmt::format("model: the kind '{}' is unknown", kind.substr(0, 32)));
}

constexpr std::size_t kind_bytes = 16;

}  // namespace

double Blend::predict(const float* row) const {
  std::array<float, max_columns> part;
  double sum = 0;
  for (const Member& member : members) {
    for (std::size_t c = 0; c < member.columns.size(); ++c) part[c] = row[member.columns[c]];
    const double one =
        std::visit([&part](const auto& model) { return static_cast<double>(model.predict(part.data())); }, member.model);
    sum += member.weight * std::clamp(one, 0.0, cap);
  }
  return sum;
}

void Blend::encode(Bytes& out) const {
  put(out, row_features);
  put(out, cap);
  put(out, static_cast<std::uint32_t>(members.size()));
  for (const Member& member : members) {
    Bytes body;
    std::visit([&body](const auto& model) { model.encode(body); }, member.model);
    Bytes kind(std::visit([](const auto& model) { return name_of(model); }, member.model));
    kind.resize(kind_bytes, '\0');
    out += kind;
    put(out, member.weight);
    put(out, static_cast<std::uint32_t>(member.columns.size()));
    put(out, static_cast<std::uint64_t>(body.size()));
    put_all(out, member.columns);
    out += body;
  }
}

Result<Blend> Blend::decode(BytesView bytes) {
  const auto wrong = [](std::string_view what) { return fail(Fault::corrupt, fmt::format("blend: {}", what)); };
  binary::Reader in{bytes};
  Blend blend;
  blend.row_features = in.take<std::uint32_t>();
  blend.cap = in.take<double>();
  const auto count = in.take<std::uint32_t>();
  if (!in.good || count == 0 || count > max_members) return wrong("expected 1 to 64 members");
  if (!(blend.cap >= 0)) return wrong("expected a cap of 0 or more");
  for (std::uint32_t m = 0; m < count; ++m) {
    const BytesView padded = in.take_bytes(kind_bytes);
    const auto weight = in.take<double>();
    const auto column_count = in.take<std::uint32_t>();
    const auto body_size = in.take<std::uint64_t>();
    std::vector<std::uint16_t> columns;
    in.take_all(columns, column_count);
    const BytesView body = in.take_bytes(body_size);
    if (!in.good || columns.size() > max_columns) return wrong("its length does not fit its counts");
    for (const std::uint16_t column : columns)
      if (column >= blend.row_features) return wrong(fmt::format("column {} of {} is used", column, blend.row_features));
    TRY_LET(Single model, decode_single<Single>(padded.substr(0, padded.find('\0')), body));
    if (feature_count(model) != columns.size()) return wrong("a member has other features than columns");
    blend.members.push_back({.weight = weight, .columns = std::move(columns), .model = std::move(model)});
  }
  if (!in.rest.empty()) return wrong("its length does not fit its counts");
  return blend;
}

std::string_view kind_of(const Regressor& regressor) {
  return std::visit([](const auto& model) { return name_of(model); }, regressor);
}

std::size_t feature_count(const Single& single) {
  return std::visit([](const auto& model) { return features_of(model); }, single);
}

std::size_t feature_count(const Regressor& regressor) {
  return std::visit([](const auto& model) { return features_of(model); }, regressor);
}

double predict(const Regressor& regressor, std::span<const float> row) {
  INVARIANT(row.size() >= feature_count(regressor), "a row has all features");
  return std::visit([&row](const auto& model) { return static_cast<double>(model.predict(row.data())); }, regressor);
}

Bytes encode(const Regressor& regressor) {
  Bytes out;
  std::visit([&out](const auto& model) { model.encode(out); }, regressor);
  return out;
}

Result<Regressor> decode(std::string_view kind, BytesView bytes) {
  if (kind == "blend") return decode_as<Regressor, Blend>(bytes);
  return decode_single<Regressor>(kind, bytes);
}

}  // namespace nacelle::model
