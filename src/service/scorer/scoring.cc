#include "service/scorer/scoring.h"

#include <fmt/format.h>

#include <array>
#include <map>

#include "codec/text/encoding.h"

namespace nacelle::scorer {
namespace {

std::string place(std::size_t index, std::size_t count) { return fmt::format("record {} of {}", index + 1, count); }

/// The engine's name if the record has one; a unit number and its text are the same engine.
Result<std::optional<std::string>> engine_of(const json::Value& record) {
  for (const char* key : {"ConnectionDeviceId", "unit"}) {
    const json::Value* name = record.find(key);
    if (!name || name->is_null()) continue;
    if (name->is_string()) return std::optional(name->as_string());
    if (name->is_integer()) return std::optional(std::to_string(name->as_integer()));
    return fail(Fault::invalid_input,
                fmt::format("{}: expected a string or a whole number, found a {}", key, json::type_name(*name)));
  }
  return std::optional<std::string>{};
}

Result<Row> row_of_record(const model::Estimator& estimator, const json::Value& record) {
  if (!record.is_object())
    return fail(Fault::invalid_input, fmt::format("expected an object, found a {}", json::type_name(record)));
  Row row;
  TRY_LET(row.engine, engine_of(record));
  TRY_LET(row.reading, feature::reading_from_json(estimator.pipeline(), record));
  return row;
}

/// Values by position: CycleTime, then the inputs; CycleTime may be left out if the model does not need it.
Result<Row> row_of_values(const model::Estimator& estimator, const std::vector<double>& values) {
  const auto& names = estimator.pipeline().input_names();
  const bool with_cycle = values.size() == names.size() + 1;
  if (!with_cycle && (values.size() != names.size() || estimator.pipeline().needs_cycle()))
    return fail(Fault::invalid_input, fmt::format("expected {} numbers (CycleTime, {} to {}), found {}", names.size() + 1,
                                                  names.front(), names.back(), values.size()));
  Row row;
  if (with_cycle) {
    constexpr double max_cycle = 1e9;
    if (!(values[0] >= 0 && values[0] <= max_cycle))
      return fail(Fault::invalid_input, fmt::format("CycleTime: expected 0 to 1000000000, found {}", values[0]));
    row.reading.cycle = static_cast<std::int64_t>(values[0]);
  }
  row.reading.values.assign(values.begin() + (with_cycle ? 1 : 0), values.end());
  return row;
}

Result<Row> row_of_item(const model::Estimator& estimator, const json::Value& item) {
  if (!item.is_array()) return row_of_record(estimator, item);
  std::vector<double> values;
  for (const json::Value& value : item.as_array()) {
    if (!value.is_number())
      return fail(Fault::invalid_input,
                  fmt::format("value {}: expected a number, found a {}", values.size() + 1, json::type_name(value)));
    values.push_back(value.as_number());
  }
  return row_of_values(estimator, values);
}

Result<std::vector<Row>> rows_of_list(const model::Estimator& estimator, const json::Array& list) {
  std::vector<Row> rows;
  rows.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    TRY_LET(Row row, in(row_of_item(estimator, list[i]), place(i, list.size())));
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<const json::Array*> array_member(const json::Value& object, std::string_view key) {
  const json::Value* member = object.find(key);
  if (!member || !member->is_array())
    return fail(Fault::invalid_input,
                fmt::format("{}: expected an array, found {}", key, member ? json::type_name(*member) : "nothing"));
  return &member->as_array();
}

/// {"columns":[names],"data":[[values],..]} as records.
Result<json::Array> records_of_split(const json::Value& split) {
  TRY_LET(const json::Array* columns, array_member(split, "columns"));
  TRY_LET(const json::Array* data, array_member(split, "data"));
  json::Array records;
  for (const json::Value& values : *data) {
    if (!values.is_array() || values.as_array().size() != columns->size())
      return fail(Fault::invalid_input,
                  fmt::format("{}: expected {} values, one for each column", place(records.size(), data->size()), columns->size()));
    json::Object record;
    for (std::size_t c = 0; c < columns->size(); ++c) {
      if (!(*columns)[c].is_string()) return fail(Fault::invalid_input, "columns: expected strings");
      record.set((*columns)[c].as_string(), values.as_array()[c]);
    }
    records.emplace_back(std::move(record));
  }
  return records;
}

/// {"Sensor1":[values],"Sensor2":[values]} as records.
Result<json::Array> records_of_columns(const json::Object& columns) {
  json::Array records;
  bool first = true;
  for (const auto& [name, values] : columns) {
    if (!values.is_array())
      return fail(Fault::invalid_input, fmt::format("inputs: {}: expected an array, found a {}", name, json::type_name(values)));
    if (first) records.assign(values.as_array().size(), json::Object{});
    first = false;
    if (values.as_array().size() != records.size())
      return fail(Fault::invalid_input, fmt::format("inputs: {}: expected {} values as in the first column, found {}", name,
                                                    records.size(), values.as_array().size()));
    for (std::size_t i = 0; i < records.size(); ++i) records[i].as_object().set(name, values.as_array()[i]);
  }
  return records;
}

Result<json::Value> predictions_document(const model::Estimator& estimator, const json::Array& records) {
  TRY_LET(const std::vector<Row> rows, rows_of_list(estimator, records));
  TRY_LET(const std::vector<double> predicted, predict(estimator, rows));
  return json::Value(json::Object{{"predictions", json::Array(predicted.begin(), predicted.end())}});
}

/// What the newest prediction of `state` is made of. `reading` was taken in before: a repeated one changes nothing.
Result<json::Value> explanation_of(const model::Estimator& estimator, feature::EngineState& state, feature::Reading reading) {
  const feature::Pipeline& pipeline = estimator.pipeline();
  std::array<float, feature::max_features> row;
  reading.cycle = state.last_cycle();
  TRY(pipeline.step(state, reading, row));
  TRY_LET(const model::Explanation why, estimator.explain({row.data(), pipeline.feature_count()}));
  json::Object channels, features;
  for (const auto& part : model::by_channel(pipeline, why.features)) channels.set(part.name, part.cycles);
  for (std::size_t f = 0; f < why.features.size(); ++f) features.set(pipeline.feature_names()[f], why.features[f]);
  return json::Value(json::Object{{"base", why.base},
                                  {"method", model::method_name(why)},
                                  {"channels", std::move(channels)},
                                  {"features", std::move(features)}});
}

}  // namespace

Result<std::vector<double>> predict(const model::Estimator& estimator, const std::vector<Row>& rows,
                                    std::vector<json::Value>* explanations) {
  std::map<std::string, feature::EngineState> named;
  feature::EngineState unnamed;
  std::int64_t last_unnamed_cycle = 0;
  std::vector<double> predicted;
  predicted.reserve(rows.size());
  for (const Row& row : rows) {
    feature::EngineState* state = nullptr;
    if (row.engine) {
      state = &named[*row.engine];
    } else {
      if (row.reading.cycle < last_unnamed_cycle) unnamed = {};
      last_unnamed_cycle = row.reading.cycle;
      state = &unnamed;
    }
    TRY_LET(const double rul, in(estimator.step(*state, row.reading), place(predicted.size(), rows.size())));
    predicted.push_back(rul);
    if (!explanations) continue;
    TRY_LET(json::Value why, explanation_of(estimator, *state, row.reading));
    explanations->push_back(std::move(why));
  }
  return predicted;
}

Result<json::Value> score(const model::Estimator& estimator, json::Value body, bool explain) {
  if (!body.is_array() && !body.is_object())
    return fail(Fault::invalid_input,
                fmt::format("body: expected an object or a list of objects, found a {}", json::type_name(body)));
  const bool one = body.is_object();
  json::Array records;
  if (one)
    records.push_back(std::move(body));
  else
    records = std::move(body.as_array());
  std::vector<Row> rows;
  rows.reserve(records.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    TRY_LET(Row row, in(row_of_record(estimator, records[i]), place(i, records.size())));
    rows.push_back(std::move(row));
  }
  std::vector<json::Value> why;
  TRY_LET(const std::vector<double> predicted, predict(estimator, rows, explain ? &why : nullptr));
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].as_object().set("PredictedRul", predicted[i]);
    if (explain) records[i].as_object().set("Explanation", std::move(why[i]));
  }
  if (one) return std::move(records.front());
  return json::Value(std::move(records));
}

