#include "service/edge/supervisor.h"

#include <algorithm>

#include <fmt/format.h>

namespace nacelle::edge {

using deployment::DesiredStatus;
using deployment::ModuleSpec;
using deployment::RestartPolicy;

namespace {

std::string_view policy_name(RestartPolicy policy) {
  switch (policy) {
    case RestartPolicy::never: return "never";
    case RestartPolicy::on_failure: return "on-failure";
    case RestartPolicy::on_unhealthy: return "on-unhealthy";
    case RestartPolicy::always: return "always";
  }
  return "always";
}

json::Value time_or_null(Timestamp time) {
  if (time == Timestamp{}) return nullptr;
  return format_iso8601(time);
}

// Due at once: before every real time, and still told apart from "not due".
constexpr Timestamp at_once{};

}  // namespace

std::string_view runtime_status_name(RuntimeStatus status) {
  switch (status) {
    case RuntimeStatus::unknown: return "unknown";
    case RuntimeStatus::backoff: return "backoff";
    case RuntimeStatus::running: return "running";
    case RuntimeStatus::unhealthy: return "unhealthy";
    case RuntimeStatus::stopped: return "stopped";
    case RuntimeStatus::failed: return "failed";
  }
  return "unknown";
}

void Supervisor::set_desired(const std::map<std::string, ModuleSpec>& wanted) {
  for (auto& [name, module] : modules_) {
    if (wanted.contains(name)) continue;
    module.going = true;
    module.stop_wanted = module.process;
    module.start_at.reset();
    module.next_spec.reset();
  }
  for (const auto& [name, spec] : wanted) {
    const auto [at, is_new] = modules_.try_emplace(name);
    Module& module = at->second;
    if (!is_new && !module.going && (module.next_spec ? *module.next_spec : module.spec) == spec) continue;
    module.going = false;
    module.restart_count = 0;
    module.start_at.reset();
    if (module.process) {
      module.next_spec = spec;
      module.stop_wanted = true;
      continue;
    }
    module.spec = spec;
    if (spec.status == DesiredStatus::running)
      module.start_at = at_once;
    else
      module.status = RuntimeStatus::stopped;
  }
}

void Supervisor::stop_all() { set_desired({}); }

void Supervisor::restart(const std::string& name) {
  const auto at = modules_.find(name);
  if (at == modules_.end() || at->second.going) return;
  Module& module = at->second;
  module.restart_count = 0;
  if (module.process) {
    module.stop_wanted = true;
    if (!module.next_spec) module.next_spec = module.spec;
  } else if (module.spec.status == DesiredStatus::running) {
    module.start_at = at_once;
  }
}

std::vector<Action> Supervisor::due(Timestamp now) {
  std::vector<Action> actions;
  std::vector<std::string> gone;
  for (auto& [name, module] : modules_) {
    if (module.stop_wanted && module.process) {
      module.stop_wanted = false;
      if (!module.kill_at) {
        module.kill_at = now + rules_.stop_within;
        actions.push_back({Action::Kind::terminate, name, {}});
      }
    } else if (module.kill_at && now >= *module.kill_at && module.process) {
      module.kill_at = now + rules_.stop_within;  // again, should the first not have done it
      actions.push_back({Action::Kind::kill, name, {}});
    }
    if (module.process && !module.kill_at && module.restart_count > 0 && now >= module.last_start + rules_.healthy_after)
      module.restart_count = 0;
    if (module.going && !module.process) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    actions.push_back({Action::Kind::removed, name, {}});
    modules_.erase(name);
  }
  std::vector<std::pair<std::uint32_t, std::string>> starting;
  for (auto& [name, module] : modules_)
    if (module.start_at && now >= *module.start_at && !module.process) starting.emplace_back(module.spec.startup_order, name);
  std::sort(starting.begin(), starting.end());
  for (const auto& [order, name] : starting) {
    Module& module = modules_.at(name);
    module.start_at.reset();
    actions.push_back({Action::Kind::start, name, module.spec});
  }
  return actions;
}

std::optional<Timestamp> Supervisor::next_due() const {
  std::optional<Timestamp> soonest;
  const auto consider = [&](Timestamp time) { soonest = soonest ? std::min(*soonest, time) : time; };
  for (const auto& [name, module] : modules_) {
    if (module.start_at && !module.process) consider(*module.start_at);
    if (module.kill_at && module.process) consider(*module.kill_at);
    if ((module.stop_wanted && module.process) || (module.going && !module.process)) consider(at_once);
    if (module.process && module.restart_count > 0) consider(module.last_start + rules_.healthy_after);
  }
  return soonest;
}

void Supervisor::started(const std::string& name, Timestamp now) {
  Module& module = modules_[name];
  if (module.last_start != Timestamp{}) module.last_restart = now;
  module.process = true;
  module.last_start = now;
  module.status = RuntimeStatus::running;
  module.description = "running";
}

void Supervisor::not_started(const std::string& name, const std::string& why, Timestamp now) {
  Module& module = modules_[name];
  module.exit_code = 127;
  module.last_exit = now;
  after_exit(module, now);
  module.description = why;
}

void Supervisor::exited(const std::string& name, int code, Timestamp now) {
  const auto at = modules_.find(name);
  if (at == modules_.end()) return;
  Module& module = at->second;
  const bool asked = module.kill_at.has_value() || module.stop_wanted;
  module.process = false;
  module.stop_wanted = false;
  module.kill_at.reset();
  module.exit_code = code;
  module.last_exit = now;
  module.description = code == 0    ? "exited"
                       : code > 128 ? fmt::format("ended by signal {}", code - 128)
                                    : fmt::format("failed with exit code {}", code);
  if (now >= module.last_start + rules_.healthy_after) module.restart_count = 0;
  module.status = RuntimeStatus::stopped;
  if (module.going) return;
  if (module.next_spec) {
    module.spec = *std::exchange(module.next_spec, std::nullopt);
    if (module.spec.status == DesiredStatus::running) module.start_at = at_once;
    return;
  }
  if (asked) return;
  after_exit(module, now);
}

/// Restart or not, and when: wire facts 5.4.
void Supervisor::after_exit(Module& module, Timestamp now) {
  const bool failed = module.exit_code != 0;
  const RestartPolicy policy = module.spec.restart;
  const bool again = policy == RestartPolicy::always || (failed && policy != RestartPolicy::never);
  if (!again) {
    module.status = failed ? RuntimeStatus::failed : RuntimeStatus::stopped;
    return;
  }
  if (module.restart_count >= rules_.max_restarts) {
    module.status = RuntimeStatus::failed;
    return;
  }
  auto wait = rules_.first_back_off;
  for (int i = 0; i < module.restart_count && wait < rules_.max_back_off; ++i) wait *= 2;
  module.start_at = now + std::min(wait, rules_.max_back_off);
  ++module.restart_count;
  module.status = RuntimeStatus::backoff;
}

bool Supervisor::idle() const {
  return std::none_of(modules_.begin(), modules_.end(), [](const auto& entry) { return entry.second.process; });
}

RuntimeStatus Supervisor::status(const std::string& name) const {
  const auto at = modules_.find(name);
  return at == modules_.end() ? RuntimeStatus::unknown : at->second.status;
}

json::Value Supervisor::describe(const Module& module) {
  json::Object env;
  for (const auto& [name, value] : module.spec.env) env.set(name, json::Object{{"value", value}});
  return json::Object{{"version", module.spec.version},
                      {"type", module.spec.type},
                      {"status", module.spec.status == DesiredStatus::running ? "running" : "stopped"},
                      {"restartPolicy", policy_name(module.spec.restart)},
                      {"imagePullPolicy", module.spec.pull == deployment::PullPolicy::never ? "never" : "on-create"},
                      {"settings", json::Object{{"image", module.spec.image}}},
                      {"env", std::move(env)},
                      {"runtimeStatus", runtime_status_name(module.status)},
                      {"exitCode", module.exit_code},
                      {"statusDescription", module.description},
                      {"lastStartTimeUtc", time_or_null(module.last_start)},
                      {"lastExitTimeUtc", time_or_null(module.last_exit)},
                      {"restartCount", module.restart_count},
                      {"lastRestartTimeUtc", time_or_null(module.last_restart)}};
}

json::Object Supervisor::report() const {
  json::Object modules;
  for (const auto& [name, module] : modules_)
    if (!module.going) modules.set(name, describe(module));
  return modules;
}

}  // namespace nacelle::edge
