#include "service/hub/check.h"

#include <sys/stat.h>

#include <fstream>

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

using State = Finding::State;

class CheckTest : public HubTest {
 protected:
  storage::fs::path dir() const { return folder.path() / "hub"; }
  Findings look() { return check_folder(dir(), clock, storage::real_file_system()); }
  /// The problems of one subject, `what; mend` each.
  static std::vector<std::string> problems(const Findings& findings, const std::string& subject = {}) {
    std::vector<std::string> found;
    for (const Finding& one : findings)
      if (one.state == State::problem && (subject.empty() || one.subject.starts_with(subject))) {
        found.push_back(one.what + "; " + one.mend);
        EXPECT_FALSE(one.mend.empty()) << one.what << " has no mend";
      }
    return found;
  }
  void spoil(const char* file, std::uint64_t at, const std::string& with) {
    std::fstream stream(dir() / file, std::ios::binary | std::ios::in | std::ios::out);
    stream.seekp(static_cast<std::streamoff>(at));
    stream << with;
  }
};

TEST_F(CheckTest, sound_hub_has_no_problem_running_or_stopped) {
  add("d1");
  EXPECT_TRUE(runs_on(dir(), storage::real_file_system()));
  EXPECT_EQ(problems(look()), std::vector<std::string>{});
  const endpoint::HubFile file = hub->found_at();
  EXPECT_EQ(problems(run(check_ports(file, true))), std::vector<std::string>{});
  stop(true);
  EXPECT_FALSE(runs_on(dir(), storage::real_file_system()));
  EXPECT_EQ(problems(look()), std::vector<std::string>{});
  EXPECT_EQ(problems(run(check_ports(file, false))), std::vector<std::string>{});
  EXPECT_EQ(problems(run(check_ports(file, true)), "port").size(), 4u) << "they were to answer";
}

TEST_F(CheckTest, ports_of_a_stopped_hub_that_others_hold_are_told) {
  const endpoint::HubFile file = hub->found_at();
  EXPECT_EQ(problems(run(check_ports(file, false)), "port").size(), 4u);
  endpoint::HubFile wrong_key = file;
  wrong_key.connection_string.replace(wrong_key.connection_string.rfind("SharedAccessKey="), std::string::npos,
                                      "SharedAccessKey=" + sas::random_key());
  EXPECT_EQ(problems(run(check_ports(wrong_key, true)), "call").size(), 1u);
}

TEST_F(CheckTest, what_others_can_read_is_told_with_the_command_that_mends_it) {
  ASSERT_EQ(::chmod((dir() / "certs" / "server.key").c_str(), 0644), 0);
  ASSERT_EQ(::chmod((dir() / "hub.json").c_str(), 0640), 0);
  const auto found = problems(look(), "permissions");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NE(found[0].find("chmod 600"), std::string::npos) << found[0];
  EXPECT_NE(found[0].find("hub.json"), std::string::npos) << found[0];
}

TEST_F(CheckTest, certificates_that_others_hold_are_told_of_a_year_before_they_end) {
  const auto warned = [&] {
    std::string names;
    for (const Finding& one : look())
      if (one.state == State::warning && one.subject.starts_with("certificate ")) names += one.subject.substr(12) + " ";
    return names;
  };
  EXPECT_EQ(warned(), "");
  const auto root = net::inspect(storage::read_file(storage::real_file_system(), dir() / "certs" / "ca.pem").value()).value();
  clock.set(root.not_after - std::chrono::hours{24 * 300});
  EXPECT_EQ(warned(), "ca devices ") << "intermediate and server have ended by then, and are problems";
}

TEST_F(CheckTest, certificates_that_end_or_are_not_there_and_a_clock_that_is_wrong_are_told) {
  const auto states = [&] {
    std::string text;
    for (const Finding& one : look())
      if (one.subject == "certificate server") text += static_cast<char>('0' + static_cast<int>(one.state));
    return text;
  };
  clock.advance(std::chrono::hours{24 * 350});
  EXPECT_EQ(states(), "1") << "it ends soon";
  clock.advance(std::chrono::hours{24 * 30});
  EXPECT_EQ(states(), "2") << "it has ended";
  clock.advance(-std::chrono::hours{24 * 500});
  EXPECT_EQ(states(), "2") << "it is not valid yet";
  EXPECT_EQ(problems(look(), "clock").size(), 1u) << "the folder is from the future";
  clock.advance(std::chrono::hours{24 * 120});
  storage::fs::remove(dir() / "certs" / "intermediate.key");
  storage::fs::remove(dir() / "certs" / "ca.pem");
  std::ofstream(dir() / "certs" / "server.pem") << "no certificate";
  EXPECT_EQ(problems(look(), "certificate").size(), 3u);
}

TEST_F(CheckTest, damaged_tables_log_and_configuration_are_told) {
  add("d1");
  const auto device = connected(add("d2"));
  send(*device, "d2", 0, 20);
  send(*device, "d2", 20, 20);  // what no later commit follows could be a torn write, which is no damage
  run(device->close());
  stop(true);
  spoil("registry.db", 4096, std::string(4096, '\xff'));
  spoil("sessions.db", 0, "no database at all");
  std::ofstream(dir() / "routes.json") << "{";
  std::ofstream(dir() / "namespace.json") << R"({"rules":[{"who":7}]})";
  for (const auto& entry : storage::fs::recursive_directory_iterator(dir() / "events"))
    if (entry.path().extension() == ".log" && storage::fs::file_size(entry.path()) > 300) {
      std::fstream stream(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
      stream.seekp(130);
      stream << "damage";
    }
  const Findings found = look();
  EXPECT_EQ(problems(found, "tables registry.db").size(), 1u);
  EXPECT_EQ(problems(found, "tables sessions.db").size(), 1u);
  EXPECT_EQ(problems(found, "event log").size(), 1u);
  EXPECT_EQ(problems(found, "configuration").size(), 2u);
}

TEST_F(CheckTest, folder_of_no_hub_is_said_to_be_none) {
  const auto found = problems(check_folder(folder.path() / "nothing", clock, storage::real_file_system()));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("nacelle hub --data"), std::string::npos);
}

TEST(CheckDisk, little_room_is_a_warning_and_hardly_any_a_problem) {
  constexpr std::uint64_t gib = 1ull << 30;
  EXPECT_EQ(judge_disk({100 * gib, 200 * gib, 1'000'000, 2'000'000}).state, State::good);
  EXPECT_EQ(judge_disk({gib, 200 * gib, 1'000'000, 2'000'000}).state, State::warning);
  EXPECT_EQ(judge_disk({gib / 8, 200 * gib, 1'000'000, 2'000'000}).state, State::problem);
  EXPECT_EQ(judge_disk({100 * gib, 200 * gib, 10, 2'000'000}).state, State::problem);
  EXPECT_EQ(judge_disk({100 * gib, 200 * gib, 0, 0}).state, State::good) << "inodes are not counted";
}

}  // namespace
}  // namespace nacelle::hub::testing
