// One pass over the text, checking all of it and converting nothing: a message has dozens of numbers, and a condition asks for one.
// A document object model of the same text (simdjson's) costs 1.6 times as much: docs/decisions/0240-body-is-scanned.md.
#include "codec/json/view.h"

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <deque>

#include "codec/text/encoding.h"

namespace nacelle::json {
namespace {

using Kind = Place::Kind;

constexpr std::size_t largest_document = 1 << 20;
// Below parse()'s limit: what lies between the two is parse()'s to judge.
constexpr int deepest = 60;
// A plain number up to this long cannot be beyond a double.
constexpr std::size_t longest_plain_number = 300;
constexpr std::size_t padding = sizeof(std::uint64_t);  // texts are read by eight bytes, up to the zero behind the last

/// A value and, of a member, its key. Behind an object or array come the entries of what is in it.
struct Entry {
  std::string_view key;
  std::string_view text;   // of a string, without quotes and escapes; of a number, as it stands
  std::uint32_t next = 0;  // the entry after it and all that is in it
  Kind kind = Kind::absent;
};

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

std::uint64_t load(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

/// How many bytes of the word go before the first that a string's scan must look at: a quote, a backslash, a control character or
/// anything that is not ASCII. 8 if there is none.
int plain_bytes(std::uint64_t word) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t tops = 0x8080808080808080;
  const std::uint64_t quote = word ^ (ones * '"');
  const std::uint64_t backslash = word ^ (ones * '\\');
  // Borrows reach only bytes above one that is marked already: the lowest mark is right.
  const std::uint64_t marks =
      (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | ((word - ones * 0x20) & ~word) | word) & tops;
  return std::countr_zero(marks) / 8;
}

class Scanner {
 public:
  /// `text` ends in zero bytes that are not part of the document.
  Scanner(const char* text, const char* end, std::vector<Entry>& entries, std::deque<std::string>& unescaped)
      : at_(text), end_(end), entries_(entries), unescaped_(unescaped) {}

  bool document() {
    skip_blanks();
    if (*at_ != '{' || !value({}, 0)) return false;
    skip_blanks();
    return at_ == end_;
  }

 private:
  void skip_blanks() {
    while (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t') ++at_;
  }

  bool value(std::string_view key, int depth) {
    switch (*at_) {
      case '{': return object(key, depth);
      case '[': return array(key, depth);
      case '"': {
        std::string_view text;
        if (!string(text)) return false;
        entries_.push_back({key, text, next_entry(), Kind::string});
        return true;
      }
      case 't': return word(key, "true", Kind::boolean);
      case 'f': return word(key, "false", Kind::boolean);
      case 'n': return word(key, "null", Kind::null);
      default: return number(key);
    }
  }

  std::uint32_t next_entry() const { return static_cast<std::uint32_t>(entries_.size() + 1); }

  bool word(std::string_view key, std::string_view spelled, Kind kind) {
    if (static_cast<std::size_t>(end_ - at_) < spelled.size() || std::memcmp(at_, spelled.data(), spelled.size()) != 0)
      return false;
    entries_.push_back({key, {at_, spelled.size()}, next_entry(), kind});
    at_ += spelled.size();
    return true;
  }

  bool number(std::string_view key) {
    const char* const begin = at_;
    if (*at_ == '-') ++at_;
    if (*at_ == '0')
      ++at_;
    else if (!digits())
      return false;
    if (*at_ == '.') {
      ++at_;
      if (!digits()) return false;
    }
    const bool exponent = *at_ == 'e' || *at_ == 'E';
    if (exponent) {
      ++at_;
      if (*at_ == '+' || *at_ == '-') ++at_;
      if (!digits()) return false;
    }
    const std::string_view text(begin, static_cast<std::size_t>(at_ - begin));
    if (exponent || text.size() > longest_plain_number) {
      double value = 0;
      if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) return false;
    }
    entries_.push_back({key, text, next_entry(), Kind::number});
    return true;
  }

  bool digits() {
    const char* const begin = at_;
    while (is_digit(*at_)) ++at_;
    return at_ != begin;
  }

  /// From the opening quote to behind the closing one.
  bool string(std::string_view& text) {
    const char* const begin = ++at_;
    bool escaped = false;
    bool ascii = true;
    while (true) {
      const int plain = plain_bytes(load(at_));
      at_ += plain;
      if (plain == 8) continue;
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') break;
      if (c < 0x20) return false;
      if (c == '\\') {
        escaped = true;
        if (std::strchr("\"\\/bfnrt", at_[1]) == nullptr || at_[1] == '\0') return false;  // `\u` too
        at_ += 2;
        continue;
      }
      ascii = false;
      ++at_;
    }
    text = {begin, static_cast<std::size_t>(at_ - begin)};
    ++at_;
    if (!ascii && !text::valid_utf8(text)) return false;
    if (escaped) text = unescape(text);
    return true;
  }

