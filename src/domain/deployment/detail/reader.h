#pragma once
// Reading of a document's members with their path in every message: "manifest: $edgeAgent.modules.filter.status: ...".

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::deployment {

/// An object of the document and where it stands. Members that are null count as absent. Borrows the document.
class Reader {
 public:
  /// Fault::invalid_input if `value` is no object.
  static Result<Reader> of(const json::Value& value, std::string where);

  const std::string& where() const { return where_; }
  const json::Object& object() const { return *object_; }
  std::string path(std::string_view key) const { return where_ + '.' + std::string(key); }

  /// Refuses the first member that is not in `known`, naming the nearest; names that begin with `$` (a twin's `$version`)
  /// are passed over.
  Result<> only(std::span<const std::string_view> known) const;

  const json::Value* find(std::string_view key) const;  ///< null pointer if absent or null
  Result<std::string> text(std::string_view key, std::string_view fallback) const;
  Result<std::int64_t> integer(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most) const;
  /// The object at `key`, or an empty one.
  Result<Reader> child(std::string_view key) const;

  /// One of `words`, by index; `fallback` if absent.
  template <class Enum, std::size_t n>
  Result<Enum> choice(std::string_view key, const std::pair<std::string_view, Enum> (&words)[n], Enum fallback) const {
    TRY_LET(const std::string found, text(key, ""));
    if (!find(key)) return fallback;
    std::string_view names[n];
    for (std::size_t i = 0; i < n; ++i) {
      if (words[i].first == found) return words[i].second;
      names[i] = words[i].first;
    }
    return unknown_word(key, found, names);
  }

  Failure wrong(std::string_view key, std::string_view expected, std::string_view found) const;

 private:
  Failure unknown_word(std::string_view key, std::string_view found, std::span<const std::string_view> words) const;
  const json::Object* object_ = nullptr;
  std::string where_;
};

}  // namespace nacelle::deployment
