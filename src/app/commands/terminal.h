#pragma once
// What commands print: progress on standard error, tables on standard output.

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace nacelle::app {

/// A line of progress on standard error: rewritten in place on a terminal, else one line for each new piece of work. Quiet for
/// work of less than half a second. The returned function answers true (go on).
std::function<bool(const std::string& what, double done)> make_progress();

/// Prints rows under a header, columns aligned (numbers to the right).
void print_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

}  // namespace nacelle::app
