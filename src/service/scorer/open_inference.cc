// Open Inference Protocol v2, REST: tensors in, tensors out. Source: kserve/open-inference-protocol, inference_rest.md.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "service/scorer/scoring.h"

namespace nacelle::scorer {
namespace {

/// The numbers of `data`, which may be flat or nested, in row-major order.
Result<> flatten(const json::Value& data, std::vector<double>& out, int depth = 0) {
  if (data.is_number()) {
    out.push_back(data.as_number());
    return {};
  }
  if (!data.is_array() || depth > 2)
    return fail(Fault::invalid_input,
                fmt::format("data: element {}: expected a number, found a {}", out.size() + 1, json::type_name(data)));
  for (const json::Value& item : data.as_array()) TRY(flatten(item, out, depth + 1));
  return {};
}

bool is_number_type(std::string_view type) {
  constexpr std::string_view known[] = {"FP64", "FP32", "INT64", "INT32"};
  return std::find(std::begin(known), std::end(known), type) != std::end(known);
}

struct Tensor {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values;
};

Result<Tensor> read_tensor(const json::Value& input) {
  TRY_LET(const std::string type, json::get_string(input, "datatype", "inputs"));
  if (!is_number_type(type))
    return fail(Fault::invalid_input, fmt::format("inputs: datatype: expected FP64, FP32, INT64 or INT32, found '{}'", type));
  const json::Value* shape = input.find("shape");
  if (!shape || !shape->is_array() || shape->as_array().size() != 2)
    return fail(Fault::invalid_input, "inputs: shape: expected [rows, columns]");
  for (const json::Value& extent : shape->as_array())
    if (!extent.is_integer() || extent.as_integer() < 0 || extent.as_integer() > 10'000'000)
      return fail(Fault::invalid_input, "inputs: shape: expected whole numbers from 0 to 10000000");
  Tensor tensor;
  tensor.rows = static_cast<std::size_t>(shape->as_array()[0].as_integer());
  tensor.columns = static_cast<std::size_t>(shape->as_array()[1].as_integer());
  const json::Value* data = input.find("data");
  if (!data || !data->is_array()) return fail(Fault::invalid_input, "inputs: data: expected an array");
  TRY(in(flatten(*data, tensor.values), "inputs"));
  if (tensor.values.size() != tensor.rows * tensor.columns)
    return fail(Fault::invalid_input, fmt::format("inputs: data: shape {} x {} wants {} numbers, found {}", tensor.rows,
                                                  tensor.columns, tensor.rows * tensor.columns, tensor.values.size()));
  return tensor;
}

}  // namespace

Result<json::Value> infer(const model::Estimator& estimator, const json::Value& body) {
  const json::Value* inputs = body.find("inputs");
  if (!inputs || !inputs->is_array() || inputs->as_array().size() != 1)
    return fail(Fault::invalid_input, "inputs: expected a list of exactly one tensor");
  TRY_LET(const Tensor tensor, read_tensor(inputs->as_array().front()));

  // The same path as /score: each row becomes the list form that /invocations takes.
  json::Array list;
  list.reserve(tensor.rows);
  for (std::size_t r = 0; r < tensor.rows; ++r) {
    const auto begin = tensor.values.begin() + static_cast<std::ptrdiff_t>(r * tensor.columns);
    list.emplace_back(json::Array(begin, begin + static_cast<std::ptrdiff_t>(tensor.columns)));
  }
  TRY_LET(const json::Value answer, invocations(estimator, json::Object{{"instances", std::move(list)}}));

  json::Object output{{"name", "PredictedRul"}, {"datatype", "FP64"}, {"data", *answer.find("predictions")}};
  json::Array shape;
  shape.emplace_back(static_cast<std::int64_t>(tensor.rows));
  output.set("shape", std::move(shape));
  json::Array outputs;
  outputs.emplace_back(std::move(output));
  json::Object document{{"model_name", estimator.name()}};
  if (const json::Value* id = body.find("id")) document.set("id", *id);
  document.set("outputs", std::move(outputs));
  return json::Value(std::move(document));
}

json::Value model_metadata(const model::Estimator& estimator) {
  const auto tensor = [](std::string_view name, json::Array shape) {
    return json::Value(json::Object{{"name", name}, {"datatype", "FP64"}, {"shape", std::move(shape)}});
  };
  json::Array wanted, given, inputs, outputs;
  wanted.emplace_back(-1);
  wanted.emplace_back(static_cast<std::int64_t>(estimator.pipeline().input_names().size() + 1));
  given.emplace_back(-1);
  inputs.push_back(tensor("reading", std::move(wanted)));
  outputs.push_back(tensor("PredictedRul", std::move(given)));
  json::Object document{{"name", estimator.name()}, {"platform", "nacelle_artifact"}};
  document.set("inputs", std::move(inputs));
  document.set("outputs", std::move(outputs));
  return document;
}

}  // namespace nacelle::scorer
