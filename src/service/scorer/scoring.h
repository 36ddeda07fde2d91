#pragma once
// Scoring requests of every dialect, turned into rows and predicted by one function. Pure: documents in, documents out.
//
// Stateless: the records of one engine within one request are that engine's history, fed in the order given. A single
// record is an engine whose history starts there. Records name their engine by `ConnectionDeviceId` or `unit`; without a
// name, a CycleTime below the one before starts another engine (so that a whole test set can be sent as one list).

#include <optional>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"
#include "ml/model/estimator.h"

namespace nacelle::scorer {

/// One reading of one engine.
struct Row {
  std::optional<std::string> engine;  ///< none: not named
  feature::Reading reading;
};

/// The prediction of each row, in cycles, given the rows before it of the same engine. Fault::invalid_input names the record.
/// With `explanations`: for each row what channels and features add, in cycles; Fault::unavailable if the model does not tell.
Result<std::vector<double>> predict(const model::Estimator& estimator, const std::vector<Row>& rows,
                                    std::vector<json::Value>* explanations = nullptr);

/// The tutorial's form: an object or a list of objects in; the same with `PredictedRul` put in out. Fault::invalid_input:
/// "record 2 of 5: Sensor3: expected a number, found a string".
/// `explain`: with `Explanation` beside it, {"base":..,"channels":{..},"features":{..}}.
Result<json::Value> score(const model::Estimator& estimator, json::Value body, bool explain = false);

/// MLflow's scoring protocol: `dataframe_records`, `dataframe_split`, `instances` or `inputs`; answers {"predictions":[..]}.
Result<json::Value> invocations(const model::Estimator& estimator, const json::Value& body);
/// The same for text/csv with a header line.
Result<json::Value> invocations_csv(const model::Estimator& estimator, std::string_view body);

/// Open Inference v2: one tensor [n, 1 + inputs] of FP64, FP32 or INT64: CycleTime, then the model's inputs.
Result<json::Value> infer(const model::Estimator& estimator, const json::Value& body);
/// The v2 metadata document.
json::Value model_metadata(const model::Estimator& estimator);

}  // namespace nacelle::scorer
