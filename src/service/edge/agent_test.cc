#include "service/edge/agent.h"

#include <gtest/gtest.h>

#include "foundation/random.h"

namespace nacelle::edge {
namespace {

using std::chrono::seconds;

struct FakeProcess final : Process {
  explicit FakeProcess(std::function<void(int)> at_end) : ended(std::move(at_end)) {}
  void terminate() override { signals += "T"; }
  void kill() override { signals += "K"; }
  std::function<void(int)> ended;
  std::string signals;
};

struct FakeRunner final : ProcessRunner {
  Result<std::unique_ptr<Process>> start(const ProcessSpec& spec, std::function<void(int)> ended) override {
    if (refuse) return fail(Fault::not_found, "starting " + spec.program.string() + ": no such file");
    auto process = std::make_unique<FakeProcess>(std::move(ended));
    starts.push_back(spec);
    running[spec.program.filename().string()] = process.get();
    return std::unique_ptr<Process>(std::move(process));
  }
  bool refuse = false;
  std::vector<ProcessSpec> starts;
  std::map<std::string, FakeProcess*> running;
};

/// An agent on a context that the test turns by hand, with a clock that stands still.
struct World {
  fs::path folder = fs::temp_directory_path() / ("nacelle-agent-" + random_uuid());
  ManualClock clock;
  asio::io_context context;
  FakeRunner runner;
  std::optional<EdgeFiles> files;
  json::Value reported = json::Object{};
  std::shared_ptr<Agent> agent;

  World() {
    auto opened = EdgeFiles::open(folder, storage::real_file_system());
    EXPECT_TRUE(opened);
    files.emplace(std::move(*opened));
    make_agent();
  }
  ~World() {
    agent.reset();
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  void make_agent() {
    Agent::Parts parts;
    parts.core = context.get_executor();
    parts.clock = &clock;
    parts.files = &*files;
    parts.processes = &runner;
    parts.programs = "/opt/programs";
    parts.environment = [](const deployment::ModuleSpec& spec) -> Result<std::map<std::string, std::string>> { return spec.env; };
    parts.report = [this](const json::Value& patch) { json::merge_patch(reported, patch); };
    agent = Agent::make(std::move(parts));
  }
  void apply(std::string_view modules, int version) {
    agent->apply(*json::parse(R"({"schemaVersion":"1.1","modules":)" + std::string(modules) + R"(,"$version":)" +
                              std::to_string(version) + "}"));
  }
  void turn() {
    context.restart();
    context.poll();
  }
  std::int64_t code() const { return reported.at_path({"lastDesiredStatus", "code"})->as_integer(); }
  std::string status(std::string_view module) const { return reported.at_path({"modules", module, "runtimeStatus"})->as_string(); }
};

constexpr std::string_view two =
    R"({"a":{"type":"process","settings":{"image":"prog-a"},"startupOrder":2,"env":{"RATE":{"value":5}}},
    "b":{"type":"process","settings":{"image":"/abs/prog-b"},"startupOrder":1}})";

TEST(Agent, modules_of_a_manifest_start_with_their_environment_and_are_reported) {
  World world;
  world.apply(two, 3);
  ASSERT_EQ(world.runner.starts.size(), 2u);
  EXPECT_EQ(world.runner.starts[0].program, "/abs/prog-b");
  EXPECT_EQ(world.runner.starts[1].program, "/opt/programs/prog-a");
  EXPECT_EQ(world.runner.starts[1].environment.at("RATE"), "5");
  EXPECT_EQ(world.code(), 200);
  EXPECT_EQ(world.reported.find("lastDesiredVersion")->as_integer(), 3);
  EXPECT_EQ(world.status("a"), "running");
}

TEST(Agent, a_bad_manifest_is_reported_and_the_old_one_stays) {
  World world;
  world.apply(two, 3);
  world.apply(R"({"a":{"type":"process","settings":{"image":"x"},"restartPolicy":"sometimes"}})", 4);
  EXPECT_EQ(world.code(), 400);
  EXPECT_NE(world.reported.at_path({"lastDesiredStatus", "description"})->as_string().find("restartPolicy"), std::string::npos);
  EXPECT_EQ(world.status("b"), "running");
  world.apply(R"({"a":{"type":"docker","settings":{"image":"x"}}})", 5);
  EXPECT_EQ(world.code(), 400);
  world.agent->apply(*json::parse(R"({"$version":6})"));
  EXPECT_EQ(world.code(), 417);
  world.agent->apply(*json::parse(R"({"schemaVersion":"2.0","modules":{},"$version":7})"));
  EXPECT_EQ(world.code(), 412);
  EXPECT_EQ(world.runner.starts.size(), 2u);
}

TEST(Agent, an_ended_module_is_started_again_after_its_back_off) {
  World world;
  world.apply(two, 1);
  world.runner.running.at("prog-a")->ended(1);
  world.turn();
  EXPECT_EQ(world.status("a"), "backoff");
  world.clock.advance(seconds(10));
  world.agent->step();
  EXPECT_EQ(world.runner.starts.size(), 3u);
  EXPECT_EQ(world.status("a"), "running");
  EXPECT_EQ(world.reported.at_path({"modules", "a", "restartCount"})->as_integer(), 1);
}

TEST(Agent, a_removed_module_is_stopped_and_reported_as_gone) {
  World world;
  world.apply(two, 1);
  FakeProcess* gone = world.runner.running.at("prog-b");
  world.apply(R"({"a":{"type":"process","settings":{"image":"prog-a"},"startupOrder":2,"env":{"RATE":{"value":5}}}})", 2);
  EXPECT_EQ(gone->signals, "T");
  world.clock.advance(seconds(10));
  world.agent->step();
  EXPECT_EQ(gone->signals, "TK");
  gone->ended(137);
  world.turn();
  EXPECT_EQ(world.reported.at_path({"modules", "b"}), nullptr);
  EXPECT_EQ(world.status("a"), "running");
}

TEST(Agent, the_last_good_manifest_is_obeyed_after_a_restart) {
  World world;
  world.apply(two, 1);
  world.apply(R"({"a":{"type":"process"}})", 2);
  EXPECT_EQ(world.code(), 400);
  world.runner.starts.clear();
  world.make_agent();
  world.agent->start();
  EXPECT_EQ(world.runner.starts.size(), 2u);
}

TEST(Agent, a_program_that_is_not_there_is_backed_off_and_said) {
  World world;
  world.runner.refuse = true;
  world.apply(two, 1);
  EXPECT_EQ(world.status("a"), "backoff");
  EXPECT_NE(world.reported.at_path({"modules", "a", "statusDescription"})->as_string().find("prog-a"), std::string::npos);
}

}  // namespace
}  // namespace nacelle::edge
