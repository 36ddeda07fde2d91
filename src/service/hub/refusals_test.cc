#include "service/hub/refusals.h"

#include <gtest/gtest.h>

namespace nacelle::hub {
namespace {

std::string_view word(const char* sentence, Fault fault = Fault::denied) { return reason_word(Error{fault, sentence}); }

TEST(Refusals, what_somebody_sent_does_not_choose_the_word) {
  EXPECT_EQ(word("'d1' is not registered"), "unknown");
  EXPECT_EQ(word("'expired' is not registered"), "unknown");
  EXPECT_EQ(word("'it's disabled' is not registered"), "unknown");
  EXPECT_EQ(word("there is no shared access policy 'the token expired'"), "unknown");
  EXPECT_EQ(word("the token expired at 2030-01-01T00:00:00Z"), "expired");
  EXPECT_EQ(word("something new"), "other");
  EXPECT_EQ(word("something new", Fault::invalid_input), "malformed");
}

TEST(Refusals, are_counted_by_way_and_reason) {
  Refusals refusals;
  refusals.count(Way::https, {Fault::denied, "the token expired at noon"});
  refusals.count(Way::https, {Fault::denied, "the token expired at one"});
  refusals.count(Way::https, {Fault::denied, "the token is for another hub"});
  EXPECT_EQ(refusals.of(Way::https), 3u);
  EXPECT_EQ(refusals.of(Way::blob), 0u);
  std::uint64_t expired = 0;
  std::size_t ways_without = 0;
  for (const auto& one : refusals.readings()) {
    if (one.way == "https" && one.reason == "expired") expired = one.count;
    ways_without += one.reason == "none";
  }
  EXPECT_EQ(expired, 2u);
  EXPECT_EQ(ways_without, Refusals::ways - 1);
}

}  // namespace
}  // namespace nacelle::hub
