#include "app/commands/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace nacelle::app {

namespace {

class ProgressLine {
 public:
  ~ProgressLine() {
    if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
  }
  void tell(const std::string& what, double done) {
    const auto now = std::chrono::steady_clock::now();
    if (now - started_ < std::chrono::milliseconds(500)) return;
    if (terminal_) {
      fmt::print(stderr, "\r\033[K{} {:3.0f} %", what, 100 * done);
      std::fflush(stderr);
      shown_ = true;
    } else if (what != last_) {
      fmt::print(stderr, "{}\n", what);
    }
    last_ = what;
  }

 private:
  const bool terminal_ = ::isatty(2) == 1;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::string last_;
  bool shown_ = false;
};

bool is_number(const std::string& text) { return !text.empty() && text.find_first_not_of("0123456789.+-") == std::string::npos; }

}  // namespace

std::function<bool(const std::string& what, double done)> make_progress() {
  return [line = std::make_shared<ProgressLine>()](const std::string& what, double done) {
    line->tell(what, done);
    return true;
  };
}

void print_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < header.size(); ++c) {
    widths.push_back(header[c].size());
    for (const auto& row : rows) widths[c] = std::max(widths[c], row[c].size());
  }
  const auto print_row = [&widths](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      line += is_number(row[c]) ? fmt::format("{:>{}}", row[c], widths[c]) : fmt::format("{:<{}}", row[c], widths[c]);
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  };
  print_row(header);
  for (const auto& row : rows) print_row(row);
}

}  // namespace nacelle::app
