#pragma once
// Supervisor: the rules by which modules are started, restarted and stopped (wire facts 5.4), as a state machine without
// processes and without waiting: the agent tells it what happened and does what it answers.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "domain/deployment/manifest.h"
#include "foundation/clock.h"

namespace nacelle::edge {

enum class RuntimeStatus { unknown, backoff, running, unhealthy, stopped, failed };
std::string_view runtime_status_name(RuntimeStatus status);

struct SupervisorRules {
  std::chrono::seconds first_back_off{10};  ///< doubled with each restart
  std::chrono::seconds max_back_off{300};
  int max_restarts = 20;                    ///< then `failed`
  std::chrono::seconds healthy_after{600};  ///< running that long clears the count
  std::chrono::seconds stop_within{10};     ///< from SIGTERM to SIGKILL
};

/// What the agent has to do now.
struct Action {
  enum class Kind { start, terminate, kill, removed };
  Kind kind;
  std::string module;
  deployment::ModuleSpec spec;  ///< of start
};

class Supervisor {
 public:
  explicit Supervisor(SupervisorRules rules = {}) : rules_(rules) {}

  /// Takes a configuration: new modules start, changed ones stop and start anew, those not named stop and go.
  void set_desired(const std::map<std::string, deployment::ModuleSpec>& modules);
  /// Everything is to stop, for good.
  void stop_all();
  /// A module asked for by hand to start anew (method RestartModule, a changed identity).
  void restart(const std::string& module);

  /// What is due at `now`, in start-up order. Each answered action is taken as done, but for the outcome told below.
  std::vector<Action> due(Timestamp now);
  /// When `due` may have something again without anything else happening.
  std::optional<Timestamp> next_due() const;

  void started(const std::string& module, Timestamp now);
  /// It could not even be started: counts as an exit with a failure.
  void not_started(const std::string& module, const std::string& why, Timestamp now);
  /// `code`: the exit status, or 128 + the signal's number.
  void exited(const std::string& module, int code, Timestamp now);

  bool idle() const;  ///< nothing runs any more
  RuntimeStatus status(const std::string& module) const;

  /// The `modules` object of the reported properties (wire facts 5.5).
  json::Object report() const;

 private:
  struct Module {
    deployment::ModuleSpec spec;
    std::optional<deployment::ModuleSpec> next_spec;  // to run once the old one has stopped
    RuntimeStatus status = RuntimeStatus::unknown;
    std::string description;
    int exit_code = 0;
    int restart_count = 0;
    Timestamp last_start{}, last_exit{}, last_restart{};
    std::optional<Timestamp> start_at;  // a start is due then
    std::optional<Timestamp> kill_at;   // SIGTERM was sent; SIGKILL is due then
    bool process = false;               // there is a process
    bool stop_wanted = false;
    bool going = false;  // no longer desired
  };
  void after_exit(Module& module, Timestamp now);
  static json::Value describe(const Module& module);

  SupervisorRules rules_;
  std::map<std::string, Module> modules_;
};

}  // namespace nacelle::edge
