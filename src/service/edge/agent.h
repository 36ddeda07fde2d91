#pragma once
// Agent: makes the modules that run be those the manifest names ($edgeAgent's desired properties), and reports how they
// are. The rules are Supervisor's; processes are ProcessRunner's. Belongs to the edge's strand.

#include <functional>
#include <map>
#include <memory>

#include "foundation/async.h"
#include "foundation/task_scope.h"
#include "service/edge/edge_files.h"
#include "service/edge/process_runner.h"
#include "service/edge/supervisor.h"

namespace nacelle::edge {

/// What the agent last made of a desired configuration (wire facts 5.5).
struct DesiredStatus {
  int code = 406;
  std::string description = "no configuration has been seen";
  std::int64_t version = 0;
};

class Agent : public std::enable_shared_from_this<Agent> {
 public:
  struct Parts {
    Executor core;
    const Clock* clock = nullptr;
    const EdgeFiles* files = nullptr;
    ProcessRunner* processes = nullptr;
    fs::path programs;  ///< where a bare program name is looked for: the folder of this program
    /// The environment of a module (wire facts 5.1), or why it cannot start yet.
    std::function<Result<std::map<std::string, std::string>>(const deployment::ModuleSpec&)> environment;
    /// Reported properties of $edgeAgent have changed: a merge patch.
    std::function<void(const json::Value& patch)> report;
    SupervisorRules rules;
  };
  static std::shared_ptr<Agent> make(Parts parts);

  /// Starts with the last good configuration on disk, if there is one.
  void start();
  /// Takes $edgeAgent's desired properties. A bad configuration is reported with its reason, and the old one stays.
  void apply(const json::Value& desired);
  void restart(const std::string& module);
  /// Does what is due now; called by itself when something happens. Public for tests with a clock of their own.
  void step();
  /// Stops every module and waits.
  awaitable<void> close();

  const Supervisor& supervisor() const { return supervisor_; }
  const DesiredStatus& desired_status() const { return status_; }

 private:
  explicit Agent(Parts parts);
  Result<deployment::AgentConfig> check(const json::Value& desired) const;
  void run(const Action& action);
  void start_module(const deployment::ModuleSpec& spec);
  Result<ProcessSpec> process_spec(const deployment::ModuleSpec& spec) const;
  void ended(const std::string& module, std::uint64_t run, int code);
  void report();
  void arm();

  struct Running {
    std::uint64_t run = 0;
    std::unique_ptr<Process> process;
  };
  Parts parts_;
  Supervisor supervisor_;
  DesiredStatus status_;
  json::Value runtime_ = json::Object{};
  json::Value reported_ = json::Object{};
  std::map<std::string, Running> running_;
  std::uint64_t next_run_ = 1;
  asio::steady_timer timer_;
  std::function<void()> on_idle_;
  bool closing_ = false;
};

}  // namespace nacelle::edge
