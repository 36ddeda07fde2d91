// Running a compiled condition, and the body it may ask for.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/route/detail/compiler.h"
#include "domain/route/detail/program.h"
#include "domain/route/route.h"

namespace nacelle::route {
namespace {

enum class BodyEncoding { utf8, utf16, utf32, other };

BodyEncoding encoding_of(std::string_view name) {
  name = text::trim(name);
  if (text::equal_ignoring_case(name, "utf-8")) return BodyEncoding::utf8;
  if (text::equal_ignoring_case(name, "utf-16")) return BodyEncoding::utf16;
  if (text::equal_ignoring_case(name, "utf-32")) return BodyEncoding::utf32;
  return BodyEncoding::other;
}

/// `application/json` without case; parameters behind `;` are passed over, as the hub does with `charset=utf-8`.
bool is_json(std::string_view type) {
  return text::equal_ignoring_case(text::trim(type.substr(0, type.find(';'))), "application/json");
}

/// UTF-16 or UTF-32 (`unit` bytes a code unit) as UTF-8; little-endian unless a byte order mark says otherwise. Broken
/// pairs and half units become U+FFFD.
std::string to_utf8(BytesView bytes, std::size_t unit) {
  const auto read = [&](std::size_t at, bool big) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < unit; ++i)
      value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * (big ? unit - 1 - i : i));
    return value;
  };
  std::size_t at = 0;
  const bool big = bytes.size() >= unit && read(0, true) == 0xfeff;
  if (bytes.size() >= unit && read(0, big) == 0xfeff) at = unit;
  std::string out;
  for (; at + unit <= bytes.size(); at += unit) {
    std::uint32_t code = read(at, big);
    if (unit == 2 && code >= 0xd800 && code < 0xdc00 && at + 4 <= bytes.size()) {
      const std::uint32_t low = read(at + 2, big);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 2;
      }
    }
    const bool bad = code > 0x10ffff || (code >= 0xd800 && code < 0xe000);
    text::append_utf8(out, bad ? 0xfffd : code);
  }
  return out;
}

const json::Value* follow(const json::Value* value, const std::vector<PathStep>& path) {
  for (const PathStep& step : path) {
    value = value->find(step.key);
    for (const std::size_t index : step.indexes) {
      if (!value || !value->is_array() || index >= value->as_array().size()) return nullptr;
      value = &value->as_array()[index];
    }
    if (!value) return nullptr;
  }
  return value;
}

class Evaluator {
 public:
  Evaluator(const Condition::Program& program, Evaluation& evaluation) : program_(program), evaluation_(evaluation) {}

  Value of(const Node& node) {
    switch (node.op) {
      case Op::literal: return node.value.is_text() ? Value::borrowed(node.value.text()) : node.value;
      case Op::application: return property(evaluation_.message().application.find(node.name));
      case Op::system:
      case Op::body:
      case Op::twin: return looked_up(node);
      case Op::compare: return compare(node.comparison, operand(node, 0), operand(node, 1), node.null_literal);
      case Op::calculate: return calculate(node.arithmetic, operand(node, 0), operand(node, 1));
      case Op::negate: return negate(operand(node, 0));
      case Op::negation: return logical_not(operand(node, 0));
      case Op::all: return folded(node, true, logical_and);
      case Op::any: return folded(node, false, logical_or);
      case Op::coalesce: return coalesced(node);
      case Op::join: return joined(node);
      case Op::call: return called(node);
    }
    return {};
  }

 private:
  Value operand(const Node& node, std::uint32_t i) { return of(program_.nodes[program_.operands[node.first + i]]); }

  static Value property(const std::string* text) { return text ? Value::borrowed(*text) : Value(); }

  static Value along(const json::Value* from, const std::vector<PathStep>& path) {
    const json::Value* found = from ? follow(from, path) : nullptr;
    return found ? from_json(*found) : Value();
  }

  static Value from_place(const json::Place& place) {
    switch (place.kind) {
      case json::Place::Kind::absent: return {};
      case json::Place::Kind::null: return Null{};
      case json::Place::Kind::boolean: return place.boolean;
      case json::Place::Kind::number: return place.number;
      case json::Place::Kind::string: return Value::borrowed(place.text);
      case json::Place::Kind::array: return Structure::array;
      case json::Place::Kind::object: return Structure::object;
    }
    return {};
  }

  Value looked_up(const Node& node) {
    const telemetry::Message& message = evaluation_.message();
    if (node.application_first)
      if (const std::string* text = message.application.find(node.name)) return Value::borrowed(*text);
    if (node.op == Op::body) {
      if (const json::View* view = evaluation_.body_view()) return from_place(view->at(node.path));
      return along(evaluation_.body(), node.path);
    }
    if (node.op == Op::twin) return along(evaluation_.twin(), node.path);
    return property(message.system.find(std::string_view(node.name).substr(1)));
  }

