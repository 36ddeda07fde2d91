#pragma once
// The demo's hands: runs `nacelle` commands as a user would type them, and reads what they answer.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "app/child_process.h"
#include "codec/json/value.h"

namespace nacelle::app::demo {

class Cli {
 public:
  /// `logs`: folder for what commands and services write to standard error. `verbose`: each command is printed.
  Cli(std::filesystem::path logs, bool verbose) : logs_(std::move(logs)), verbose_(verbose) {}

  /// Runs `nacelle ARGUMENTS --json` to its end: the last line of its output as JSON. Fault::unavailable with the error
  /// it printed if it failed.
  Result<json::Value> json(std::vector<std::string> arguments, std::chrono::seconds within = std::chrono::seconds{600}) const;
  /// The same of a command that tells on its way what it does: `told` sees every line but the last.
  Result<json::Value> watch(std::vector<std::string> arguments, const std::function<void(const json::Value& line)>& told,
                            std::chrono::seconds within = std::chrono::seconds{600}) const;
  /// The same without --json: its output.
  Result<std::string> text(const std::vector<std::string>& arguments,
                           std::chrono::seconds within = std::chrono::seconds{600}) const;
  /// Starts one that goes on, and reads its ready line.
  struct Service {
    ChildProcess process;
    json::Value ready;
  };
  Result<Service> start(const std::string& name, const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment = {},
                        std::chrono::seconds within = std::chrono::seconds{60}) const;
  /// Starts `nacelle ARGUMENTS --json` and does not wait; finish() does.
  Result<ChildProcess> begin(std::vector<std::string> arguments) const;
  Result<json::Value> finish(ChildProcess process, const std::string& name, std::chrono::seconds within) const;

 private:
  void show(const std::vector<std::string>& arguments) const;
  std::filesystem::path log_of(const std::string& name) const { return logs_ / (name + ".log"); }
  std::filesystem::path logs_;
  bool verbose_;
};

}  // namespace nacelle::app::demo
