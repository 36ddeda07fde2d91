#include "app/demo/story.h"

#include <fmt/format.h>

#include <cstdio>

namespace nacelle::app::demo {

void say(std::string_view text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

Step::Step(int number, std::string name) : number_(number), name_(std::move(name)) {}

Result<> Step::check(std::string_view what, std::uint64_t expected, std::uint64_t found) {
  if (found != expected)
    return fail(Fault::conflict, fmt::format("step {}, {}: {}: expected {}, found {}", number_, name_, what, expected, found));
  facts_.push_back(fmt::format("{} {}", found, what));
  return {};
}

Result<> Step::check(std::string_view what, bool holds, std::string_view otherwise) {
  if (!holds) return fail(Fault::conflict, fmt::format("step {}, {}: expected {}; {}", number_, name_, what, otherwise));
  facts_.emplace_back(what);
  return {};
}

void Step::note(std::string text) { facts_.push_back(std::move(text)); }

void Step::done() {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  say(fmt::format("{:>2}. {:<44} {:>6.1f} s   {}", number_, name_, seconds, fmt::join(facts_, "; ")));
}

}  // namespace nacelle::app::demo
