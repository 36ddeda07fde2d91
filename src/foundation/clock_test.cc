#include "foundation/clock.h"

#include <gtest/gtest.h>

namespace nacelle {
namespace {

using namespace std::chrono;

Timestamp at(std::int64_t microseconds_since_1970) { return Timestamp{microseconds{microseconds_since_1970}}; }

TEST(Clock, times_print_with_the_decimals_asked_for) {
  const Timestamp time = at(1'893'460'582'095'001);
  EXPECT_EQ(format_iso8601(time), "2030-01-01T01:16:22.095Z");
  EXPECT_EQ(format_iso8601(time, 0), "2030-01-01T01:16:22Z");
  EXPECT_EQ(format_iso8601(time, 7), "2030-01-01T01:16:22.0950010Z");
  EXPECT_EQ(format_iso8601(at(-1), 6), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_iso8601(Timestamp{sys_days{2024y / February / 29}}, 0), "2024-02-29T00:00:00Z");
}

TEST(Clock, every_printed_time_reads_back) {
  for (std::int64_t us = -2'000'000'000'000'000; us < 4'000'000'000'000'000; us += 12'345'678'901'234) {
    EXPECT_EQ(*parse_iso8601(format_iso8601(at(us), 6)), at(us));
    EXPECT_EQ(*parse_iso8601(format_iso8601(at(us), 7)), at(us));
  }
}

TEST(Clock, usual_forms_of_a_time_are_read) {
  const Timestamp time = *parse_iso8601("2030-01-01T10:00:00Z");
  for (const auto* text : {"2030-01-01T10:00:00", "2030-01-01 10:00:00Z", "2030-01-01t10:00:00z", "2030-01-01T10:00:00.000000000Z",
                           "2030-01-01T12:00:00+02:00", "2030-01-01T12:00:00+0200", "2030-01-01T04:30:00-05:30",
                           "2030-01-01T10:00:00.0000000+00:00"}) {
    const auto read = parse_iso8601(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(*read, time) << text;
  }
  EXPECT_EQ(*parse_iso8601("2030-01-01T10:00:00.5Z"), time + milliseconds{500});
  EXPECT_EQ(*parse_iso8601("2030-01-01T10:00:00.1234569Z"), time + microseconds{123'456});
}

TEST(Clock, what_is_no_time_is_refused) {
  const std::string good = "2030-01-01T10:00:00";
  for (std::size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(parse_iso8601(good.substr(0, length))) << length;
  for (const auto* text : {"2030-13-01T10:00:00Z", "2030-02-30T10:00:00Z", "2030-00-01T10:00:00Z", "2030-01-01T24:00:00Z",
                           "2030-01-01T10:60:00Z", "2030-01-01T10:00:61Z", "2030-01-01T10:00:00Zx", "2030-01-01T10:00:00+",
                           "2030-01-01T10:00:00+1", "2030-01-01T10:00:00+25:00", "2030-01-01T10:00:00+01:60",
                           " 2030-01-01T10:00:00Z", "20300101T100000Z", "+030-01-01T10:00:00Z", "-1"}) {
    const auto read = parse_iso8601(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().fault, Fault::invalid_input);
  }
}

TEST(Clock, unix_seconds_are_rounded_down_and_held_within_the_calendar) {
  EXPECT_EQ(unix_seconds(at(1'999'999)), 1);
  EXPECT_EQ(unix_seconds(at(-1)), -1);
  EXPECT_EQ(unix_seconds(from_unix_seconds(1'893'456'000)), 1'893'456'000);
  EXPECT_EQ(format_iso8601(from_unix_seconds(INT64_MAX), 0), "9999-12-31T23:59:59Z");
  EXPECT_EQ(format_iso8601(from_unix_seconds(INT64_MIN), 0), "0000-01-01T00:00:00Z");
}

TEST(Clock, the_manual_clock_moves_when_told) {
  ManualClock clock;
  EXPECT_EQ(format_iso8601(clock.now(), 0), "2030-01-01T00:00:00Z");
  clock.advance(seconds{90});
  EXPECT_EQ(format_iso8601(clock.now(), 0), "2030-01-01T00:01:30Z");
  clock.set(at(0));
  EXPECT_EQ(clock.now(), at(0));
}

TEST(Clock, the_system_clock_does_not_stand_still_in_the_past) {
  EXPECT_GT(SystemClock().now(), *parse_iso8601("2024-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace nacelle
