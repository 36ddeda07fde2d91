// The physical limit beside which an ingest benchmark is read: append BYTES to one file, fdatasync, again, for SECONDS.
//
//   raw_sync FOLDER BYTES SECONDS   prints {"syncs_per_second":..,"p50_us":..,"p99_us":..,"bytes_per_second":..}
//   raw_sync FOLDER BYTES SECONDS AHEAD   the same over zeros, AHEAD bytes of which are written whenever there are none left
//   (docs/decisions/0020-own-event-log.md)
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t largest_file = 256 * 1024 * 1024;

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

bool write_at(int file, const std::string& block, std::size_t at) {
  return ::pwrite(file, block.data(), block.size(), static_cast<off_t>(at)) == static_cast<ssize_t>(block.size());
}

int measure(const std::string& path, std::size_t bytes, double seconds, std::size_t ahead) {
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) return std::perror(path.c_str()), 1;
  const std::string block(bytes, 'x');
  const std::string zeros(ahead, '\0');
  std::vector<double> times;
  std::size_t size = 0;
  std::size_t zeroed = 0;
  const auto begin = Clock::now();
  while (Clock::now() - begin < std::chrono::duration<double>(seconds)) {
    const auto start = Clock::now();
    if (ahead > 0 && size + bytes > zeroed) {
      if (!write_at(file, zeros, zeroed)) return std::perror(path.c_str()), 1;
      zeroed += ahead;
    }
    if (!write_at(file, block, size) || ::fdatasync(file) != 0) return std::perror(path.c_str()), 1;
    times.push_back(microseconds(Clock::now() - start));
    size += bytes;
    if (size > largest_file && (size = zeroed = 0, ::ftruncate(file, 0) != 0)) return std::perror(path.c_str()), 1;
  }
  const double took = microseconds(Clock::now() - begin) / 1e6;
  ::close(file);
  ::unlink(path.c_str());
  std::sort(times.begin(), times.end());
  fmt::print("{{\"syncs_per_second\":{:.0f},\"p50_us\":{:.0f},\"p99_us\":{:.0f},\"bytes_per_second\":{:.0f}}}\n",
             static_cast<double>(times.size()) / took, times[times.size() / 2], times[times.size() * 99 / 100],
             static_cast<double>(times.size() * bytes) / took);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return std::fprintf(stderr, "usage: raw_sync FOLDER BYTES SECONDS [AHEAD]\n"), 2;
  const auto bytes = [&](int n) { return n < argc ? std::strtoull(argv[n], nullptr, 10) : 0; };
  return measure(std::string(argv[1]) + "/raw-sync", bytes(2), std::strtod(argv[3], nullptr), bytes(4));
}
