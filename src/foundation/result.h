#pragma once
// Result<T>: a value, or an Error that says what was wanted, what was found and where.
// The member names are std::expected's, so that C++23 can make this an alias.

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "foundation/invariant.h"

namespace nacelle {

/// What callers decide on: the HTTP status, the MQTT reason, whether to retry.
enum class Fault { invalid_input, not_found, conflict, denied, unavailable, timed_out, corrupt, exhausted };

std::string_view fault_name(Fault fault);

struct Error {
  Fault fault = Fault::invalid_input;
  std::string message;  ///< A sentence for people, without a final full stop.

  /// The same error seen from one level up: "opening hub.db: disk is full".
  Error in(std::string_view context) &&;
};

/// The failing side of a Result, as returned by fail().
struct Failure {
  Error error;
};

[[nodiscard]] inline Failure fail(Fault fault, std::string message) { return {Error{fault, std::move(message)}}; }
[[nodiscard]] inline Failure fail(Error error) { return {std::move(error)}; }

template <class T = void>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}                  // NOLINT: implicit by design
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure.error)) {}  // NOLINT

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & {
    check();
    return std::get<0>(state_);
  }
  const T& value() const& {
    check();
    return std::get<0>(state_);
  }
  T&& value() && {
    check();
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }
  template <class U>
  T value_or(U&& other) && {
    return has_value() ? std::get<0>(std::move(state_)) : T(std::forward<U>(other));
  }

 private:
  void check() const { INVARIANT(has_value(), "a Result is only read after it was tested"); }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Failure failure) : error_(std::move(failure.error)) {}  // NOLINT: implicit by design

  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  void value() const { INVARIANT(has_value(), "a Result is only read after it was tested"); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

/// Adds context to a failing result on its way up: `return in(open(path), "reading the twin store")`.
template <class T>
Result<T> in(Result<T> result, std::string_view context) {
  if (result) return result;
  return fail(std::move(result).error().in(context));
}

}  // namespace nacelle

#define NACELLE_CONCAT_(a, b) a##b
#define NACELLE_CONCAT(a, b) NACELLE_CONCAT_(a, b)

/// Returns the failure of `expr` from this function, if there is one.
#define TRY(...)                                                                                           \
  do {                                                                                                     \
    if (auto try_result = __VA_ARGS__; !try_result) return ::nacelle::fail(std::move(try_result).error()); \
  } while (false)

/// `TRY_LET(const Route route, parse_route(text));`
#define TRY_LET(declaration, ...) NACELLE_TRY_LET(NACELLE_CONCAT(try_result_, __COUNTER__), return, declaration, __VA_ARGS__)

/// As TRY and TRY_LET, inside a coroutine.
#define CO_TRY(...)                                                            \
  do {                                                                         \
    auto try_result = __VA_ARGS__;                                             \
    if (!try_result) co_return ::nacelle::fail(std::move(try_result).error()); \
  } while (false)
#define CO_TRY_LET(declaration, ...) NACELLE_TRY_LET(NACELLE_CONCAT(try_result_, __COUNTER__), co_return, declaration, __VA_ARGS__)

#define NACELLE_TRY_LET(result, leave, declaration, ...)         \
  auto result = __VA_ARGS__;                                     \
  if (!result) leave ::nacelle::fail(std::move(result).error()); \
  declaration = std::move(result).value()
