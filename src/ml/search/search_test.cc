#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "ml/search/experiment_spec.h"
#include "ml/search/halving.h"
#include "ml/search/space.h"

namespace nacelle::search {
namespace {

Space space(const char* text) { return Space::from_json(json::parse(text).value(), "space").value(); }

std::string shown(const std::vector<Trial>& trials) {
  std::string all;
  for (const Trial& trial : trials) all += trial.trainer + json::print(trial.parameters) + "\n";
  return all;
}

TEST(DrawTrials, the_same_seed_draws_the_same_and_values_stay_in_their_ranges) {
  const std::vector<Space> spaces = {
      space(R"({"trainer":"a","parameters":{"x":{"uniform":[0.2,0.9]},"n":{"whole":[2,5]},"d":[3,4],"k":7}})"),
      space(R"({"trainer":"b","parameters":{"l":{"log":[0.001,1000]},"r":{"log_whole":[10,400]}},"weight":2})")};
  const auto trials = draw_trials(spaces, 60, 5);
  EXPECT_EQ(shown(draw_trials(spaces, 60, 5)), shown(trials));
  EXPECT_NE(shown(draw_trials(spaces, 60, 6)), shown(trials));
  std::set<std::string> seen;
  std::size_t of_a = 0, small_l = 0;
  for (std::size_t t = 0; t < trials.size(); ++t) {
    const json::Value& p = trials[t].parameters;
    EXPECT_EQ(trials[t].number, t);
    EXPECT_TRUE(seen.insert(trials[t].trainer + json::print(p)).second) << json::print(p);
    if (trials[t].trainer == "a") {
      ++of_a;
      EXPECT_EQ(p.find("k")->as_integer(), 7);
      if (!p.find("x")) continue;  // the first: defaults
      EXPECT_GE(p.find("x")->as_number(), 0.2);
      EXPECT_LE(p.find("x")->as_number(), 0.9);
      EXPECT_GE(p.find("n")->as_integer(), 2);
      EXPECT_LE(p.find("n")->as_integer(), 5);
    } else if (p.find("l")) {
      EXPECT_GE(p.find("r")->as_integer(), 10);
      EXPECT_LE(p.find("r")->as_integer(), 400);
      if (p.find("l")->as_number() < 1) ++small_l;
    }
  }
  EXPECT_EQ(of_a, 20u);
  EXPECT_GT(small_l, 10u);  // half of a logarithmic range, a thousandth of a linear one
  EXPECT_LT(small_l, 30u);
}

TEST(DrawTrials, a_small_space_ends_and_a_longer_budget_only_adds) {
  EXPECT_EQ(draw_trials({space(R"({"trainer":"a","parameters":{"d":[1,2,3]}})")}, 50, 1).size(), 4u);  // and the defaults
  const std::vector<Space> spaces = {space(R"({"trainer":"a","parameters":{"x":{"uniform":[0,1]}}})"), space(R"("b")")};
  const auto few = draw_trials(spaces, 6, 3), many = draw_trials(spaces, 12, 3);
  for (std::size_t t = 0; t < few.size(); ++t) EXPECT_EQ(json::print(few[t].parameters), json::print(many[t].parameters));
}

TEST(Choice, an_object_can_be_a_value_and_comes_back) {
  const auto read = Choice::from_json(json::parse(R"([{"xgboost":{"rounds":200}}])").value(), "p");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, Choice::Kind::fixed);
  EXPECT_EQ(Choice::from_json(read->to_json(), "p")->values, read->values);
}

TEST(Choice, what_is_no_range_is_refused_by_name) {
  for (const char* text : {R"({})", R"({"between":[1,2]})", R"({"uniform":[2,1]})", R"({"uniform":[1]})", R"({"log":[0,1]})",
                           R"({"whole":[1.5,2]})", R"({"one_of":[]})", R"([])", R"({"uniform":[1,2],"log":[1,2]})"}) {
    const auto read = Choice::from_json(json::parse(text).value(), "p");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().message.substr(0, 2), "p:") << read.error().message;
  }
}

