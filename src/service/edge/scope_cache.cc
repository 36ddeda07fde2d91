#include "service/edge/scope_cache.h"

#include <fmt/format.h>

#include "foundation/log.h"

namespace nacelle::edge {

namespace {

Result<> add_all(const json::Value& document, std::string_view key, ScopeCache::Identities& found) {
  const json::Value* list = document.find(key);
  if (!list) return {};
  if (!list->is_array()) return fail(Fault::invalid_input, "scope document: '" + std::string(key) + "': expected an array");
  for (const json::Value& entry : list->as_array()) {
    TRY_LET(const std::string device, json::get_string(entry, "deviceId", "scope document"));
    TRY_LET(const std::string module, json::get_string_or(entry, "moduleId", "", "scope document"));
    const device::IdentityName name{device::DeviceId(device), device::ModuleId(module)};
    TRY_LET(device::Identity identity, in(device::from_json(entry, name), "scope document, " + name.client_id()));
    TRY_LET(std::string generation, json::get_string_or(entry, "generationId", identity.generation_id, "scope document"));
    identity.generation_id = std::move(generation);
    found.insert_or_assign(name, std::move(identity));
  }
  return {};
}

}  // namespace

Result<ScopeCache::Identities> parse_scope(const json::Value& document) {
  if (!document.is_object()) return fail(Fault::invalid_input, "scope document: expected an object");
  ScopeCache::Identities found;
  TRY(add_all(document, "devices", found));
  TRY(add_all(document, "modules", found));
  return found;
}

Result<std::shared_ptr<const net::TrustAnchors>> parse_authorities(const json::Value& document) {
  constexpr std::size_t most = 100;  // the hub takes 25, and has one of its own
  std::shared_ptr<const net::TrustAnchors> none;
  const json::Value* list = document.find("authorities");
  if (!list) return none;
  if (!list->is_array() || list->as_array().size() > most)
    return fail(Fault::invalid_input, fmt::format("scope document: 'authorities': expected an array of at most {}", most));
  std::vector<std::string> pems;
  for (const json::Value& entry : list->as_array()) {
    if (!entry.is_string()) return fail(Fault::invalid_input, "scope document: 'authorities': expected PEM texts");
    pems.push_back(entry.as_string());
  }
  return in(net::TrustAnchors::make(pems), "scope document: 'authorities'");
}

ScopeCache::ScopeCache(const EdgeFiles& files, const HubClient& hub, const Clock& clock) : files_(files), hub_(hub), clock_(clock) {
  const auto cached = files_.load(files_.scope());
  if (!cached) return;
  if (const auto used = publish(*cached); !used) log::warn("edge", "the cached scope is not used: {}", used.error().message);
}

/// All of it, or nothing.
Result<> ScopeCache::publish(const json::Value& document) {
  TRY_LET(Identities identities, parse_scope(document));
  TRY_LET(auto authorities, parse_authorities(document));
  log::debug("edge", "scope: {} identities", identities.size());
  authorities_.publish(std::move(authorities));
  identities_.publish(std::move(identities));
  return {};
}

std::optional<device::Identity> ScopeCache::find(const device::IdentityName& who) const {
  const auto identities = identities_.get();
  const auto at = identities->find(who);
  if (at == identities->end()) return std::nullopt;
  return at->second;
}

awaitable<Result<>> ScopeCache::refresh(std::chrono::seconds timeout) {
  const std::uint64_t number = ++begun_;
  last_begun_ = std::chrono::steady_clock::now();
  auto document = co_await hub_.scope(timeout);
  last_outcome_ = document ? take(*document) : fail(std::move(document).error());
  ended_ = std::max(ended_, number);
  co_return last_outcome_;
}

Result<> ScopeCache::take(const json::Value& document) {
  TRY(parse_scope(document));
  TRY(parse_authorities(document));
  TRY(files_.save(files_.scope(), document));
  return publish(document);
}

awaitable<Result<>> ScopeCache::refresh_for_stranger() {
  const std::uint64_t wanted = begun_ + 1;  // one that is under way may have read before the stranger was registered
  while (ended_ < wanted) {
    const bool may_begin = begun_ < wanted && std::chrono::steady_clock::now() >= last_begun_ + between_refreshes;
    if (may_begin) co_return co_await refresh(std::chrono::seconds(5));
    const bool slept = co_await sleep_for(std::chrono::milliseconds(20));
    if (!slept) co_return fail(Fault::unavailable, "stopped while asking for the scope");
  }
  co_return last_outcome_;
}

}  // namespace nacelle::edge
