#pragma once
// Routes: `FROM source WHERE condition INTO sink`, parsed once into a small program (wire facts 5.8). Hub and edge share it.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "codec/json/view.h"
#include "domain/telemetry/message.h"
#include "foundation/result.h"

namespace nacelle::route {

/// Finds the twin of a message's sender when a condition or an enrichment asks for it.
class TwinLookup {
 public:
  virtual ~TwinLookup() = default;
  /// `{"tags","properties":{"desired","reported"},..}`; null if there is none.
  virtual std::shared_ptr<const json::Value> twin_of(const telemetry::Message& message) const = 0;
};

/// One message under evaluation. Its body is parsed when a condition first asks for it, and once for all conditions
/// evaluated with the same Evaluation; so with its twin. Borrows the message and the twin (a REST document, for `$twin`) or who
/// finds it. One thread.
///
///   Evaluation evaluation(message);
///   for (const Route& r : routes) if (r.source.matches(message) && r.condition.matches(evaluation)) ...
class Evaluation {
 public:
  explicit Evaluation(const telemetry::Message& message, const json::Value* twin = nullptr);
  Evaluation(const telemetry::Message& message, const TwinLookup* twins);  ///< null: no twins
  ~Evaluation();
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

  const telemetry::Message& message() const { return message_; }
  const json::Value* twin();
  /// The body if it is a JSON object in the encoding the message states; else null, and body_problem() says why.
  const json::Value* body();
  /// The body for look-ups only, where that is enough: UTF-8 and nothing odd in it. Null: ask body().
  const json::View* body_view();
  const std::string& body_problem() const { return body_problem_; }  ///< empty if all is well, or nobody asked

 private:
  const telemetry::Message& message_;
  const json::Value* twin_;
  const TwinLookup* twins_ = nullptr;             // null: nobody to ask, or asked already
  std::shared_ptr<const json::Value> twin_kept_;  // what it answered
  std::unique_ptr<json::View> view_;              // null: not asked for yet, or of no use
  bool view_tried_ = false;
  std::optional<json::Value> body_;
  std::string body_problem_;
};

struct Explanation;

/// A compiled condition. Copies share the program; evaluation is const and from any thread.
class Condition {
 public:
  /// True for every message.
  Condition();

  /// True only if the condition is true: undefined and null do not pass.
  bool matches(Evaluation& evaluation) const;
  /// The same for a single condition.
  bool matches(const telemetry::Message& message, const json::Value* twin = nullptr) const;
  bool uses_body() const;
  bool uses_twin() const;
  const std::string& text() const;

  struct Program;

 private:
  friend struct Compiler;
  friend Explanation explain(const Condition& condition, Evaluation& evaluation);
  explicit Condition(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

/// Why a condition holds for a message or does not; for those who write conditions.
struct Explanation {
  enum class Outcome { yes, no, undefined, null };
  struct Reading {
    std::string name;   ///< as written in the condition: `level`, `$body.engine.temp`
    std::string value;  ///< as JSON; empty if undefined
    std::string why;    ///< why it is undefined
  };
  Outcome outcome = Outcome::no;
  std::vector<Reading> readings;  ///< of every property and path in the condition, each once, in order
  std::string why;                ///< one line; empty if the condition holds
};
std::string_view name_of(Explanation::Outcome outcome);  ///< `true`, `false`, `undefined`, `null`
Explanation explain(const Condition& condition, Evaluation& evaluation);

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
/// `/messages/modules/filter/outputs/*` and the like, or a hub's name for a source (`DeviceMessages`). Fault::invalid_input
/// for a path that no message can come from.
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

/// `[SELECT *] FROM source [WHERE condition] INTO sink`, the edge's form. Fault::invalid_input: "route, line 1, column 6: ...".
Result<Route> parse_route(std::string_view text);

}  // namespace nacelle::route
