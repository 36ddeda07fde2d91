#include "ml/model/regressor.h"

#include <fmt/format.h>

#include <cmath>

#include "ml/model/detail/binary.h"

namespace nacelle::model {

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
  BinaryReader in{bytes};
  LinearModel model;
  const auto count = in.take<std::uint32_t>();
  model.intercept = in.take<double>();
  in.take_all(model.centre, count);
  in.take_all(model.scale, count);
  in.take_all(model.weight, count);
  if (!in.good || !in.rest.empty()) return fail(Fault::corrupt, "linear model: its length does not fit its feature count");
  return model;
}

std::string_view kind_of(const Regressor& regressor) {
  return std::holds_alternative<TreeEnsemble>(regressor) ? "trees" : "linear";
}

std::size_t feature_count(const Regressor& regressor) {
  if (const auto* trees = std::get_if<TreeEnsemble>(&regressor)) return trees->feature_count();
  return std::get<LinearModel>(regressor).weight.size();
}

double predict(const Regressor& regressor, std::span<const float> row) {
  INVARIANT(row.size() >= feature_count(regressor), "a row has all features");
  if (const auto* trees = std::get_if<TreeEnsemble>(&regressor)) return static_cast<double>(trees->predict(row.data()));
  return std::get<LinearModel>(regressor).predict(row.data());
}

Bytes encode(const Regressor& regressor) {
  Bytes out;
  std::visit([&out](const auto& model) { model.encode(out); }, regressor);
  return out;
}

Result<Regressor> decode(std::string_view kind, BytesView bytes) {
  if (kind == "trees") {
    TRY_LET(TreeEnsemble trees, TreeEnsemble::decode(bytes));
    return Regressor(std::move(trees));
  }
  if (kind == "linear") {
    TRY_LET(LinearModel linear, LinearModel::decode(bytes));
    return Regressor(std::move(linear));
  }
  return fail(Fault::corrupt, fmt::format("model: expected the kind 'trees' or 'linear', found '{}'", kind));
}

}  // namespace nacelle::model