Result<json::Value> invocations(const model::Estimator& estimator, const json::Value& body) {
  if (!body.is_object())
    return fail(Fault::invalid_input,
                fmt::format("body: expected an object with dataframe_split, dataframe_records, instances or inputs, found a {}",
                            json::type_name(body)));
  const json::Value* given = nullptr;
  std::string form;
  for (const char* name : {"dataframe_split", "dataframe_records", "instances", "inputs"}) {
    const json::Value* member = body.find(name);
    if (!member) continue;
    if (given)
      return fail(Fault::invalid_input, fmt::format("body: expected exactly one of the forms, found {} and {}", form, name));
    given = member;
    form = name;
  }
  if (!given)
    return fail(Fault::invalid_input, "body: expected one of dataframe_split, dataframe_records, instances or inputs, found none");
  if (form == "dataframe_split") {
    TRY_LET(const json::Array records, in(records_of_split(*given), form));
    return predictions_document(estimator, records);
  }
  if (given->is_object() && (form == "inputs" || form == "instances")) {
    TRY_LET(const json::Array records, records_of_columns(given->as_object()));
    return predictions_document(estimator, records);
  }
  if (!given->is_array())
    return fail(Fault::invalid_input, fmt::format("{}: expected an array, found a {}", form, json::type_name(*given)));
  return predictions_document(estimator, given->as_array());
}

Result<json::Value> invocations_csv(const model::Estimator& estimator, std::string_view body) {
  std::vector<std::string_view> lines = text::split(body, '\n');
  while (!lines.empty() && text::trim(lines.back()).empty()) lines.pop_back();
  if (lines.empty()) return fail(Fault::invalid_input, "csv: expected a header line, found nothing");
  const std::vector<std::string_view> columns = text::split(text::trim(lines.front()), ',');
  json::Array records;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string_view> cells = text::split(text::trim(lines[i]), ',');
    if (cells.size() != columns.size())
      return fail(Fault::invalid_input,
                  fmt::format("csv, line {}: expected {} cells, found {}", i + 1, columns.size(), cells.size()));
    json::Object record;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string_view cell = text::trim(cells[c]);
      if (cell.empty()) continue;  // a silent channel
      const std::string name(text::trim(columns[c]));
      if (name == "ConnectionDeviceId" || name == "unit") {
        record.set(name, cell);
      } else {
        TRY_LET(const double number, in(text::parse_number(cell, name), fmt::format("csv, line {}", i + 1)));
        // CycleTime is a whole number in the JSON forms; keep it one here.
        const bool whole = number == static_cast<double>(static_cast<std::int64_t>(number)) && std::abs(number) < 1e15;
        record.set(name, whole ? json::Value(static_cast<std::int64_t>(number)) : json::Value(number));
      }
    }
    records.emplace_back(std::move(record));
  }
  return predictions_document(estimator, records);
}

}  // namespace nacelle::scorer
