#include "service/edge/process_runner.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <sstream>

#include "foundation/random.h"

namespace nacelle::edge {
namespace {

namespace fs = std::filesystem;

struct Shell {
  fs::path folder = fs::temp_directory_path() / ("nacelle-process-" + random_uuid());
  std::promise<int> ended;
  Shell() { fs::create_directories(folder); }
  ~Shell() {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  Result<std::unique_ptr<Process>> run(const std::string& script, ByteCount max_log = 4_MiB) {
    ProcessSpec spec;
    spec.program = "/bin/sh";
    spec.arguments = {"-c", script};
    spec.environment = {{"PATH", "/usr/bin:/bin"}, {"GREETING", "hello"}};
    spec.working_folder = folder;
    spec.log_file = folder / "log";
    spec.max_log_bytes = max_log;
    return real_processes().start(spec, [this](int code) { ended.set_value(code); });
  }
  std::string log() const {
    std::ifstream file(folder / "log");
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
};

TEST(ProcessRunner, output_is_logged_and_the_exit_status_told) {
  Shell shell;
  const auto process = shell.run("echo $GREETING; echo oops >&2; exit 7");
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ(shell.ended.get_future().get(), 7);
  EXPECT_EQ(shell.log(), "hello\noops\n");
}

TEST(ProcessRunner, nothing_is_inherited_but_what_was_given) {
  Shell shell;
  ::setenv("SECRET_OF_THE_EDGE", "x", 1);
  const auto process = shell.run("echo [$SECRET_OF_THE_EDGE]");
  ASSERT_TRUE(process);
  shell.ended.get_future().wait();
  EXPECT_EQ(shell.log(), "[]\n");
}

TEST(ProcessRunner, a_signal_reaches_the_whole_group) {
  Shell shell;
  const auto process = shell.run("sleep 1000 & sleep 1000");
  ASSERT_TRUE(process);
  (*process)->terminate();
  EXPECT_EQ(shell.ended.get_future().get(), 128 + 15);
}

TEST(ProcessRunner, a_module_that_ignores_sigterm_is_killed_by_its_owner_s_end) {
  Shell shell;
  auto future = shell.ended.get_future();
  {
    const auto process = shell.run("trap '' TERM; while :; do sleep 1000; done");
    ASSERT_TRUE(process);
  }
  EXPECT_EQ(future.get(), 128 + 9);
}

TEST(ProcessRunner, a_missing_program_is_named) {
  ProcessSpec spec;
  spec.program = "/no/such/program";
  const auto process = real_processes().start(spec, [](int) {});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().fault, Fault::not_found);
  EXPECT_NE(process.error().message.find("/no/such/program"), std::string::npos);
}

TEST(ProcessRunner, the_log_keeps_to_its_bound) {
  Shell shell;
  const auto process =
      shell.run("i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done", 20'000);
  ASSERT_TRUE(process);
  shell.ended.get_future().wait();
  EXPECT_LE(fs::file_size(shell.folder / "log"), 20'000u);
  EXPECT_LE(fs::file_size(shell.folder / "log.1"), 20'000u);
}

}  // namespace
}  // namespace nacelle::edge
