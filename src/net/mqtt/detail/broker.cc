#include "net/mqtt/detail/broker.h"

#include <algorithm>
#include <unordered_map>

namespace nacelle::net {
namespace {

/// Takes the first level off `rest`; `at_end` says whether it was the last.
std::string_view take_level(std::string_view& rest, bool& at_end) {
  const std::size_t slash = rest.find('/');
  const std::string_view level = rest.substr(0, slash);
  at_end = slash == std::string_view::npos;
  rest = at_end ? std::string_view{} : rest.substr(slash + 1);
  return level;
}

template <class List>
auto find_client(List& list, const std::string& client) {
  return std::find_if(list.begin(), list.end(), [&](const auto& each) { return each.client == client; });
}

}  // namespace

bool Broker::subscribable(std::string_view filter) {
  const auto shared = mqtt::parse_shared_filter(filter);
  return shared && std::count(shared->filter.begin(), shared->filter.end(), '/') < static_cast<std::ptrdiff_t>(max_filter_levels);
}

bool Broker::subscribe(const std::string& client, const mqtt::Subscription& subscription) {
  const auto shared = mqtt::parse_shared_filter(subscription.filter);
  INVARIANT(shared, "the connection refuses filters that are not subscribable");
  const std::lock_guard lock(mutex_);
  Node* node = &root_;
  std::string_view rest = shared->filter;
  for (bool at_end = false; !at_end;) {
    const std::string_view level = take_level(rest, at_end);
    auto at = node->children.find(level);
    if (at == node->children.end()) at = node->children.emplace(std::string(level), Node{}).first;
    node = &at->second;
  }
  auto& list = shared->group.empty() ? node->subscribers : node->groups[std::string(shared->group)].members;
  const auto there = find_client(list, client);
  const Subscriber subscriber{client, subscription.qos, subscription.options};
  if (there != list.end()) {
    *there = subscriber;
    return false;
  }
  list.push_back(subscriber);
  return true;
}

bool Broker::unsubscribe(const std::string& client, std::string_view filter) {
  const auto shared = mqtt::parse_shared_filter(filter);
  if (!shared) return false;
  const std::lock_guard lock(mutex_);
  return remove(root_, shared->filter, false, shared->group, client);
}

/// Branches that end nowhere are taken away on the way back.
bool Broker::remove(Node& node, std::string_view rest, bool at_end, std::string_view group, const std::string& client) {
  if (at_end) {
    if (group.empty()) return std::erase_if(node.subscribers, [&](const auto& each) { return each.client == client; }) > 0;
    const auto at = node.groups.find(group);
    if (at == node.groups.end()) return false;
    const bool removed = std::erase_if(at->second.members, [&](const auto& each) { return each.client == client; }) > 0;
    if (at->second.members.empty()) node.groups.erase(at);
    return removed;
  }
  const std::string_view level = take_level(rest, at_end);
  const auto child = node.children.find(level);
  if (child == node.children.end()) return false;
  const bool removed = remove(child->second, rest, at_end, group, client);
  if (child->second.empty()) node.children.erase(child);
  return removed;
}

/// What a message gathers on its way through the tree.
struct Broker::Walk {
  const std::string& from;
  const Online& online;
  bool system_topic;  // `$...`: leading wild cards do not match it
  std::vector<Match> matches;
  std::unordered_map<std::string_view, std::size_t> own;  // index in matches of clients without a group

  void add(Match& match, const Subscriber& subscriber) const {
    match.qos = std::max(match.qos, subscriber.qos);  // section 3.3.4
    match.retain_as_published = match.retain_as_published || subscriber.options.retain_as_published;
    if (subscriber.options.id != 0) match.subscription_ids.push_back(subscriber.options.id);
  }
  Match& begin(const Subscriber& subscriber) {
    matches.push_back({subscriber.client, mqtt::QoS::at_most_once, false, {}});
    return matches.back();
  }
};

std::vector<Broker::Match> Broker::match(std::string_view topic, const std::string& from, const Online& online) {
  // A deeper topic than any filter can only match by `#`: the walk ends with the filters.
  Walk walk{from, online, topic.starts_with('$'), {}, {}};
  const std::lock_guard lock(mutex_);
  visit(root_, topic, false, true, walk);
  return std::move(walk.matches);
}

void Broker::visit(Node& node, std::string_view rest, bool at_end, bool first, Walk& walk) {
  const bool wild = !(first && walk.system_topic);
  if (wild) {  // `#` matches the parent level too (section 4.7.1.2)
    const auto all = node.children.find(std::string_view("#"));
    if (all != node.children.end()) collect(all->second, walk);
  }
  if (at_end) return collect(node, walk);
  const std::string_view level = take_level(rest, at_end);
  const auto same = node.children.find(level);
  if (same != node.children.end()) visit(same->second, rest, at_end, false, walk);
  if (!wild) return;
  const auto any = node.children.find(std::string_view("+"));
  if (any != node.children.end()) visit(any->second, rest, at_end, false, walk);
}

void Broker::collect(Node& node, Walk& walk) {
  for (const Subscriber& subscriber : node.subscribers) {
    if (subscriber.options.no_local && subscriber.client == walk.from) continue;
    const auto [at, fresh] = walk.own.try_emplace(subscriber.client, walk.matches.size());
    if (fresh) walk.begin(subscriber);
    walk.add(walk.matches[at->second], subscriber);
  }
  for (auto& [name, group] : node.groups) {
    const std::size_t count = group.members.size();
    std::size_t chosen = group.next % count;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t candidate = (group.next + i) % count;
      if (!walk.online(group.members[candidate].client)) continue;
      chosen = candidate;
      break;
    }
    group.next = chosen + 1;
    walk.add(walk.begin(group.members[chosen]), group.members[chosen]);
  }
}

// Retained messages.

void Broker::forget(std::map<std::string, MqttMessagePtr, std::less<>>::iterator at) {
  retained_bytes_ -= at->second->bytes();
  retained_.erase(at);
}

bool Broker::retain(const MqttMessagePtr& message) {
  const std::lock_guard lock(mutex_);
  const auto at = retained_.find(message->topic);
  if (at != retained_.end()) forget(at);
  if (message->payload.empty()) return true;  // section 3.3.1.3
  if (retained_.size() >= limits_.max_retained || retained_bytes_ + message->bytes() > limits_.max_retained_bytes) return false;
  retained_bytes_ += message->bytes();
  retained_.emplace(message->topic, message);
  return true;
}

std::vector<MqttMessagePtr> Broker::retained(std::string_view filter, Timestamp now, std::vector<std::string>& forgotten) {
  std::vector<MqttMessagePtr> found;
  const std::lock_guard lock(mutex_);
  // Everything before the first wild card stands in every topic that matches; `a/#` matches `a` too.
  std::string_view prefix = filter.substr(0, filter.find_first_of("+#"));
  if (prefix.size() < filter.size() && prefix.ends_with('/') && filter.ends_with("/#")) prefix.remove_suffix(1);
  for (auto at = retained_.lower_bound(prefix); at != retained_.end() && at->first.starts_with(prefix);) {
    const auto current = at++;
    if (current->second->expires_at && *current->second->expires_at <= now) {
      forgotten.push_back(current->first);
      forget(current);
    } else if (mqtt::topic_matches(filter, current->first)) {
      found.push_back(current->second);
    }
  }
  return found;
}

std::size_t Broker::retained_count() const {
  const std::lock_guard lock(mutex_);
  return retained_.size();
}

}  // namespace nacelle::net
