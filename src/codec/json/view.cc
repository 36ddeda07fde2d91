#include "codec/json/view.h"

#include <simdjson.h>

#include <algorithm>

namespace nacelle::json {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

constexpr std::size_t largest_document = 1 << 20;
// Below parse()'s limit: what lies between the two is parse()'s to judge.
constexpr std::size_t deepest = 60;
constexpr std::size_t smallest_room = 16 * 1024;

/// The last member of that name; false if there is none.
bool find_member(const element& from, std::string_view key, element& to) {
  simdjson::dom::object object;
  if (from.get(object) != simdjson::SUCCESS) return false;
  bool found = false;
  for (const auto& member : object)
    if (member.key == key) {
      to = member.value;
      found = true;
    }
  return found;
}

bool find_item(const element& from, std::size_t index, element& to) {
  simdjson::dom::array array;
  return from.get(array) == simdjson::SUCCESS && array.at(index).get(to) == simdjson::SUCCESS;
}

Place place_of(const element& value) {
  Place place;
  switch (value.type()) {
    case element_type::NULL_VALUE: place.kind = Place::Kind::null; break;
    case element_type::BOOL:
      place.kind = Place::Kind::boolean;
      place.boolean = value.get_bool().value_unsafe();
      break;
    case element_type::INT64:
    case element_type::UINT64:
    case element_type::DOUBLE:
      place.kind = Place::Kind::number;
      place.number = value.get_double().value_unsafe();
      break;
    case element_type::STRING:
      place.kind = Place::Kind::string;
      place.text = value.get_string().value_unsafe();
      break;
    case element_type::ARRAY: place.kind = Place::Kind::array; break;
    case element_type::OBJECT: place.kind = Place::Kind::object; break;
  }
  return place;
}

}  // namespace

struct View::State {
  simdjson::dom::parser parser{largest_document};
  std::string padded;  // simdjson reads some bytes beyond the end
  element root;
  bool read = false;
};

View::View() : state_(std::make_unique<State>()) {}
View::~View() = default;

bool View::read(std::string_view text) {
  State& state = *state_;
  state.read = false;
  if (text.size() > largest_document || text.find("\\u") != std::string_view::npos) return false;
  state.padded.assign(text);
  state.padded.append(simdjson::SIMDJSON_PADDING, ' ');
  const std::size_t room = std::max(text.size(), smallest_room);
  if (room > state.parser.capacity() && state.parser.allocate(room, deepest) != simdjson::SUCCESS) return false;
  const auto error = state.parser.parse(state.padded.data(), text.size(), false).get(state.root);
  state.read = error == simdjson::SUCCESS && state.root.is_object();
  return state.read;
}

Place View::at(std::span<const PathStep> path) const {
  if (!state_->read) return {};
  element value = state_->root;
  for (const PathStep& step : path) {
    element next;
    if (!find_member(value, step.key, next)) return {};
    value = next;
    for (const std::size_t index : step.indexes) {
      if (!find_item(value, index, next)) return {};
      value = next;
    }
  }
  return place_of(value);
}

}  // namespace nacelle::json
