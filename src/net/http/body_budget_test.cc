#include "net/http/detail/body_budget.h"

#include <gtest/gtest.h>

#include <future>

#include "foundation/task_scope.h"
#include "net/socket/runtime.h"

namespace nacelle::net::detail {
namespace {

constexpr std::chrono::hours patient{1};  // of real time: nobody waits for it to pass

class BodyBudgetTest : public ::testing::Test {
 protected:
  /// A waiter of its own; its name is in `granted` once it has room.
  awaitable<void> wait_for(std::string name, ByteCount bytes) {
    const bool there = co_await budget_.take(bytes, patient);
    granted_ += there ? name : "-" + name;
  }

  BodyBudget budget_{100};
  std::string granted_;
};

TEST_F(BodyBudgetTest, room_is_given_in_the_order_of_asking) {
  asio::io_context context;
  const auto start = [&](std::string name, ByteCount bytes) {
    asio::co_spawn(context, wait_for(std::move(name), bytes), [](std::exception_ptr) {});
    context.restart();
    context.poll();
  };
  start("a", 60);
  EXPECT_EQ(granted_, "a");
  start("b", 60);
  start("c", 10);
  EXPECT_EQ(granted_, "a") << "c would fit, but b was first";
  EXPECT_EQ(budget_.used(), 60u);
  budget_.give(60);
  context.restart();
  context.poll();
  EXPECT_EQ(granted_, "abc");
  EXPECT_EQ(budget_.used(), 70u);
  start("d", 101);
  EXPECT_EQ(granted_, "abc-d") << "more than there will ever be";
}

TEST_F(BodyBudgetTest, who_waits_too_long_goes_without_and_lets_the_next_one_in) {
  asio::io_context context;
  const auto impatient = [&]() -> awaitable<void> {
    const bool first = co_await budget_.take(60, patient);
    const bool second = co_await budget_.take(60, std::chrono::seconds{0});
    EXPECT_TRUE(first);
    EXPECT_FALSE(second);
    const bool third = co_await budget_.take(40, std::chrono::seconds{0});
    EXPECT_TRUE(third);
  };
  asio::co_spawn(context, impatient, [](std::exception_ptr failure) { EXPECT_FALSE(failure); });
  context.run();
  EXPECT_EQ(budget_.used(), 100u);
  { const BodyRoom room(budget_, 40); }
  EXPECT_EQ(budget_.used(), 60u);
  BodyRoom room(budget_, 60);
  room.shrink(20);
  EXPECT_EQ(budget_.used(), 20u);
}

}  // namespace
}  // namespace nacelle::net::detail
