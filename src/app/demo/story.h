#pragma once
// What the demo shows: a line a step, with what was checked and how long it took; and the checks themselves.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/result.h"

namespace nacelle::app::demo {

/// One step while it runs. Its line is printed by done().
class Step {
 public:
  Step(int number, std::string name);
  /// "24720 messages acknowledged" for the step's line. Fault::conflict, saying both, if `found` is not `expected`.
  Result<> check(std::string_view what, std::uint64_t expected, std::uint64_t found);
  /// A condition that is no count.
  Result<> check(std::string_view what, bool holds, std::string_view otherwise);
  /// Something worth knowing that is not checked.
  void note(std::string text);
  void done();

 private:
  int number_;
  std::string name_;
  std::vector<std::string> facts_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// A line of plain text, flushed.
void say(std::string_view text);

}  // namespace nacelle::app::demo
