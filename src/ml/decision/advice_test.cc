#include "ml/decision/advice.h"

#include <gtest/gtest.h>

namespace nacelle::decision {
namespace {

constexpr double cap = 125;

TEST(LifeDistribution, it_goes_through_the_interval_and_the_prediction_and_never_falls) {
  const LifeDistribution life = distribution_of(60, 40, 90, 0.9, cap);
  EXPECT_NEAR(life.probability_within(40), 0.05, 1e-12);
  EXPECT_NEAR(life.probability_within(60), 0.5, 1e-12);
  EXPECT_NEAR(life.probability_within(90), 0.95, 1e-12);
  EXPECT_EQ(life.probability_within(0), 0);
  EXPECT_EQ(life.probability_within(19.9), 0);
  double last = 0;
  for (double t = 0; t < 200; t += 0.5) {
    EXPECT_GE(life.probability_within(t), last);
    last = life.probability_within(t);
  }
}

TEST(LifeDistribution, an_interval_without_width_and_one_at_the_cap_are_distributions_too) {
  EXPECT_EQ(distribution_of(10, 10, 10, 0.9, cap).probability_within(10), 1);
  EXPECT_EQ(distribution_of(10, 10, 10, 0.9, cap).probability_within(9), 0);
  const LifeDistribution healthy = distribution_of(120, 95, 125, 0.9, cap);
  EXPECT_LT(healthy.probability_within(124.9), 0.96);
  EXPECT_EQ(distribution_of(125, 125, 125, 0.9, cap).probability_within(125), 0);
}

/// The least expected cost by brute force over a finely sampled distribution.
TEST(Advise, the_cycle_chosen_costs_least) {
  const Costs costs{.unused_cycle = 0.03};
  const LifeDistribution life = distribution_of(60, 40, 90, 0.9, cap);
  const Advice advice = advise(life, costs, cap);
  const auto cost_of = [&](double t) {
    double cost = 0, before = 0;
    for (double life_end = 0.05; life_end <= 130; life_end += 0.05) {
      const double now = life.probability_within(life_end), part = now - before;
      before = now;
      cost += part * (life_end <= t ? costs.failure : costs.overhaul + costs.unused_cycle * (life_end - t));
    }
    return cost;
  };
  for (double t = 5; t < 124; ++t) EXPECT_LE(cost_of(advice.overhaul_in), cost_of(t) + 0.002) << t;
  EXPECT_NEAR(advice.expected_cost, cost_of(advice.overhaul_in), 0.02);
  EXPECT_EQ(advice.urgency, Urgency::planned);
  EXPECT_LT(advice.overhaul_in, 60);
  EXPECT_LE(advice.expected_cost, advice.cost_now);
  EXPECT_LT(advice.expected_cost, advice.cost_of_waiting);
}

TEST(Advise, dearer_failures_are_avoided_sooner_and_dearer_cycles_are_used_longer) {
  const LifeDistribution life = distribution_of(60, 40, 90, 0.9, cap);
  const double usual = advise(life, {.unused_cycle = 0.03}, cap).overhaul_in;
  EXPECT_LT(advise(life, {.failure = 1000, .unused_cycle = 0.03}, cap).overhaul_in, usual);
  EXPECT_GT(advise(life, {.unused_cycle = 0.3}, cap).overhaul_in, usual);
}

TEST(Advise, near_failure_it_is_now_and_for_a_healthy_engine_nothing) {
  EXPECT_EQ(advise(distribution_of(6, 2, 11, 0.9, cap), {}, cap).urgency, Urgency::now);
  EXPECT_EQ(advise(distribution_of(24, 16, 33, 0.9, cap), {}, cap).urgency, Urgency::soon);
  EXPECT_EQ(advise(distribution_of(125, 125, 125, 0.9, cap), {}, cap).urgency, Urgency::none);
  const Advice dead = advise(distribution_of(0, 0, 0, 0.9, cap), {}, cap);
  EXPECT_EQ(dead.urgency, Urgency::now);
  EXPECT_EQ(dead.failure_probability, 1);
}

TEST(Costs, what_cannot_be_decided_with_is_refused_by_name) {
  EXPECT_EQ(Costs::from_json(Costs{}.to_json())->to_json(), Costs{}.to_json());
  for (const char* text : {R"([])", R"({"price":1})", R"({"overhaul":-1})", R"({"failure":1,"overhaul":1})", R"({"notice":"5"})"}) {
    const auto read = Costs::from_json(json::parse(text).value());
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().message.substr(0, 6), "costs:");
  }
}

}  // namespace
}  // namespace nacelle::decision
