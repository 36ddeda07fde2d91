// Three-valued logic against a reference: Kleene's tables on {0, 1/2, 1}, where AND is min, OR is max and NOT is 1 - x.
// The seed is fixed; RC_PARAMS=seed=... in the environment takes another.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "domain/route/detail/value.h"
#include "domain/route/route.h"

namespace nacelle::route {
namespace {

const bool seeded = setenv("RC_PARAMS", "seed=1893456000", 0) == 0;

constexpr int no = 0, unknown = 1, yes = 2;

struct Formula {
  std::string text;
  int truth;
};

Formula any_formula(int depth) {
  const int kind = depth == 0 ? *rc::gen::inRange(0, 5) : *rc::gen::inRange(0, 9);
  switch (kind) {
    case 0: return {"true", yes};
    case 1: return {"false", no};
    case 2: return {"undefined", unknown};
    case 3: return {"level = 'high'", yes};
    case 4: return {"$body.missing > 3", unknown};
    case 5: {
      const Formula inner = any_formula(depth - 1);
      return {"NOT (" + inner.text + ")", yes - inner.truth};
    }
    default: {
      const Formula a = any_formula(depth - 1), b = any_formula(depth - 1);
      if (kind == 6) return {"(" + a.text + ") AND (" + b.text + ")", std::min(a.truth, b.truth)};
      if (kind == 7) return {"(" + a.text + ") OR (" + b.text + ")", std::max(a.truth, b.truth)};
      return {"(" + a.text + ") ?? (" + b.text + ")", a.truth == unknown ? b.truth : a.truth};
    }
  }
}

int truth_of(const std::string& text, const telemetry::Message& message) {
  const auto condition = parse_condition(text);
  const auto negated = parse_condition("NOT (" + text + ")");
  RC_ASSERT(condition.has_value());
  RC_ASSERT(negated.has_value());
  if (condition->matches(message)) return yes;
  return negated->matches(message) ? no : unknown;
}

Value any_value() {
  switch (*rc::gen::inRange(0, 6)) {
    case 0: return {};
    case 1: return Null{};
    case 2: return *rc::gen::arbitrary<bool>();
    case 3: return static_cast<double>(*rc::gen::inRange(-3, 4));
    case 4: return Value::owned(*rc::gen::element<std::string>("", "a", "b", "ab"));
    default: return *rc::gen::element(Structure::object, Structure::array);
  }
}

int as_truth(const Value& value) { return !value.is_bool() ? unknown : value.boolean() ? yes : no; }

TEST(ThreeValuedLogic, any_formula_has_kleenes_truth) {
  ASSERT_TRUE(seeded);
  ASSERT_TRUE(rc::check("formulas", [] {
    telemetry::Message message;
    message.application = {{"level", "high"}};
    const Formula formula = any_formula(4);
    RC_ASSERT(truth_of(formula.text, message) == formula.truth);
  }));
}

TEST(ThreeValuedLogic, connectives_commute_and_obey_de_morgan_for_any_values) {
  ASSERT_TRUE(rc::check("connectives", [] {
    const Value a = any_value(), b = any_value();
    RC_ASSERT(as_truth(logical_and(a, b)) == std::min(as_truth(a), as_truth(b)));
    RC_ASSERT(as_truth(logical_or(a, b)) == std::max(as_truth(a), as_truth(b)));
    RC_ASSERT(as_truth(logical_and(a, b)) == as_truth(logical_and(b, a)));
    RC_ASSERT(as_truth(logical_not(logical_and(a, b))) == as_truth(logical_or(logical_not(a), logical_not(b))));
  }));
}

TEST(ThreeValuedLogic, a_comparison_and_its_opposite_disagree_or_are_both_unknown) {
  ASSERT_TRUE(rc::check("comparisons", [] {
    const Value a = any_value(), b = any_value();
    const bool literal = *rc::gen::arbitrary<bool>() && (a.is_null() || b.is_null());
    RC_ASSERT(as_truth(compare(Comparison::equal, a, b, literal)) == yes - as_truth(compare(Comparison::not_equal, a, b, literal)));
    RC_ASSERT(as_truth(compare(Comparison::equal, a, b, literal)) == as_truth(compare(Comparison::equal, b, a, literal)));
    RC_ASSERT(as_truth(compare(Comparison::less, a, b, literal)) == as_truth(compare(Comparison::greater, b, a, literal)));
    if (a.is_undefined() || b.is_undefined()) RC_ASSERT(as_truth(compare(Comparison::equal, a, b, literal)) == unknown);
  }));
}

}  // namespace
}  // namespace nacelle::route
