#include "service/edge/supervisor.h"

#include <gtest/gtest.h>

namespace nacelle::edge {
namespace {

using deployment::ModuleSpec;
using deployment::RestartPolicy;
using std::chrono::seconds;

ModuleSpec spec(const std::string& name, RestartPolicy restart = RestartPolicy::always, std::uint32_t order = 0xffffffff) {
  ModuleSpec made;
  made.name = name;
  made.type = "process";
  made.image = name;
  made.restart = restart;
  made.startup_order = order;
  return made;
}

std::map<std::string, ModuleSpec> modules(std::vector<ModuleSpec> specs) {
  std::map<std::string, ModuleSpec> made;
  for (ModuleSpec& one : specs) made.emplace(one.name, one);
  return made;
}

/// What is due, as text; starts succeed.
struct World {
  Supervisor supervisor{SupervisorRules{}};
  Timestamp now{seconds{1'000'000}};

  std::string step() {
    std::string text;
    for (const Action& action : supervisor.due(now)) {
      static constexpr const char* names[] = {"start", "terminate", "kill", "removed"};
      text += (text.empty() ? "" : ", ") + std::string(names[static_cast<int>(action.kind)]) + " " + action.module;
      if (action.kind == Action::Kind::start) supervisor.started(action.module, now);
    }
    return text;
  }
  void exit(const std::string& module, int code) { supervisor.exited(module, code, now); }
};

TEST(Supervisor, modules_start_in_startup_order) {
  World world;
  world.supervisor.set_desired(
      modules({spec("late"), spec("second", RestartPolicy::always, 2), spec("first", RestartPolicy::always, 1)}));
  EXPECT_EQ(world.step(), "start first, start second, start late");
  EXPECT_EQ(world.step(), "");
}

TEST(Supervisor, back_off_doubles_from_ten_seconds_to_three_hundred) {
  World world;
  world.supervisor.set_desired(modules({spec("m")}));
  world.step();
  for (const int wait : {10, 20, 40, 80, 160, 300, 300}) {
    world.exit("m", 1);
    EXPECT_EQ(world.supervisor.status("m"), RuntimeStatus::backoff);
    world.now += seconds(wait - 1);
    EXPECT_EQ(world.step(), "") << wait;
    EXPECT_EQ(*world.supervisor.next_due(), world.now + seconds(1));
    world.now += seconds(1);
    EXPECT_EQ(world.step(), "start m") << wait;
  }
}

TEST(Supervisor, after_twenty_restarts_a_module_has_failed) {
  World world;
  world.supervisor.set_desired(modules({spec("m")}));
  world.step();
  for (int restart = 0; restart < 20; ++restart) {
    world.exit("m", 1);
    world.now += seconds(300);
    ASSERT_EQ(world.step(), "start m") << restart;
  }
  world.exit("m", 1);
  world.now += seconds(10'000);
  EXPECT_EQ(world.step(), "");
  EXPECT_EQ(world.supervisor.status("m"), RuntimeStatus::failed);
}

TEST(Supervisor, ten_minutes_of_running_clear_the_count) {
  World world;
  world.supervisor.set_desired(modules({spec("m")}));
  world.step();
  for (int i = 0; i < 5; ++i) {
    world.exit("m", 1);
    world.now += seconds(300);
    world.step();
  }
  world.now += seconds(600);
  world.exit("m", 1);
  world.now += seconds(10);
  EXPECT_EQ(world.step(), "start m");
}

TEST(Supervisor, policies_decide_on_exit_codes) {
  struct Case {
    RestartPolicy policy;
    int code;
    RuntimeStatus expected;
  };
  for (const Case& c :
       {Case{RestartPolicy::always, 0, RuntimeStatus::backoff}, Case{RestartPolicy::on_failure, 0, RuntimeStatus::stopped},
        Case{RestartPolicy::on_failure, 1, RuntimeStatus::backoff}, Case{RestartPolicy::on_unhealthy, 139, RuntimeStatus::backoff},
        Case{RestartPolicy::never, 0, RuntimeStatus::stopped}, Case{RestartPolicy::never, 3, RuntimeStatus::failed}}) {
    World world;
    world.supervisor.set_desired(modules({spec("m", c.policy)}));
    world.step();
    world.exit("m", c.code);
    EXPECT_EQ(world.supervisor.status("m"), c.expected) << static_cast<int>(c.policy) << " " << c.code;
  }
}

TEST(Supervisor, a_changed_module_stops_and_starts_anew_and_an_equal_one_is_left_alone) {
  World world;
  world.supervisor.set_desired(modules({spec("a"), spec("b")}));
  world.step();
  ModuleSpec changed = spec("a");
  changed.env["X"] = "1";
  world.supervisor.set_desired(modules({changed, spec("b")}));
  EXPECT_EQ(world.step(), "terminate a");
  world.exit("a", 143);
  EXPECT_EQ(world.step(), "start a");
}

TEST(Supervisor, a_module_that_does_not_stop_is_killed_and_a_removed_one_goes) {
  World world;
  world.supervisor.set_desired(modules({spec("m")}));
  world.step();
  world.supervisor.set_desired({});
  EXPECT_EQ(world.step(), "terminate m");
  EXPECT_EQ(world.step(), "");
  world.now += seconds(10);
  EXPECT_EQ(world.step(), "kill m");
  EXPECT_FALSE(world.supervisor.idle());
  world.exit("m", 137);
  EXPECT_TRUE(world.supervisor.idle());
  EXPECT_EQ(world.step(), "removed m");
  EXPECT_TRUE(world.supervisor.report().empty());
}

TEST(Supervisor, a_module_that_cannot_be_started_is_tried_again) {
  World world;
  world.supervisor.set_desired(modules({spec("m")}));
  ASSERT_EQ(world.supervisor.due(world.now).size(), 1u);
  world.supervisor.not_started("m", "no such program", world.now);
  EXPECT_EQ(world.supervisor.status("m"), RuntimeStatus::backoff);
  EXPECT_EQ(world.supervisor.report().find("m")->find("statusDescription")->as_string(), "no such program");
  world.now += seconds(10);
  EXPECT_EQ(world.step(), "start m");
}

TEST(Supervisor, status_stopped_stops_and_is_not_restarted) {
  World world;
  world.supervisor.set_desired(modules({spec("m")}));
  world.step();
  ModuleSpec stopped = spec("m");
  stopped.status = deployment::DesiredStatus::stopped;
  world.supervisor.set_desired(modules({stopped}));
  EXPECT_EQ(world.step(), "terminate m");
  world.exit("m", 143);
  EXPECT_EQ(world.step(), "");
  EXPECT_EQ(world.supervisor.status("m"), RuntimeStatus::stopped);
}

}  // namespace
}  // namespace nacelle::edge
