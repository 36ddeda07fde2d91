#include "foundation/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace nacelle {
namespace {

Result<int> half(int n) {
  if (n % 2) return fail(Fault::invalid_input, "expected an even number, found " + std::to_string(n));
  return n / 2;
}
Result<int> quarter(int n) {
  TRY_LET(const int once, half(n));
  TRY_LET(const int twice, in(half(once), "halving again"));
  return twice;
}
Result<> check(int n) {
  TRY(half(n));
  return {};
}

TEST(Result, try_let_goes_on_with_the_value) { EXPECT_EQ(*quarter(8), 2); }

TEST(Result, try_returns_the_failure_with_its_context) {
  EXPECT_EQ(quarter(3).error().message, "expected an even number, found 3");
  EXPECT_EQ(quarter(6).error().message, "halving again: expected an even number, found 3");
  EXPECT_EQ(quarter(6).error().fault, Fault::invalid_input);
  EXPECT_TRUE(check(2));
  EXPECT_EQ(check(1).error().fault, Fault::invalid_input);
}

TEST(Result, values_may_be_move_only) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, value_or_falls_back_on_failure) {
  EXPECT_EQ(half(4).value_or(9), 2);
  EXPECT_EQ(half(5).value_or(9), 9);
}

TEST(ResultDeathTest, reading_a_failure_as_a_value_stops_the_process) {
  const Result<int> failed = half(1);
  EXPECT_DEATH((void)*failed, "a Result is only read after it was tested");
}

}  // namespace
}  // namespace nacelle
