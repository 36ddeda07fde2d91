#pragma once
// ProcessRunner: starts modules as child processes and tells how they ended. An interface, so that the agent's tests need
// no processes.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::edge {

struct ProcessSpec {
  std::filesystem::path program;
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;  ///< all of it: nothing is inherited
  std::filesystem::path working_folder;
  std::filesystem::path log_file;  ///< standard output and error; the one before is kept as `.1`
  ByteCount max_log_bytes = 4_MiB;
};

class Process {
 public:
  virtual ~Process() = default;  ///< Kills what still runs, and waits for its end.
  virtual void terminate() = 0;  ///< SIGTERM to its process group. Any thread.
  virtual void kill() = 0;       ///< SIGKILL to its process group. Any thread.
};

class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;
  /// `ended` is called once, on a thread of the process, with the exit status or 128 + the signal's number.
  /// Fault::not_found, naming the program, if it cannot be started.
  virtual Result<std::unique_ptr<Process>> start(const ProcessSpec& spec, std::function<void(int code)> ended) = 0;
};

/// Real ones: in a process group of their own, killed by the kernel if this program dies (PR_SET_PDEATHSIG).
ProcessRunner& real_processes();

}  // namespace nacelle::edge
