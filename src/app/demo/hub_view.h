#pragma once
// What the demo asks of the hub and reads from its folders, to count from the outside.

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "app/demo/cli.h"
#include "codec/json/value.h"
#include "foundation/result.h"
#include "ml/dataset/fleet_table.h"

namespace nacelle::app::demo {

class HubView {
 public:
  explicit HubView(std::filesystem::path folder) : folder_(std::move(folder)) {}
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path captured(const std::string& container) const { return folder_ / "objects/capture" / container; }
  std::filesystem::path uploads() const { return folder_ / "objects/uploads"; }

  Result<json::Value> get(const std::string& target) const;
  /// Back when everything acknowledged before is in whole capture files.
  Result<> flush_capture() const;
  /// Messages that a route has taken so far.
  Result<std::uint64_t> routed(const std::string& route) const;

 private:
  std::filesystem::path folder_;
};

/// Asks again until `done` answers true. Fault::timed_out names what was waited for.
Result<> wait_until(std::string_view what, std::chrono::seconds within, const std::function<Result<bool>()>& done);

/// An engine's reading, wherever it is met.
using ReadingKey = std::pair<std::string, std::int64_t>;  // device, cycle

/// The readings that devices `Client_{first_unit - 1 + unit}` send of the first `engines` engines.
std::set<ReadingKey> keys_of(const dataset::FleetTable& table, std::size_t engines, std::int64_t first_unit);

/// Predictions found in the hub's captured files.
struct Predictions {
  std::map<ReadingKey, std::size_t> seen;     ///< how often
  std::map<ReadingKey, double> milliseconds;  ///< from the reading's creation to its enqueueing at the hub
  std::size_t repeated() const;
  /// How many of `wanted` are there, and of what is there how many are not wanted.
  std::size_t present(const std::set<ReadingKey>& wanted) const;
};
Result<Predictions> read_predictions(const Cli& cli, const HubView& hub);

/// "median 4.1 ms, 95 % 9.0 ms, 99 % 12.3 ms" of the readings in `keys`.
std::string latency_text(const Predictions& predictions, const std::set<ReadingKey>& keys);

/// Members of a command's answer. Fault::invalid_input names the one that is missing.
Result<std::uint64_t> count_in(const json::Value& answer, std::initializer_list<std::string_view> path);
Result<double> number_in(const json::Value& answer, std::initializer_list<std::string_view> path);
Result<std::string> text_in(const json::Value& answer, std::initializer_list<std::string_view> path);

}  // namespace nacelle::app::demo
