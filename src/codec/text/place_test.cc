#include "codec/text/place.h"

#include <gtest/gtest.h>

namespace nacelle::text {
namespace {

void expect_place(std::string_view text, std::size_t at, std::size_t line, std::size_t column) {
  const Place place = place_of(text, at);
  EXPECT_EQ(place.line, line) << text << " at " << at;
  EXPECT_EQ(place.column, column) << text << " at " << at;
}

TEST(PlaceOf, lines_and_characters_are_counted_from_one) {
  expect_place("", 0, 1, 1);
  expect_place("ab\ncd", 0, 1, 1);
  expect_place("ab\ncd", 2, 1, 3);
  expect_place("ab\ncd", 3, 2, 1);
  expect_place("ab\ncd", 4, 2, 2);
}

TEST(PlaceOf, a_character_of_several_bytes_is_one_column) { expect_place("\xc3\xa4x", 2, 1, 2); }

TEST(PlaceOf, behind_the_end_is_the_end) { expect_place("a\nb", 99, 2, 2); }

}  // namespace
}  // namespace nacelle::text
