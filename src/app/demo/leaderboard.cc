#include "app/demo/leaderboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "app/demo/story.h"

namespace nacelle::app::demo {
namespace {

double number_or_zero(const json::Value& object, std::initializer_list<std::string_view> path) {
  const json::Value* found = object.at_path(path);
  return found && found->is_number() ? found->as_number() : 0;
}

}  // namespace

std::string standing(const json::Value& run) {
  const json::Value* trainer = run.find("trainer");
  const double folds = number_or_zero(run, {"folds"});
  return fmt::format("{} {:.2f} on {:.0f} fold{}", trainer && trainer->is_string() ? trainer->as_string() : "?",
                     number_or_zero(run, {"metrics", "rmse"}), folds, folds == 1 ? "" : "s");
}

Leaderboard::Leaderboard() : terminal_(::isatty(STDOUT_FILENO) == 1) {}

void Leaderboard::tell(const json::Value& line) {
  const json::Value* progress = line.find("progress");
  const json::Value* best = progress ? progress->find("best") : nullptr;
  if (!best || !best->is_array() || best->as_array().empty()) return;
  const double rung = number_or_zero(*progress, {"rung"}), rungs = number_or_zero(*progress, {"rungs"});
  const double done = number_or_zero(*progress, {"done"}), all = number_or_zero(*progress, {"all"});
  const std::string where = rungs == 0 ? std::string("fitted to all engines") : fmt::format("rung {:.0f} of {:.0f}", rung, rungs);
  const std::string head =
      fmt::format("      {}, {:.0f} of {:.0f} trials, {:.0f} s", where, done, all, number_or_zero(*progress, {"seconds"}));
  std::vector<std::string> board;
  for (const json::Value& run : best->as_array()) board.push_back(standing(run));
  if (terminal_) {
    clear();
    print(head);
    for (const std::string& one : board) print("        " + one);
    std::fflush(stdout);
  } else if (done == all && rungs != 0 && where != rung_) {
    rung_ = where;
    constexpr std::size_t shown = 3;
    board.resize(std::min(board.size(), shown));
    say(fmt::format("{}: {}", head, fmt::join(board, "; ")));
  }
}

void Leaderboard::print(const std::string& text) {
  fmt::print("\033[K{}\n", text);
  ++lines_;
}

void Leaderboard::clear() {
  if (lines_ > 0) fmt::print("\033[{}A\r\033[J", lines_);
  lines_ = 0;
}

}  // namespace nacelle::app::demo
