// Why a condition holds or does not: what its properties and paths are for this message, and where undefined comes from.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "domain/route/detail/program.h"
#include "domain/route/route.h"

namespace nacelle::route {
namespace {

std::string print_path(const std::vector<PathStep>& path) {
  std::string text;
  for (const PathStep& step : path) {
    if (!text.empty()) text += '.';
    text += step.key;
    for (const std::size_t index : step.indexes) text += fmt::format("[{}]", index);
  }
  return text;
}

std::string print_value(const Value& value) {
  if (value.is_undefined()) return {};
  if (value.is_null()) return "null";
  if (value.is_bool()) return value.boolean() ? "true" : "false";
  if (value.is_number()) return json::print(json::Value(value.number()));
  if (value.is_text()) return json::print(json::Value(value.text()));
  return value.is_structure(Structure::array) ? "an array" : "an object";
}

std::string_view symbol(Comparison comparison) {
  constexpr std::string_view symbols[] = {"=", "!=", "<", "<=", ">", ">="};
  return symbols[static_cast<std::size_t>(comparison)];
}

std::string_view symbol(Arithmetic arithmetic) {
  constexpr std::string_view symbols[] = {"+", "-", "*", "/", "%"};
  return symbols[static_cast<std::size_t>(arithmetic)];
}

class Explainer {
 public:
  Explainer(const Condition::Program& program, Evaluation& evaluation) : program_(program), evaluation_(evaluation) {}

  Explanation whole() {
    Explanation explanation;
    const Node& root = program_.nodes.back();
    const Value value = value_of(root);
    for (const Node& node : program_.nodes) read(node, explanation.readings);
    if (value.is_bool() && value.boolean()) {
      explanation.outcome = Explanation::Outcome::yes;
    } else if (value.is_null()) {
      explanation.outcome = Explanation::Outcome::null;
      explanation.why = "the condition is null, not true";
    } else if (value.is_undefined() || value.is_structure()) {
      explanation.outcome = Explanation::Outcome::undefined;
      explanation.why = "undefined because " + origin(root);
    } else {
      explanation.why =
          print(root) + (value.is_bool() ? " is false" : " is " + print_value(value) + ", not true") + known(explanation.readings);
    }
    return explanation;
  }

 private:
  Value value_of(const Node& node) { return evaluate(program_, node, evaluation_); }
  const Node& operand(const Node& node, std::uint32_t i) const { return program_.nodes[program_.operands[node.first + i]]; }

  static bool is_reading(const Node& node) {
    return node.op == Op::application || node.op == Op::system || node.op == Op::body || node.op == Op::twin;
  }

  void read(const Node& node, std::vector<Explanation::Reading>& readings) {
    if (!is_reading(node)) return;
    if (std::any_of(readings.begin(), readings.end(), [&](const auto& known) { return known.name == node.name; })) return;
    const Value value = value_of(node);
    readings.push_back({node.name, print_value(value), value.is_undefined() ? absence(node) : std::string()});
  }

  /// Why a property or path is undefined.
  std::string absence(const Node& node) {
    if (node.op == Op::application) return fmt::format("there is no application property '{}'", node.name);
    if (node.op == Op::system) return fmt::format("there is no system property '{}'", std::string_view(node.name).substr(1));
    if (node.op == Op::twin) {
      if (!evaluation_.twin()) return fmt::format("{}: no twin is known of the sender", node.name);
      return fmt::format("the twin has no {}", print_path(node.path));
    }
    if (!evaluation_.body()) return fmt::format("{}: {}", node.name, evaluation_.body_problem());
    return fmt::format("the body has no {}", print_path(node.path));
  }

  /// Where an undefined value comes from: the first part that is undefined while all of its own parts are not.
  std::string origin(const Node& node) {
    if (is_reading(node)) return value_of(node).is_undefined() ? absence(node) : print(node) + " is " + print_value(value_of(node));
    if (node.op == Op::literal) return "it says so";
    for (std::uint32_t i = 0; i < node.count; ++i)
      if (value_of(operand(node, i)).is_undefined()) return origin(operand(node, i));
    std::string parts;
    for (std::uint32_t i = 0; i < node.count; ++i) {
      const Node& part = operand(node, i);
      if (part.op == Op::literal) continue;
      parts += parts.empty() ? ": " : ", ";
      parts += print(part) + " is " + print_value(value_of(part));
    }
    return print(node) + " has no value" + parts;
  }

  static std::string known(const std::vector<Explanation::Reading>& readings) {
    std::string text;
    for (const auto& reading : readings) {
      text += text.empty() ? ": " : ", ";
      text += reading.value.empty() ? reading.why : reading.name + " is " + reading.value;
    }
    return text;
  }

  std::string joined(const Node& node, std::string_view between) const {
    std::string text;
    for (std::uint32_t i = 0; i < node.count; ++i) {
      if (i > 0) text += between;
      text += print(operand(node, i));
    }
    return text;
  }

  std::string infix(const Node& node, std::string_view symbol) const {
    return '(' + joined(node, fmt::format(" {} ", symbol)) + ')';
  }

  std::string print(const Node& node) const {
    switch (node.op) {
      case Op::literal: return node.value.is_undefined() ? "undefined" : print_value(node.value);
      case Op::application:
      case Op::system:
      case Op::body:
      case Op::twin: return node.name;
      case Op::compare: return infix(node, symbol(node.comparison));
      case Op::calculate: return infix(node, symbol(node.arithmetic));
      case Op::join: return infix(node, "||");
      case Op::all: return infix(node, "AND");
      case Op::any: return infix(node, "OR");
      case Op::coalesce: return infix(node, "??");
      case Op::negate: return "-" + joined(node, "");
      case Op::negation: return "NOT " + joined(node, "");
      case Op::call: return fmt::format("{}({})", node.function->name, joined(node, ", "));
    }
    return {};
  }

  const Condition::Program& program_;
  Evaluation& evaluation_;
};

}  // namespace

std::string_view name_of(Explanation::Outcome outcome) {
  constexpr std::string_view names[] = {"true", "false", "undefined", "null"};
  return names[static_cast<std::size_t>(outcome)];
}

Explanation explain(const Condition& condition, Evaluation& evaluation) {
  return Explainer(*condition.program_, evaluation).whole();
}

}  // namespace nacelle::route
