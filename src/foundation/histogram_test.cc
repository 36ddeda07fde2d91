#include "foundation/histogram.h"

#include <gtest/gtest.h>

namespace nacelle {
namespace {

TEST(Histogram, a_value_is_counted_in_the_first_bucket_whose_bound_it_does_not_exceed) {
  Histogram histogram;
  for (const std::uint64_t value : {0ull, 1ull, 2ull, 3ull, 4ull, 5ull, 1024ull, 1025ull, ~0ull >> 1}) histogram.add(value);
  const auto reading = histogram.read();
  EXPECT_EQ(reading.counts[0], 2u);   // up to 1
  EXPECT_EQ(reading.counts[1], 1u);   // 2
  EXPECT_EQ(reading.counts[2], 2u);   // 3, 4
  EXPECT_EQ(reading.counts[3], 1u);   // 5
  EXPECT_EQ(reading.counts[10], 1u);  // 1024
  EXPECT_EQ(reading.counts[11], 1u);  // 1025
  EXPECT_EQ(reading.counts[Histogram::buckets - 1], 1u);
  EXPECT_EQ(reading.count(), 9u);
  EXPECT_EQ(reading.sum, 0 + 1 + 2 + 3 + 4 + 5 + 1024 + 1025 + (~0ull >> 1));
}

}  // namespace
}  // namespace nacelle
