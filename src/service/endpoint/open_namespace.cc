#include "service/endpoint/open_namespace.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/mqtt/filter.h"
#include "codec/mqtt/packet.h"
#include "codec/text/encoding.h"

namespace nacelle::endpoint {
namespace {

constexpr std::string_view name_level = "%n";

/// The rule's filter for this principal; nothing if its name cannot be a level of a topic.
std::optional<std::string> filter_for(const std::string& filter, const Principal& who) {
  if (filter.find(name_level) == std::string::npos) return filter;
  // A name with a wild card in it would allow what was never meant.
  if (who.name.empty() || who.name.find_first_of("+#") != std::string::npos) return std::nullopt;
  std::vector<std::string> levels;
  for (const auto& level : text::split(filter, '/')) levels.emplace_back(level == name_level ? who.name : std::string(level));
  return fmt::format("{}", fmt::join(levels, "/"));
}

Result<std::vector<std::string>> read_filters(const json::Value& rule, std::string_view member, const std::string& where) {
  std::vector<std::string> filters;
  const json::Value* list = rule.find(member);
  if (list == nullptr) return filters;
  if (!list->is_array())
    return fail(Fault::invalid_input, fmt::format("{}: {}: expected an array of topic filters", where, member));
  for (const auto& one : list->as_array()) {
    const bool good = one.is_string() && mqtt::valid_topic_filter(one.as_string()) && is_open_topic(one.as_string());
    if (!good)
      return fail(Fault::invalid_input, fmt::format("{}: {}: expected topic filters outside of '$' and 'devices/', found {}", where,
                                                    member, json::print(one)));
    filters.push_back(one.as_string());
  }
  return filters;
}

}  // namespace

std::string Principal::text() const {
  switch (kind) {
    case Kind::anonymous: return "anonymous";
    case Kind::device: return "device:" + name;
    case Kind::policy: break;
  }
  return "policy:" + name;
}

bool is_open_topic(std::string_view topic_or_filter) {
  return !topic_or_filter.starts_with('$') && topic_or_filter != "devices" && !topic_or_filter.starts_with("devices/");
}

bool is_open_filter(std::string_view filter) {
  const auto shared = mqtt::parse_shared_filter(filter);
  return shared && is_open_topic(shared->filter);
}

AccessRules AccessRules::all() {
  AccessRules rules;
  rules.rules_.push_back({"*", {"#"}, {"#"}});
  return rules;
}

Result<AccessRules::Rule> AccessRules::parse_rule(const json::Value& document, const std::string& where) {
  if (!document.is_object()) return fail(Fault::invalid_input, where + ": expected an object");
  for (const auto& [key, value] : document.as_object())
    if (key != "who" && key != "publish" && key != "subscribe")
      return fail(Fault::invalid_input, fmt::format("{}: unknown member '{}'; known are who, publish, subscribe", where, key));
  Rule rule;
  TRY_LET(rule.who, json::get_string(document, "who", where));
  const std::string_view who = rule.who;
  const bool named = (who.starts_with("device:") || who.starts_with("policy:")) && who.size() > std::string_view("device:").size();
  if (who != "*" && who != "anonymous" && !named)
    return fail(Fault::invalid_input,
                fmt::format("{}: who: expected *, anonymous, device:NAME or policy:NAME, found '{}'", where, who));
  TRY_LET(rule.publish, read_filters(document, "publish", where));
  TRY_LET(rule.subscribe, read_filters(document, "subscribe", where));
  return rule;
}

Result<AccessRules> AccessRules::parse(const json::Value& document) {
  const json::Value* list = document.is_object() ? document.find("rules") : nullptr;
  if (list == nullptr || !list->is_array()) return fail(Fault::invalid_input, "expected an object with an array 'rules'");
  AccessRules rules;
  for (const auto& one : list->as_array()) {
    TRY_LET(Rule rule, parse_rule(one, fmt::format("rules[{}]", rules.rules_.size())));
    rules.rules_.push_back(std::move(rule));
  }
  return rules;
}

bool AccessRules::is_for(const Rule& rule, const Principal& who) {
  const std::string text = who.text();
  if (rule.who.ends_with('*')) return text.starts_with(std::string_view(rule.who).substr(0, rule.who.size() - 1));
  return text == rule.who;
}

bool AccessRules::may_publish(const Principal& who, std::string_view topic) const {
  if (!is_open_topic(topic)) return false;
  const auto allows = [&](const std::string& filter) {
    const auto own = filter_for(filter, who);
    return own && mqtt::topic_matches(*own, topic);
  };
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    return is_for(rule, who) && std::any_of(rule.publish.begin(), rule.publish.end(), allows);
  });
}

bool AccessRules::may_subscribe(const Principal& who, std::string_view filter) const {
  if (!is_open_topic(filter)) return false;
  const auto allows = [&](const std::string& allowed) {
    const auto own = filter_for(allowed, who);
    return own && mqtt::filter_covers(*own, filter);
  };
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    return is_for(rule, who) && std::any_of(rule.subscribe.begin(), rule.subscribe.end(), allows);
  });
}

}  // namespace nacelle::endpoint