  /// Stops at the first operand that decides alone.
  Value folded(const Node& node, bool neutral, Value (*fold)(const Value&, const Value&)) {
    Value result(neutral);
    for (std::uint32_t i = 0; i < node.count; ++i) {
      result = fold(result, operand(node, i));
      if (result.is_bool() && result.boolean() != neutral) break;
    }
    return result;
  }

  Value coalesced(const Node& node) {
    Value left = operand(node, 0);
    return left.is_undefined() ? operand(node, 1) : left;
  }

  Value joined(const Node& node) {
    const std::array<Value, 2> sides{operand(node, 0), operand(node, 1)};
    return find_function("concat")->apply(sides);
  }

  Value called(const Node& node) {
    std::vector<Value> arguments;
    arguments.reserve(node.count);
    for (std::uint32_t i = 0; i < node.count; ++i) arguments.push_back(operand(node, i));
    return node.function->apply(arguments);
  }

  const Condition::Program& program_;
  Evaluation& evaluation_;
};

Result<json::Value> parse_body(const telemetry::Message& message) {
  if (!is_json(message.system.get("contentType")))
    return fail(Fault::invalid_input,
                fmt::format("contentType is '{}', $body needs application/json", message.system.get("contentType")));
  const BodyEncoding encoding = encoding_of(message.system.get("contentEncoding"));
  if (encoding == BodyEncoding::other)
    return fail(Fault::invalid_input,
                fmt::format("contentEncoding is '{}', $body needs utf-8, utf-16 or utf-32", message.system.get("contentEncoding")));
  if (encoding != BodyEncoding::utf8) return json::parse(to_utf8(message.body, encoding == BodyEncoding::utf16 ? 2 : 4));
  std::string_view body = message.body;
  if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
  return json::parse(body);
}

}  // namespace

Value evaluate(const Condition::Program& program, Evaluation& evaluation) {
  return evaluate(program, program.nodes.back(), evaluation);
}

Value evaluate(const Condition::Program& program, const Node& node, Evaluation& evaluation) {
  return Evaluator(program, evaluation).of(node);
}

namespace {

/// Reading a body takes memory worth keeping: one a thread, for the next message.
thread_local std::unique_ptr<json::View> spare_view;

}  // namespace

Evaluation::Evaluation(const telemetry::Message& message, const json::Value* twin) : message_(message), twin_(twin) {}

Evaluation::Evaluation(const telemetry::Message& message, const TwinLookup* twins)
    : message_(message), twin_(nullptr), twins_(twins) {}

const json::Value* Evaluation::twin() {
  if (twins_) {
    twin_kept_ = std::exchange(twins_, nullptr)->twin_of(message_);
    twin_ = twin_kept_.get();
  }
  return twin_;
}

Evaluation::~Evaluation() {
  if (view_ && !spare_view) spare_view = std::move(view_);
}

const json::View* Evaluation::body_view() {
  if (std::exchange(view_tried_, true)) return view_.get();
  if (!is_json(message_.system.get("contentType"))) return nullptr;
  if (encoding_of(message_.system.get("contentEncoding")) != BodyEncoding::utf8) return nullptr;
  view_ = spare_view ? std::move(spare_view) : std::make_unique<json::View>();
  if (!view_->read(message_.body)) view_.reset();
  return view_.get();
}

const json::Value* Evaluation::body() {
  if (body_) return &*body_;
  if (!body_problem_.empty()) return nullptr;
  auto parsed = parse_body(message_);
  if (!parsed) {
    body_problem_ = parsed.error().message;
  } else if (!parsed->is_object()) {
    body_problem_ = fmt::format("the body is no JSON object but {}", json::type_name(*parsed));
  } else {
    body_ = *std::move(parsed);
    return &*body_;
  }
  return nullptr;
}

Condition::Condition() : Condition(Compiler::always_true()) {}

bool Condition::matches(Evaluation& evaluation) const {
  const Value value = evaluate(*program_, evaluation);
  return value.is_bool() && value.boolean();
}

bool Condition::matches(const telemetry::Message& message, const json::Value* twin) const {
  Evaluation evaluation(message, twin);
  return matches(evaluation);
}

bool Condition::uses_body() const { return program_->uses_body; }
bool Condition::uses_twin() const { return program_->uses_twin; }
const std::string& Condition::text() const { return program_->text; }

Result<Condition> parse_condition(std::string_view text) {
  TokenStream tokens(text, "route condition");
  TRY(tokens.advance());
  if (tokens.current().kind == TokenKind::end) return Condition();
  TRY_LET(Condition condition, Compiler::compile(tokens));
  if (tokens.current().kind != TokenKind::end)
    return tokens.unexpected("an operator (AND, OR, a comparison, arithmetic) or the end");
  return condition;
}

}  // namespace nacelle::route
