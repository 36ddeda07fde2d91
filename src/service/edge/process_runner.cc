#include "service/edge/process_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <thread>

#include "foundation/log.h"

namespace nacelle::edge {

namespace {

/// A log of bounded size: at the bound it becomes `FILE.1` and a new one begins.
class BoundedLog {
 public:
  BoundedLog(std::filesystem::path path, ByteCount bound) : path_(std::move(path)), bound_(bound) { open(); }
  ~BoundedLog() {
    if (fd_ >= 0) ::close(fd_);
  }
  void write(const char* bytes, std::size_t count) {
    if (size_ + count > bound_) rotate();
    while (fd_ >= 0 && count > 0) {
      const ssize_t n = ::write(fd_, bytes, count);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;  // a full disk costs log lines, never the module
      bytes += n;
      count -= static_cast<std::size_t>(n);
      size_ += static_cast<ByteCount>(n);
    }
  }

 private:
  void open() {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    struct stat facts {};
    size_ = fd_ >= 0 && ::fstat(fd_, &facts) == 0 ? static_cast<ByteCount>(facts.st_size) : 0;
  }
  void rotate() {
    if (fd_ >= 0) ::close(fd_);
    ::rename(path_.c_str(), (path_.string() + ".1").c_str());
    open();
  }
  std::filesystem::path path_;
  ByteCount bound_;
  ByteCount size_ = 0;
  int fd_ = -1;
};

class RealProcess final : public Process {
 public:
  RealProcess(pid_t pid, int output, const ProcessSpec& spec, std::function<void(int)> ended) : pid_(pid) {
    watcher_ = std::thread([this, output, path = spec.log_file, bound = spec.max_log_bytes, ended = std::move(ended)] {
      BoundedLog log(path, bound);
      const int code = watch(output, log);
      ::close(output);
      ended(code);
    });
  }
  ~RealProcess() override {
    kill();
    if (watcher_.get_id() == std::this_thread::get_id())
      watcher_.detach();
    else if (watcher_.joinable())
      watcher_.join();
  }
  void terminate() override { signal(SIGTERM); }
  void kill() override { signal(SIGKILL); }

 private:
  void signal(int number) {
    const std::lock_guard lock(mutex_);
    if (pid_ > 0) ::kill(-pid_, number);  // not yet reaped: the id is still ours
  }

  /// Copies output into the log until the process has ended; its status.
  int watch(int output, BoundedLog& log) {
    const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    bool open = true;
    while (true) {
      pollfd wait[2] = {{open ? output : -1, POLLIN, 0}, {handle, POLLIN, 0}};
      ::poll(wait, 2, handle >= 0 ? -1 : 100);
      if (wait[0].revents != 0) open = copy(output, log);
      if (handle >= 0 && wait[1].revents == 0) continue;
      int status = 0;
      siginfo_t facts{};
      if (::waitid(P_PID, static_cast<id_t>(pid_), &facts, WEXITED | WNOWAIT | WNOHANG) == 0 && facts.si_pid == 0) continue;
      while (open && ready(output)) open = copy(output, log);  // its last words
      const std::lock_guard lock(mutex_);
      while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
      ::kill(-pid_, SIGKILL);  // what it left behind in its group
      pid_ = -1;
      if (handle >= 0) ::close(handle);
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
  }
  static bool ready(int output) {
    pollfd wait{output, POLLIN, 0};
    return ::poll(&wait, 1, 0) > 0;
  }
  static bool copy(int output, BoundedLog& log) {
    char buffer[16384];
    const ssize_t n = ::read(output, buffer, sizeof buffer);
    if (n > 0) log.write(buffer, static_cast<std::size_t>(n));
    return n > 0 || (n < 0 && errno == EINTR);
  }

  std::mutex mutex_;
  pid_t pid_;  // guarded by mutex_; -1 once reaped
  std::thread watcher_;
};

// Between fork and exec of a program with threads: only calls that are safe in a signal handler.
[[noreturn]] void become(const char* program, char* const* argv, char* const* envp, const char* folder, int output, int report,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(126);  // the edge died before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  struct sigaction normal {};
  normal.sa_handler = SIG_DFL;
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) ::sigaction(number, &normal, nullptr);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  if (*folder == '\0' || ::chdir(folder) == 0) ::execve(program, argv, envp);
  const int why = errno;
  [[maybe_unused]] const ssize_t told = ::write(report, &why, sizeof why);
  ::_exit(127);
}

class RealRunner final : public ProcessRunner {
 public:
  Result<std::unique_ptr<Process>> start(const ProcessSpec& spec, std::function<void(int)> ended) override {
    std::vector<std::string> variables;
    for (const auto& [name, value] : spec.environment) variables.push_back(name + "=" + value);
    std::vector<char*> argv{const_cast<char*>(spec.program.c_str())};
    for (const std::string& argument : spec.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (std::string& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);
    int output[2], report[2];
    if (::pipe2(output, O_CLOEXEC) != 0)
      return fail(Fault::exhausted, "no pipe for a module's output: " + std::string(std::strerror(errno)));
    if (::pipe2(report, O_CLOEXEC) != 0) {
      ::close(output[0]), ::close(output[1]);
      return fail(Fault::exhausted, "no pipe for a module's start: " + std::string(std::strerror(errno)));
    }
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become(spec.program.c_str(), argv.data(), envp.data(), spec.working_folder.c_str(), output[1], report[1], parent);
    const int fork_error = errno;
    ::close(output[1]), ::close(report[1]);
    int why = 0;
    const bool refused = pid > 0 && ::read(report[0], &why, sizeof why) == static_cast<ssize_t>(sizeof why);
    ::close(report[0]);
    if (pid > 0 && !refused) return std::unique_ptr<Process>(new RealProcess(pid, output[0], spec, std::move(ended)));
    ::close(output[0]);
    if (pid < 0) return fail(Fault::exhausted, "starting " + spec.program.string() + ": " + std::strerror(fork_error));
    ::waitpid(pid, nullptr, 0);
    return fail(Fault::not_found, "starting " + spec.program.string() + ": " + std::strerror(why));
  }
};

}  // namespace

ProcessRunner& real_processes() {
  static RealRunner runner;
  return runner;
}

}  // namespace nacelle::edge
