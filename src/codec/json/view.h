#pragma once
// json::View: a document of which only a few places are wanted. Read whole and checked, but no Value is built of it.
//
//   View view;
//   if (view.read(body)) use(view.at({{"engine", {}}, {"sensors", {2}}}));  // engine.sensors[2]

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nacelle::json {

/// `a[2][0]` of a path.
struct PathStep {
  std::string key;
  std::vector<std::size_t> indexes;
};

/// What stands at a place. `text` lives as long as the View's document.
struct Place {
  enum class Kind { absent, null, boolean, number, string, array, object };
  Kind kind = Kind::absent;
  bool boolean = false;
  double number = 0;
  std::string_view text;
};

/// Keeps its memory from document to document. One thread.
class View {
 public:
  View();
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  /// Reads a document; it may go afterwards. False for anything out of the ordinary: not an object, not JSON, nested deeply,
  /// numbers beyond a double, `\u` escapes, more than 1 MiB. parse() then decides, and says what is wrong.
  bool read(std::string_view text);
  /// The place a path leads to. Of a repeated key the last one counts, as for parse().
  Place at(std::span<const PathStep> path) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nacelle::json
