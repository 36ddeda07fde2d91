#include "domain/deployment/detail/reader.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codec/text/nearest.h"

namespace nacelle::deployment {

Result<Reader> Reader::of(const json::Value& value, std::string where) {
  if (!value.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", where, json::type_name(value)));
  Reader reader;
  reader.object_ = &value.as_object();
  reader.where_ = std::move(where);
  return reader;
}

Failure Reader::wrong(std::string_view key, std::string_view expected, std::string_view found) const {
  return fail(Fault::invalid_input, fmt::format("{}: expected {}, found {}", path(key), expected, found));
}

Result<> Reader::only(std::span<const std::string_view> known) const {
  for (const auto& [key, value] : *object_) {
    if (key.starts_with('$') || std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string_view near = text::nearest(key, known);
    if (!near.empty())
      return fail(Fault::invalid_input, fmt::format("{}: unknown member '{}', did you mean '{}'?", where_, key, near));
    return fail(Fault::invalid_input, fmt::format("{}: unknown member '{}', known are {}", where_, key, fmt::join(known, ", ")));
  }
  return {};
}

const json::Value* Reader::find(std::string_view key) const {
  const json::Value* found = object_->find(key);
  return found && !found->is_null() ? found : nullptr;
}

Result<std::string> Reader::text(std::string_view key, std::string_view fallback) const {
  const json::Value* found = find(key);
  if (!found) return std::string(fallback);
  if (!found->is_string()) return wrong(key, "a string", json::type_name(*found));
  return found->as_string();
}

Result<std::int64_t> Reader::integer(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most) const {
  const json::Value* found = find(key);
  if (!found) return fallback;
  const auto expected = [&] { return fmt::format("an integer from {} to {}", least, most); };
  if (!found->is_integer()) return wrong(key, expected(), json::type_name(*found));
  if (found->as_integer() < least || found->as_integer() > most) return wrong(key, expected(), fmt::to_string(found->as_integer()));
  return found->as_integer();
}

Result<Reader> Reader::child(std::string_view key) const {
  static const json::Value empty = json::Object{};
  const json::Value* found = find(key);
  return of(found ? *found : empty, path(key));
}

Failure Reader::unknown_word(std::string_view key, std::string_view found, std::span<const std::string_view> words) const {
  return wrong(key, fmt::format("one of {}", fmt::join(words, ", ")), fmt::format("'{}'", found));
}

}  // namespace nacelle::deployment
