#pragma once
// Routes: `FROM source WHERE condition INTO sink`, parsed once into a small program (wire facts 5.8). Hub and edge share it.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "codec/json/value.h"
#include "domain/telemetry/message.h"
#include "foundation/result.h"

namespace nacelle::route {

/// A compiled condition. Copies share the program; evaluation is const and from any thread.
class Condition {
 public:
  /// True for every message.
  Condition();

  /// True only if the condition is true: undefined and null do not pass. The body is parsed only if `$body` is used.
  bool matches(const telemetry::Message& message, const json::Value* twin = nullptr) const;
  bool uses_body() const;
  const std::string& text() const;

 private:
  friend Result<Condition> parse_condition(std::string_view text);
  struct Program;
  std::shared_ptr<const Program> program_;
};

/// Fault::invalid_input: "route condition, line 1, column 12: expected a comparison, found ')'". Empty text means true.
Result<Condition> parse_condition(std::string_view text);

/// Where a route's messages come from: a prefix match without case (wire facts 5.8).
class SourcePattern {
 public:
  SourcePattern() = default;
  bool matches(const telemetry::Message& message) const;
  const std::string& text() const { return text_; }

 private:
  friend Result<SourcePattern> parse_source(std::string_view text);
  std::string text_ = "/messages/*";
  std::string prefix_ = "/messages/";
};
Result<SourcePattern> parse_source(std::string_view text);

/// `$upstream`, or a module's input.
struct Sink {
  bool upstream = false;
  std::string module;
  std::string input;
  bool operator==(const Sink&) const = default;
};

struct Route {
  SourcePattern source;
  Condition condition;
  Sink sink;
};

/// `[SELECT *] FROM source [WHERE condition] INTO sink`, the edge's form.
Result<Route> parse_route(std::string_view text);

}  // namespace nacelle::route