  std::string_view unescape(std::string_view text) {
    std::string& plain = unescaped_.emplace_back();
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        plain += text[i];
        continue;
      }
      switch (text[++i]) {
        case 'b': plain += '\b'; break;
        case 'f': plain += '\f'; break;
        case 'n': plain += '\n'; break;
        case 'r': plain += '\r'; break;
        case 't': plain += '\t'; break;
        default: plain += text[i];
      }
    }
    return plain;
  }

  bool object(std::string_view key, int depth) {
    if (depth >= deepest) return false;
    const std::size_t mine = open(key, Kind::object);
    skip_blanks();
    if (*at_ == '}') return close(mine);
    while (true) {
      std::string_view name;
      if (*at_ != '"' || !string(name)) return false;
      skip_blanks();
      if (*at_ != ':') return false;
      ++at_;
      skip_blanks();
      if (!value(name, depth + 1)) return false;
      skip_blanks();
      if (*at_ == '}') return close(mine);
      if (*at_ != ',') return false;
      ++at_;
      skip_blanks();
    }
  }

  bool array(std::string_view key, int depth) {
    if (depth >= deepest) return false;
    const std::size_t mine = open(key, Kind::array);
    skip_blanks();
    if (*at_ == ']') return close(mine);
    while (true) {
      if (!value({}, depth + 1)) return false;
      skip_blanks();
      if (*at_ == ']') return close(mine);
      if (*at_ != ',') return false;
      ++at_;
      skip_blanks();
    }
  }

  std::size_t open(std::string_view key, Kind kind) {
    ++at_;
    entries_.push_back({key, {}, 0, kind});
    return entries_.size() - 1;
  }

  bool close(std::size_t mine) {
    ++at_;
    entries_[mine].next = static_cast<std::uint32_t>(entries_.size());
    return true;
  }

  const char* at_;
  const char* const end_;
  std::vector<Entry>& entries_;
  std::deque<std::string>& unescaped_;
};

Place place_of(const Entry& entry) {
  Place place;
  place.kind = entry.kind;
  if (entry.kind == Kind::boolean) place.boolean = entry.text == "true";
  if (entry.kind == Kind::string) place.text = entry.text;
  if (entry.kind == Kind::number) std::from_chars(entry.text.data(), entry.text.data() + entry.text.size(), place.number);
  return place;
}

}  // namespace

struct View::State {
  std::string text;
  std::vector<Entry> entries;
  std::deque<std::string> unescaped;  // texts that stand in the document in another form

  /// The last member of that name; null if there is none.
  const Entry* member(const Entry* of, std::string_view key) const {
    if (of->kind != Kind::object) return nullptr;
    const Entry* found = nullptr;
    const Entry* const end = entries.data() + of->next;
    for (const Entry* one = of + 1; one != end; one = entries.data() + one->next)
      if (one->key == key) found = one;
    return found;
  }

  const Entry* item(const Entry* of, std::size_t index) const {
    if (of->kind != Kind::array) return nullptr;
    const Entry* const end = entries.data() + of->next;
    for (const Entry* one = of + 1; one != end; one = entries.data() + one->next)
      if (index-- == 0) return one;
    return nullptr;
  }
};

View::View() : state_(std::make_unique<State>()) {}
View::~View() = default;

bool View::read(std::string_view text) {
  State& state = *state_;
  state.entries.clear();
  state.unescaped.clear();
  if (text.size() > largest_document) return false;
  state.text.assign(text);
  state.text.append(padding, '\0');
  const char* const begin = state.text.data();
  if (Scanner(begin, begin + text.size(), state.entries, state.unescaped).document()) return true;
  state.entries.clear();
  return false;
}

Place View::at(std::span<const PathStep> path) const {
  const State& state = *state_;
  if (state.entries.empty()) return {};
  const Entry* value = state.entries.data();
  for (const PathStep& step : path) {
    value = state.member(value, step.key);
    for (std::size_t i = 0; value && i < step.indexes.size(); ++i) value = state.item(value, step.indexes[i]);
    if (!value) return {};
  }
  return place_of(*value);
}

}  // namespace nacelle::json
