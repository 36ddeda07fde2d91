#pragma once
// Pipeline: the declared features of a model, learned on training engines; one implementation, used in batch (training)
// and streaming (edge, scorer), bit for bit the same. Recipe: regimes, z-scores, fused channels, trailing windows.
//
//   TRY_LET(const Reading reading, reading_from_json(pipeline, body));  // {"CycleTime":7,"OperationalSetting1":...}
//   std::array<float, max_features> row;
//   TRY(pipeline.step(state, reading, row));                            // row[0 .. feature_count())

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/bytes.h"
#include "foundation/result.h"
#include "ml/feature/recipe.h"

namespace nacelle::feature {

/// One reading of one engine: cycle number (from 1), then settings and sensors in the pipeline's input order. A value that
/// is NaN or infinite is a silent channel: the last value seen of it is held (before any was seen: the fleet's mean).
struct Reading {
  std::int64_t cycle = 0;  ///< 0: not told; allowed only if the pipeline does not need it
  std::vector<double> values;
};

/// How an engine came to be known: the values of the feature "joined".
enum class Joined : std::uint8_t {
  new_engine = 0,     ///< its first reading was of its first cycle
  late = 1,           ///< it had run before; its cycle count says how long
  count_unknown = 2,  ///< its readings do not tell their cycle: nobody knows how long it has run
};
constexpr std::string_view joined_feature = "joined";

class Pipeline;

/// What the pipeline remembers of one engine: bounded (a few KiB), serialisable. A default-made state is a new engine.
class EngineState {
 public:
  struct Data;  ///< private to ml/feature

  EngineState();
  ~EngineState();
  EngineState(const EngineState&);
  EngineState(EngineState&&) noexcept;
  EngineState& operator=(const EngineState&);
  EngineState& operator=(EngineState&&) noexcept;

  std::int64_t last_cycle() const;  ///< 0: none seen. Of an engine whose count is not known: counted from its first reading
  bool count_known() const;         ///< false: readings came, and none told its cycle
  /// The state as bytes, and back (docs/formats/engine-state.md); Fault::corrupt; Fault::conflict if it was made by another
  /// pipeline: then start from a new state.
  Bytes serialise(const Pipeline& pipeline) const;
  static Result<EngineState> parse(BytesView bytes, const Pipeline& pipeline);

 private:
  friend class Pipeline;
  std::unique_ptr<Data> data_;
};

/// A row never has more features than this: rows may live on the stack.
constexpr std::size_t max_features = 1024;

/// Immutable once made; any thread. Copies share the learned tables.
class Pipeline {
 public:
  struct Tables;  ///< private to ml/feature

  /// What learn() needs of the training rows; the table is laid out engine after engine, cycles ascending.
  struct TrainingRows {
    std::size_t row_count = 0;
    std::vector<std::span<const double>> inputs;  ///< one column for each of recipe.input_names(), row_count long
    std::span<const std::int64_t> cycle;
    std::span<const double> rul;            ///< raw remaining life of each row
    std::vector<std::size_t> engine_begin;  ///< first row of each engine, and row_count at the end
  };
  /// Learns the tables from training engines only. Fault::invalid_input if there is too little to learn from.
  static Result<Pipeline> learn(const Recipe& recipe, const TrainingRows& rows);

  /// Features that are the named columns as they are (Recipe::identity). Fault::invalid_input.
  static Result<Pipeline> identity(const std::vector<std::string>& columns);
  static Result<Pipeline> from_json(const json::Value& document);  ///< Fault::corrupt
  json::Value to_json() const;                                     ///< reads back to the same bits
  const std::string& hash() const;                                 ///< SHA-256 hex of the printed document

  const Recipe& recipe() const;
  /// Names of a reading's values, as they are called in the JSON body: OperationalSetting1..3, Sensor1..21.
  const std::vector<std::string>& input_names() const;
  const std::vector<std::string>& feature_names() const;
  std::size_t feature_count() const;
  /// True if a reading must tell its cycle (JSON: CycleTime): recipe.cycle_count without recipe.joined.
  bool needs_cycle() const;

  /// Takes one reading in and writes the features of the engine's state to row[0 .. feature_count()); all finite.
  /// A repeated or late reading (cycle <= last_cycle) changes nothing, and the row is that of the newest reading.
  /// Cycles may be skipped. A reading that does not tell its cycle is the next one; as long as an engine has told none, its count
  /// is unknown, and once it tells one, what was seen before were the cycles just before that. True if the reading was taken in.
  /// Fault::invalid_input (wrong number of values, no cycle where one is needed, cycle below 0 or above 10^9) leaves the state as
  /// it was. Allocates nothing but a new engine's state.
  Result<bool> step(EngineState& state, const Reading& reading, std::span<float> row) const;
  /// The same with the values borrowed.
  Result<bool> step(EngineState& state, std::int64_t cycle, std::span<const double> values, std::span<float> row) const;

 private:
  friend class EngineState;
  static Result<Pipeline> identity_of(const Recipe& recipe);
  explicit Pipeline(std::shared_ptr<const Tables> tables);
  std::shared_ptr<const Tables> tables_;
};

/// A reading whose values are what `value_of` answers for each input name (NaN: silent).
Reading make_reading(const Pipeline& pipeline, std::int64_t cycle, const std::function<double(std::string_view name)>& value_of);

/// A reading from a telemetry body: CycleTime and the inputs by name; absent or null is silent; other members are ignored.
/// Fault::invalid_input if CycleTime is needed and absent, if a member is not a number, or if every input is absent.
Result<Reading> reading_from_json(const Pipeline& pipeline, const json::Value& body);

}  // namespace nacelle::feature
