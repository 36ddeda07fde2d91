// MQTT 3.1.1 section 4.7: topic names and topic filters.

#include "codec/mqtt/filter.h"
#include "codec/mqtt/packet.h"
#include "codec/text/encoding.h"

namespace nacelle::mqtt {
namespace {

bool valid_text(std::string_view topic) {
  return !topic.empty() && topic.size() <= max_text_bytes && topic.find('\0') == std::string_view::npos && text::valid_utf8(topic);
}

/// Takes the first level off `rest`; `more` says whether another follows.
std::string_view take_level(std::string_view& rest, bool& more) {
  const std::size_t slash = rest.find('/');
  const std::string_view level = rest.substr(0, slash);
  more = slash != std::string_view::npos;
  rest = more ? rest.substr(slash + 1) : std::string_view{};
  return level;
}

}  // namespace

bool valid_topic_name(std::string_view topic) { return valid_text(topic) && topic.find_first_of("+#") == std::string_view::npos; }

bool valid_topic_filter(std::string_view filter) {
  if (!valid_text(filter)) return false;
  bool more = true;
  while (more) {
    const std::string_view level = take_level(filter, more);
    if (level == "#") return !more;
    if (level != "+" && level.find_first_of("+#") != std::string_view::npos) return false;
  }
  return true;
}

Result<SharedFilter> parse_shared_filter(std::string_view filter) {
  constexpr std::string_view prefix = "$share/";
  if (!filter.starts_with(prefix)) return SharedFilter{{}, filter};
  const std::string_view rest = filter.substr(prefix.size());
  const std::size_t slash = rest.find('/');
  const std::string_view group = rest.substr(0, slash);
  if (slash == std::string_view::npos || group.empty() || group.find_first_of("+#") != std::string_view::npos ||
      !valid_topic_filter(rest.substr(slash + 1)))
    return fail(Fault::invalid_input, "expected $share/GROUP/FILTER");
  return SharedFilter{group, rest.substr(slash + 1)};
}

bool filter_covers(std::string_view allowed, std::string_view wanted) {
  if (wanted.starts_with('$') && (allowed.starts_with('+') || allowed.starts_with('#'))) return false;
  bool more_allowed = true;
  bool more_wanted = true;
  while (more_allowed) {
    const std::string_view may = take_level(allowed, more_allowed);
    if (may == "#") return true;  // `a/#` covers `a` too, where `wanted` has ended
    if (!more_wanted) return false;
    const std::string_view would = take_level(wanted, more_wanted);
    if (would == "#" || (may != "+" && (would == "+" || would != may))) return false;
  }
  return !more_wanted;
}

bool topic_matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
  bool more_filter = true;
  bool more_topic = true;
  while (more_filter) {
    const std::string_view wanted = take_level(filter, more_filter);
    if (wanted == "#") return true;  // also where the topic has just ended: `a/#` matches `a`
    if (!more_topic) return false;
    const std::string_view level = take_level(topic, more_topic);
    if (wanted != "+" && wanted != level) return false;
  }
  return !more_topic;
}

}  // namespace nacelle::mqtt
