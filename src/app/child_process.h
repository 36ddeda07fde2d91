#pragma once
// Programs started by ours: in a process group of their own, never left behind.

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "foundation/result.h"

namespace nacelle::app {

/// While one lives, SIGINT and SIGTERM do not end this process: they make interrupted() true and every wait below fail with
/// Fault::unavailable, so that owners are destroyed and with them their children. A second signal kills. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  static bool interrupted();
};

struct ChildOptions {
  std::filesystem::path log;                       ///< standard error goes there; empty: to ours
  std::map<std::string, std::string> environment;  ///< besides our own
  bool inherit_output = false;                     ///< standard output goes to ours
};

/// A running program. Destroyed: its group is told to end (SIGTERM), and killed if it does not.
class ChildProcess {
 public:
  using Duration = std::chrono::steady_clock::duration;

  /// `command`: the program's path and its arguments. Fault::not_found if it cannot be run.
  static Result<ChildProcess> start(const std::vector<std::string>& command, const ChildOptions& options = {});
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  int pid() const { return pid_; }
  /// The next line of its standard output. Fault::unavailable at its end, timed_out.
  Result<std::string> read_line(Duration within);
  /// Waits for the end; the exit code, or 128 + the signal that killed it.
  Result<int> wait(Duration within);
  /// SIGTERM, and SIGKILL after `grace`; the exit code.
  int stop(Duration grace = std::chrono::seconds{10});
  bool running();

 private:
  ChildProcess(int pid, int output) : pid_(pid), output_(output) {}
  std::optional<int> poll_exit();
  int pid_ = -1;
  int output_ = -1;  // the reading end of its standard output
  std::string unread_;
  std::optional<int> exit_code_;
};

struct Finished {
  int code = 0;
  std::string output;
};
/// Runs a program to its end and takes its standard output.
Result<Finished> run_to_end(const std::vector<std::string>& command, const ChildOptions& options, ChildProcess::Duration within);

/// The path of the running program, and of a program that lies beside it.
std::filesystem::path own_program();
std::filesystem::path program_beside(const std::string& name);

}  // namespace nacelle::app
