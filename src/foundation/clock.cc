#include "foundation/clock.h"

#include <fmt/format.h>

#include <algorithm>

namespace nacelle {
namespace {

/// Reads exactly `width` digits at `at` and moves past them; -1 if they are not there.
int digits(std::string_view text, std::size_t& at, std::size_t width) {
  if (at + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const char c = text[at + i];
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  at += width;
  return value;
}

bool skip(std::string_view text, std::size_t& at, std::string_view any_of) {
  if (at >= text.size() || any_of.find(text[at]) == std::string_view::npos) return false;
  ++at;
  return true;
}

/// Decimals of a second as microseconds; further digits are cut.
std::chrono::microseconds fraction(std::string_view text, std::size_t& at) {
  std::int64_t micros = 0;
  std::int64_t unit = 100'000;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    micros += (text[at++] - '0') * unit;
    unit /= 10;
  }
  return std::chrono::microseconds{micros};
}

}  // namespace

Timestamp SystemClock::now() const {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

std::string format_iso8601(Timestamp time, int decimals) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  if (int(date.year()) < 0 || int(date.year()) > 9999)
    return fmt::format("{:04}-{:02}-{:02}", int(date.year()), unsigned(date.month()), unsigned(date.day()));
  // By hand: it is written for every message.
  std::string text = "0000-00-00T00:00:00.0000000Z";
  const auto put = [&](std::size_t last, std::int64_t value) {
    for (; value > 0; value /= 10) text[last--] = static_cast<char>('0' + value % 10);
  };
  put(3, int(date.year()));
  put(6, unsigned(date.month()));
  put(9, unsigned(date.day()));
  put(12, clock.hours().count());
  put(15, clock.minutes().count());
  put(18, clock.seconds().count());
  put(25, clock.subseconds().count());
  const std::size_t end = decimals > 0 ? 20 + static_cast<std::size_t>(std::min(decimals, 7)) : 19;
  text.resize(end);
  text += 'Z';
  return text;
}

Result<Timestamp> parse_iso8601(std::string_view text) {
  using namespace std::chrono;
  const auto refuse = [&] {
    return fail(Fault::invalid_input, fmt::format("expected a time such as 2030-01-01T10:00:00Z, found '{}'", text.substr(0, 64)));
  };
  std::size_t at = 0;
  const int y = digits(text, at, 4);
  if (y < 0 || !skip(text, at, "-")) return refuse();
  const int mo = digits(text, at, 2);
  if (mo < 0 || !skip(text, at, "-")) return refuse();
  const int d = digits(text, at, 2);
  if (d < 0 || !skip(text, at, "T t")) return refuse();
  const int h = digits(text, at, 2);
  if (h < 0 || h > 23 || !skip(text, at, ":")) return refuse();
  const int mi = digits(text, at, 2);
  if (mi < 0 || mi > 59 || !skip(text, at, ":")) return refuse();
  const int s = digits(text, at, 2);
  if (s < 0 || s > 60) return refuse();
  const year_month_day date{year{y}, month{static_cast<unsigned>(mo)}, day{static_cast<unsigned>(d)}};
  if (!date.ok()) return refuse();
  Timestamp time = sys_days{date} + hours{h} + minutes{mi} + seconds{s};
  if (skip(text, at, ".")) time += fraction(text, at);
  if (at == text.size() || (skip(text, at, "Zz") && at == text.size())) return time;
  const bool west = text[at] == '-';
  if (!skip(text, at, "+-")) return refuse();
  const int oh = digits(text, at, 2);
  if (oh < 0 || oh > 23) return refuse();
  skip(text, at, ":");
  const int om = digits(text, at, 2);
  if (om < 0 || om > 59 || at != text.size()) return refuse();
  const auto offset = hours{oh} + minutes{om};
  return west ? time + offset : time - offset;
}

std::int64_t unix_seconds(Timestamp time) { return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count(); }

Timestamp from_unix_seconds(std::int64_t seconds) {
  constexpr std::int64_t year_0 = -62'167'219'200;
  constexpr std::int64_t end_of_year_9999 = 253'402'300'799;  // ISO 8601 ends there, and int64 microseconds are not far
  return Timestamp{std::chrono::seconds{std::clamp(seconds, year_0, end_of_year_9999)}};
}

}  // namespace nacelle
