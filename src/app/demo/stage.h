#pragma once
// Everything the steps of the demo share: folders, data, the services that run, what was found so far.

#include <optional>
#include <string>

#include "app/demo/cli.h"
#include "app/demo/data.h"
#include "app/demo/demo.h"
#include "app/demo/hub_view.h"
#include "app/demo/story.h"

namespace nacelle::app::demo {

inline constexpr const char* model_name = "turbofan-rul";
inline constexpr const char* edge_device = "demo-edge";

struct Stage {
  Stage(DemoOptions chosen, std::filesystem::path folder)
      : options(std::move(chosen)), work(std::move(folder)), cli(work / "logs", options.verbose), hub_view(work / "hub") {}

  DemoOptions options;
  std::filesystem::path work;
  Cli cli;
  HubView hub_view;
  DemoData data;

  // Ended in reverse order: edge before hub.
  std::optional<Cli::Service> hub;
  std::optional<Cli::Service> edge;

  std::string champion_sha256;
  std::uint64_t uploaded = 0;  ///< full records at the hub

  std::filesystem::path path(const std::string& name) const { return work / name; }
  std::string text(const std::string& name) const { return path(name).string(); }
  /// Ten engines are learned in a second by one thread; two would wait for each other at thousands of barriers, and on a
  /// busy machine each wait costs a time slice.
  std::string training_threads() const { return options.quick ? "1" : "2"; }
  std::size_t train_rows() const { return data.train_table->row_count(); }
  std::size_t train_engines() const { return data.train_table->engines.size(); }
  std::size_t test_rows() const { return data.test_table->row_count(); }
  std::size_t test_engines() const { return data.test_table->engines.size(); }
  /// Leaf devices are numbered on from the training engines, so that no two engines share a name.
  std::int64_t first_leaf() const { return static_cast<std::int64_t>(train_engines()) + 1; }
  std::int64_t first_late_leaf() const { return first_leaf() + static_cast<std::int64_t>(test_engines()); }
};

// The steps, in order; each prints its line.
Result<> start_hub(Stage& stage);             // 1
Result<> replay_training(Stage& stage);       // 2
Result<> prepare_data(Stage& stage);          // 3
Result<> run_experiment(Stage& stage);        // 4
Result<> evaluate_model(Stage& stage);        // 5
Result<> pack_and_serve(Stage& stage);        // 6
Result<> start_edge(Stage& stage);            // 7
Result<> send_through_gateway(Stage& stage);  // 8
Result<> check_uploads(Stage& stage);         // 9
Result<> retrain_and_roll_out(Stage& stage);  // 10
Result<> stop_everything(Stage& stage);       // 11

/// The classifier's twin says that this model answers.
Result<bool> model_is_active(const Stage& stage, const std::string& sha256);
/// Waits until the writer has handed over every file, and answers how many records are at the hub.
Result<std::uint64_t> uploaded_records(const Stage& stage, std::uint64_t expected);

}  // namespace nacelle::app::demo
