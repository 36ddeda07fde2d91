#pragma once
// Named<Tag>: a piece of text that says in its type what it names, so that no DeviceId goes where a
// ModelId is wanted.  using DeviceId = Named<struct DeviceIdTag>;

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace nacelle {

template <class Tag>
class Named {
 public:
  Named() = default;
  explicit Named(std::string text) : text_(std::move(text)) {}
  explicit Named(std::string_view text) : text_(text) {}
  explicit Named(const char* text) : text_(text) {}

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const Named&) const = default;

 private:
  std::string text_;
};

}  // namespace nacelle

template <class Tag>
struct std::hash<nacelle::Named<Tag>> {
  std::size_t operator()(const nacelle::Named<Tag>& name) const noexcept { return std::hash<std::string>{}(name.str()); }
};
