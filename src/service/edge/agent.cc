#include "service/edge/agent.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "foundation/log.h"
#include "service/edge/mirrored_twin.h"

namespace nacelle::edge {

using deployment::ModuleSpec;

namespace {

// The steady timer only wakes us; what is due is decided by the clock, which may be set.
constexpr std::chrono::seconds longest_nap{30};

json::Value platform() {
  utsname facts{};
  ::uname(&facts);
  return json::Object{{"os", "linux"}, {"architecture", static_cast<const char*>(facts.machine)}, {"version", "1.5.0"}};
}

std::int64_t version_of(const json::Value& desired) {
  const json::Value* version = desired.find("$version");
  return version && version->is_integer() ? version->as_integer() : 0;
}

}  // namespace

std::shared_ptr<Agent> Agent::make(Parts parts) { return std::shared_ptr<Agent>(new Agent(std::move(parts))); }

Agent::Agent(Parts parts) : parts_(std::move(parts)), supervisor_(parts_.rules), timer_(parts_.core) {}

void Agent::start() {
  if (const auto good = parts_.files->load(parts_.files->good_config("$edgeAgent"))) apply(*good);
}

/// The version and shape the agent can obey, and the kind of module it can run.
Result<deployment::AgentConfig> Agent::check(const json::Value& desired) const {
  TRY_LET(deployment::AgentConfig config, deployment::parse_agent_config(desired));
  for (const auto& [name, spec] : config.modules) {
    if (spec.type != "process")
      return fail(Fault::invalid_input,
                  fmt::format("modules.{}.type: '{}': this edge runs modules of type 'process'", name, spec.type));
    if (spec.image.empty()) return fail(Fault::invalid_input, fmt::format("modules.{}.settings.image: expected a program", name));
  }
  return config;
}

void Agent::apply(const json::Value& desired) {
  if (closing_) return;
  status_.version = version_of(desired);
  const json::Value* schema = desired.find("schemaVersion");
  if (!schema && !desired.find("modules")) {
    status_.code = 417;
    status_.description = "the desired properties are empty";
  } else if (schema && schema->is_string() && !schema->as_string().starts_with("1.")) {
    status_.code = 412;
    status_.description = fmt::format("schemaVersion '{}': expected 1.0 to 1.3", schema->as_string());
  } else if (auto config = check(desired); !config) {
    status_.code = 400;
    status_.description = config.error().message;
  } else {
    status_.code = 200;
    status_.description.clear();
    if (auto saved = parts_.files->save(parts_.files->good_config("$edgeAgent"), desired); !saved)
      log::error("edge", "{}", saved.error().message);
    if (const json::Value* runtime = desired.find("runtime")) runtime_ = *runtime;
    supervisor_.set_desired(config->modules);
    log::info("edge", "configuration version {}: {} modules", status_.version, config->modules.size());
  }
  if (status_.code != 200) log::warn("edge", "configuration version {} is not taken: {}", status_.version, status_.description);
  step();
}

void Agent::restart(const std::string& module) {
  supervisor_.restart(module);
  step();
}

void Agent::step() {
  // A start that fails at once makes something new due; never at the same moment, so this ends.
  for (const Action& action : supervisor_.due(parts_.clock->now())) run(action);
  report();
  arm();
  if (on_idle_ && supervisor_.idle() && running_.empty()) std::exchange(on_idle_, nullptr)();
}

void Agent::run(const Action& action) {
  const auto running = running_.find(action.module);
  switch (action.kind) {
    case Action::Kind::start: return start_module(action.spec);
    case Action::Kind::terminate:
      log::info("edge", "module {}: stopping", action.module);
      if (running != running_.end()) running->second.process->terminate();
      return;
    case Action::Kind::kill:
      log::warn("edge", "module {}: did not stop in time and is killed", action.module);
      if (running != running_.end()) running->second.process->kill();
      return;
    case Action::Kind::removed: log::info("edge", "module {}: removed", action.module); return;
  }
}

Result<ProcessSpec> Agent::process_spec(const ModuleSpec& spec) const {
  ProcessSpec process;
  process.program = spec.image.find('/') == std::string::npos ? parts_.programs / spec.image : fs::path(spec.image);
  if (!process.program.is_absolute())
    return fail(Fault::invalid_input, fmt::format("image '{}': expected a program's name or an absolute path", spec.image));
  process.arguments = spec.arguments;
  TRY_LET(process.environment, parts_.environment(spec));
  process.working_folder = parts_.files->module_data(spec.name);
  process.log_file = parts_.files->module_log(spec.name);
  TRY(parts_.files->file_system().make_directories(process.working_folder));
  return process;
}

void Agent::start_module(const ModuleSpec& spec) {
  const Timestamp now = parts_.clock->now();
  const std::uint64_t run = next_run_++;
  auto process = process_spec(spec);
  auto on_end = [weak = weak_from_this(), core = parts_.core, name = spec.name, run](int code) {
    asio::post(core, [weak, name, run, code] {
      if (const auto self = weak.lock()) self->ended(name, run, code);
    });
  };
  auto started =
      process ? parts_.processes->start(*process, std::move(on_end)) : Result<std::unique_ptr<Process>>(fail(process.error()));
  if (!started) {
    log::warn("edge", "module {}: {}", spec.name, started.error().message);
    supervisor_.not_started(spec.name, started.error().message, now);
    return;
  }
  running_[spec.name] = Running{run, std::move(*started)};
  supervisor_.started(spec.name, now);
  log::info("edge", "module {}: started", spec.name);
}

void Agent::ended(const std::string& module, std::uint64_t run, int code) {
  const auto running = running_.find(module);
  if (running == running_.end() || running->second.run != run) return;
  running_.erase(running);
  supervisor_.exited(module, code, parts_.clock->now());
  log::info("edge", "module {}: ended with {} ({})", module, code, runtime_status_name(supervisor_.status(module)));
  step();
}

void Agent::report() {
  json::Object all{{"schemaVersion", "1.0"},
                   {"version", json::Object{{"version", "1.5.0"}, {"build", "nacelle"}, {"commit", ""}}},
                   {"lastDesiredVersion", status_.version},
                   {"lastDesiredStatus", json::Object{{"code", status_.code}, {"description", status_.description}}},
                   {"systemModules",
                    json::Object{{"edgeAgent", json::Object{{"type", "process"}, {"runtimeStatus", "running"}, {"exitCode", 0}}},
                                 {"edgeHub", json::Object{{"type", "process"},
                                                          {"runtimeStatus", "running"},
                                                          {"status", "running"},
                                                          {"restartPolicy", "always"},
                                                          {"restartCount", 0}}}}},
                   {"modules", supervisor_.report()}};
  json::Value runtime = runtime_;
  if (runtime.is_object()) runtime.as_object().set("platform", platform());
  all.set("runtime", std::move(runtime));
  const json::Value now(std::move(all));
  const json::Value patch = merge_difference(reported_, now);
  if (patch.as_object().empty() || !parts_.report) return;
  reported_ = now;
  parts_.report(patch);
}

void Agent::arm() {
  std::chrono::steady_clock::duration nap = longest_nap;
  if (const auto due = supervisor_.next_due()) {
    const auto wait = *due - parts_.clock->now();
    nap = wait <= wait.zero() ? std::chrono::steady_clock::duration(std::chrono::milliseconds(1))
                              : std::min<std::chrono::steady_clock::duration>(nap, wait);
  }
  timer_.expires_after(nap);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (self && !error) self->step();
  });
}

awaitable<void> Agent::close() {
  const auto self = shared_from_this();
  closing_ = true;
  supervisor_.stop_all();
  auto begin = [self](std::function<void(bool)> done) {
    self->on_idle_ = [done] { done(true); };
    self->step();
  };
  co_await await_callback<bool>(std::move(begin));
  timer_.cancel();
}

}  // namespace nacelle::edge
