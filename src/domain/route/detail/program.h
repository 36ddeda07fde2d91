#pragma once
// A compiled condition: nodes in one vector, each naming its operands by index; the last node is the whole.

#include <cstdint>
#include <string>
#include <vector>

#include "codec/json/view.h"
#include "domain/route/detail/functions.h"
#include "domain/route/detail/value.h"
#include "domain/route/route.h"

namespace nacelle::route {

enum class Op : std::uint8_t {
  literal,
  application,  ///< a property by name
  system,       ///< `$name`; `application_first` unless written `{$name}`
  body,         ///< `$body.path`, the same
  twin,         ///< `$twin.path`, the same
  compare,
  calculate,
  join,  ///< `||`
  negate,
  negation,  ///< NOT
  all,       ///< AND of any number of operands
  any,       ///< OR
  coalesce,  ///< `??`
  call,
};

using json::PathStep;

struct Node {
  Op op = Op::literal;
  Type type = Type::unknown;
  Comparison comparison{};
  Arithmetic arithmetic{};
  bool null_literal = false;  ///< of compare: one side is the literal null
  bool application_first = false;
  std::uint32_t first = 0;  ///< operands: Program::operands[first .. first + count)
  std::uint32_t count = 0;
  const Function* function = nullptr;
  Value value;                 ///< of a literal
  std::string name;            ///< of a property; with the `$` if it was written so
  std::vector<PathStep> path;  ///< of body and twin
};

struct Condition::Program {
  std::string text;
  std::vector<Node> nodes;
  std::vector<std::uint32_t> operands;
  bool uses_body = false;
  bool uses_twin = false;
};

/// The condition's value for the message under evaluation; views into the program, the message and the twin.
Value evaluate(const Condition::Program& program, Evaluation& evaluation);
/// The value of one of its nodes.
Value evaluate(const Condition::Program& program, const Node& node, Evaluation& evaluation);

}  // namespace nacelle::route
