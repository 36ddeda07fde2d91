#include "ml/model/import.h"

#include <fmt/format.h>

#include <cmath>

#include "codec/digest/digest.h"
#include "codec/json/ubj.h"
#include "ml/model/onnx_trees.h"
#include "ml/model/xgboost_json.h"

namespace nacelle::model {

namespace {

constexpr json::ParseLimits limits{.max_bytes = 256u << 20, .max_depth = 64};
constexpr double no_cap = 1e9;

struct Read {
  std::string_view format;
  TreeEnsemble trees;
  std::vector<std::string> columns;
  double cap = no_cap;
};

Result<Read> read_document(std::string_view format, Result<json::Value> document) {
  if (!document) return fail(std::move(document).error());
  Read read{.format = format, .trees = {}, .columns = {}};
  TRY_LET(read.trees, read_xgboost(*document));
  TRY_LET(read.columns, read_xgboost_feature_names(*document));
  return read;
}

Result<Read> read_any(BytesView bytes) {
  if (bytes.starts_with("binf") || bytes.starts_with("CONFIG"))
    return fail(Fault::invalid_input, "model: XGBoost's old binary format is not supported; save it as .json or .ubj");
  if (bytes.starts_with("{")) {
    const std::size_t next = bytes.find_first_not_of(" \t\r\n", 1);
    const bool text = next != BytesView::npos && (bytes[next] == '"' || bytes[next] == '}');
    return text ? read_document("xgboost-json", json::parse(bytes, limits))
                : read_document("xgboost-ubj", json::parse_ubj(bytes, limits));
  }
  TRY_LET(const onnx::Model model, onnx::decode(bytes));
  TRY_LET(OnnxTrees onnx, read_onnx_trees(model));
  Read read{.format = "onnx", .trees = std::move(onnx.trees), .columns = std::move(onnx.feature_names)};
  if (onnx.high && std::isfinite(*onnx.high) && *onnx.high > 0) read.cap = *onnx.high;
  return read;
}

}  // namespace

Result<Artifact> import_model(BytesView bytes, const ImportOptions& options) {
  TRY_LET(Read read, read_any(bytes));
  const std::vector<std::string>& columns = options.columns.empty() ? read.columns : options.columns;
  if (columns.empty() && read.trees.feature_count() > 0)
    return fail(Fault::invalid_input, fmt::format("model: it does not name its {} features; say what they are called in readings",
                                                  read.trees.feature_count()));
  if (columns.size() != read.trees.feature_count())
    return fail(Fault::invalid_input,
                fmt::format("model: it takes {} features, {} are named", read.trees.feature_count(), columns.size()));
  if (!(options.cap >= 0 && std::isfinite(options.cap)))
    return fail(Fault::invalid_input, fmt::format("model: expected a cap above 0, found {}", options.cap));
  TRY_LET(feature::Pipeline pipeline, feature::Pipeline::identity(columns));
  return Artifact{
      .name = options.name,
      .cap = options.cap > 0 ? options.cap : read.cap,
      .intervals = {},
      .provenance =
          json::Object{
              {"trainer", "imported"},
              {"source", json::Object{{"format", read.format}, {"file", options.source}, {"sha256", digest::sha256_hex(bytes)}}},
              {"trees", read.trees.tree_count()},
              {"depth", read.trees.depth()}},
      .pipeline = std::move(pipeline),
      .regressor = std::move(read.trees)};
}

}  // namespace nacelle::model
