#include "app/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace nacelle::app {
namespace {

std::atomic<bool> was_interrupted{false};  // set by the signal handler: the one thing it may do

void note_signal(int number) {
  was_interrupted = true;
  ::signal(number, SIG_DFL);
}

Failure interrupted_failure() { return fail(Fault::unavailable, "interrupted"); }

/// The arguments as exec wants them, made before fork: afterwards only async-signal-safe calls are allowed.
struct ExecImage {
  std::vector<std::string> texts;
  std::vector<std::string> variables;
  std::vector<char*> arguments, environment;

  ExecImage(const std::vector<std::string>& command, const std::map<std::string, std::string>& extra) : texts(command) {
    for (char** variable = ::environ; *variable; ++variable) {
      const std::string_view text = *variable;
      if (!extra.contains(std::string(text.substr(0, text.find('='))))) variables.emplace_back(text);
    }
    for (const auto& [name, value] : extra) variables.push_back(name + "=" + value);
    for (std::string& text : texts) arguments.push_back(text.data());
    for (std::string& text : variables) environment.push_back(text.data());
    arguments.push_back(nullptr);
    environment.push_back(nullptr);
  }
};

[[noreturn]] void become(ExecImage& image, int output, int log, int failure_pipe, pid_t parent) {
  ::setpgid(0, 0);
  // If we are killed, the child is told to end: no demo leaves a hub behind.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  if (const int nothing = ::open("/dev/null", O_RDONLY); nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  if (output >= 0) ::dup2(output, STDOUT_FILENO);
  if (log >= 0) ::dup2(log, STDERR_FILENO);
  ::execve(image.arguments[0], image.arguments.data(), image.environment.data());
  const int reason = errno;
  [[maybe_unused]] const auto written = ::write(failure_pipe, &reason, sizeof reason);
  ::_exit(127);
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

void close_if_open(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  was_interrupted = false;
  struct sigaction action {};
  action.sa_handler = note_signal;  // no SA_RESTART: poll and sleeps come back
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}
InterruptGuard::~InterruptGuard() {
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
}
bool InterruptGuard::interrupted() { return was_interrupted; }

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& command, const ChildOptions& options) {
  int output[2] = {-1, -1}, failure[2] = {-1, -1};
  if (!options.inherit_output && ::pipe2(output, O_CLOEXEC) != 0)
    return fail(Fault::exhausted, fmt::format("no pipe for {}: {}", command[0], std::strerror(errno)));
  INVARIANT(::pipe2(failure, O_CLOEXEC) == 0, "two more file descriptors are there");
  int log = -1;
  if (!options.log.empty()) {
    log = ::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return fail(Fault::unavailable, fmt::format("{}: {}", options.log.string(), std::strerror(errno)));
  }
  ExecImage image(command, options.environment);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(image, output[1], log, failure[1], parent);
  const int fork_error = errno;
  close_if_open(output[1]);
  close_if_open(failure[1]);
  close_if_open(log);
  if (pid < 0) return fail(Fault::exhausted, fmt::format("starting {}: {}", command[0], std::strerror(fork_error)));
  ::setpgid(pid, pid);  // here too: whoever is first
  int reason = 0;
  const auto told = ::read(failure[0], &reason, sizeof reason);
  close_if_open(failure[0]);
  if (told == sizeof reason) {
    ::waitpid(pid, nullptr, 0);
    close_if_open(output[0]);
    return fail(Fault::not_found, fmt::format("starting {}: {}", command[0], std::strerror(reason)));
  }
  return ChildProcess(pid, output[0]);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept { *this = std::move(other); }
ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(output_, other.output_);
  std::swap(unread_, other.unread_);
  std::swap(exit_code_, other.exit_code_);
  return *this;
}
ChildProcess::~ChildProcess() {
  if (pid_ > 0) stop();
  close_if_open(output_);
}

std::optional<int> ChildProcess::poll_exit() {
  if (exit_code_ || pid_ <= 0) return exit_code_;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) exit_code_ = code_of(status);
  return exit_code_;
}

bool ChildProcess::running() { return pid_ > 0 && !poll_exit(); }

Result<std::string> ChildProcess::read_line(Duration within) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (true) {
    if (const auto end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (was_interrupted) return interrupted_failure();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(Fault::timed_out, "no output in time");
    pollfd wanted{.fd = output_, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, static_cast<int>(std::min<long long>(left.count(), 200))) <= 0) continue;
    char buffer[65536];
    const auto got = ::read(output_, buffer, sizeof buffer);
    if (got > 0) unread_.append(buffer, static_cast<std::size_t>(got));
    if (got > 0 || (got < 0 && errno == EINTR)) continue;
    if (unread_.empty()) return fail(Fault::unavailable, "its output ended");
    return std::exchange(unread_, {});
  }
}

Result<int> ChildProcess::wait(Duration within) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!poll_exit()) {
    if (was_interrupted) return interrupted_failure();
    if (std::chrono::steady_clock::now() > deadline) return fail(Fault::timed_out, "it did not end in time");
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return *exit_code_;
}

int ChildProcess::stop(Duration grace) {
  if (pid_ <= 0) return 0;
  const auto deadline = std::chrono::steady_clock::now() + grace;
  if (!poll_exit()) ::kill(pid_, SIGTERM);
  while (!poll_exit() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds{5});
  // Whatever is left of the group: a child that did not end, or a grandchild it forgot.
  ::kill(-pid_, SIGKILL);
  if (!poll_exit()) {
    int status = 0;
    if (::waitpid(pid_, &status, 0) == pid_) exit_code_ = code_of(status);
  }
  pid_ = -1;
  return exit_code_.value_or(0);
}

Result<Finished> run_to_end(const std::vector<std::string>& command, const ChildOptions& options, ChildProcess::Duration within) {
  TRY_LET(ChildProcess child, ChildProcess::start(command, options));
  const auto deadline = std::chrono::steady_clock::now() + within;
  Finished finished;
  while (true) {
    auto line = child.read_line(deadline - std::chrono::steady_clock::now());
    if (!line && line.error().fault == Fault::unavailable && line.error().message != "interrupted") break;
    if (!line) return fail(std::move(line).error());
    finished.output += *line + '\n';
  }
  TRY_LET(finished.code, child.wait(deadline - std::chrono::steady_clock::now()));
  return finished;
}

std::filesystem::path own_program() {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  INVARIANT(!error, "/proc is mounted");
  return self;
}

std::filesystem::path program_beside(const std::string& name) { return own_program().parent_path() / name; }

}  // namespace nacelle::app