TEST(PlanRungs, folds_grow_as_trials_shrink_and_the_last_has_all) {
  for (std::size_t trials : {1u, 2u, 7u, 40u, 500u})
    for (std::size_t folds : {2u, 3u, 5u, 10u})
      for (std::size_t keep : {1u, 2u, 3u, 5u}) {
        const auto rungs = plan_rungs(trials, folds, keep, 3);
        ASSERT_FALSE(rungs.empty());
        EXPECT_EQ(rungs.front().trials, trials);
        EXPECT_EQ(rungs.back().folds, folds);
        EXPECT_GE(rungs.back().trials, std::min<std::size_t>(trials, 3));
        for (std::size_t r = 1; r < rungs.size(); ++r) {
          EXPECT_LT(rungs[r].trials, rungs[r - 1].trials);
          EXPECT_GT(rungs[r].folds, rungs[r - 1].folds);
        }
        if (keep == 1) {
          EXPECT_EQ(rungs.size(), 1u);
        }
      }
  const auto rungs = plan_rungs(40, 5, 3, 3);
  ASSERT_EQ(rungs.size(), 4u);
  EXPECT_EQ(rungs[0].folds, 1u);
  EXPECT_EQ(rungs[1].trials, 14u);
  EXPECT_EQ(rungs[3].trials, 3u);
}

TEST(Promote, the_best_go_on_failures_never_and_the_order_of_arrival_does_not_count) {
  const std::vector<Standing> standings = {{0, 12.0}, {1, std::nullopt}, {2, 10.0}, {3, NAN}, {4, 10.0}, {5, 9.0}};
  EXPECT_EQ(promote(standings, 2), (std::vector<std::size_t>{2, 5}));
  EXPECT_EQ(promote({standings.rbegin(), standings.rend()}, 2), (std::vector<std::size_t>{2, 5}));
  EXPECT_EQ(promote(standings, 10), (std::vector<std::size_t>{0, 2, 4, 5}));
}

TEST(Experiment, what_was_declared_reads_back_and_mistakes_are_named) {
  const char* text = R"({"name":"x","data":["FD001","more.csv"],"seed":9,"spaces":["ridge",{"trainer":"xgboost","parameters":{"eta":
    {"log":[0.01,0.3]}}}],"budget":{"trials":12,"seconds":60},"halving":{"keep_one_in":4,"finalists":2},"metric":"phm08PerEngine","folds":4,"blend":3,
    "cuts":{"per_engine":5,"max_rul":200,"min_rows":30},"keep":2,"register":"m","trial":{"memory_mb":512,"seconds":9,"threads":2}})";
  const auto read = Experiment::from_json(json::parse(text).value());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->trials, 12u);
  EXPECT_EQ(read->metric, Metric::phm08_per_engine);
  EXPECT_EQ(read->cut_min_rows, 30u);
  EXPECT_EQ(read->blend, 3u);
  const json::Value once = read->to_json();
  EXPECT_EQ(Experiment::from_json(once)->to_json(), once);
  const std::pair<const char*, const char*> wrong[] = {{R"({})", "spaces"},
                                                       {R"({"spaces":["ridge"],"fold":3})", "'fold'"},
                                                       {R"({"spaces":["ridge"],"folds":1})", "folds"},
                                                       {R"({"spaces":["ridge"],"budget":{"trials":0}})", "trials"},
                                                       {R"({"spaces":["ridge"],"budget":{"hours":1}})", "'hours'"},
                                                       {R"({"spaces":["ridge"],"metric":"accuracy"})", "metric"},
                                                       {R"({"spaces":["ridge"],"data":7})", "data"},
                                                       {R"({"spaces":["ridge"],"blend":99})", "blend"},
                                                       {R"({"spaces":[{"trainer":"ridge","weight":0}]})", "weight"},
                                                       {R"([])", "object"}};
  for (const auto& [document, named] : wrong) {
    const auto refused = Experiment::from_json(json::parse(document).value());
    ASSERT_FALSE(refused) << document;
    EXPECT_NE(refused.error().message.find(named), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace nacelle::search
