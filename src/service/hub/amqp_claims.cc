#include "service/hub/amqp_claims.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"

namespace nacelle::hub {
namespace {

constexpr std::size_t longest_audience = 1024;

/// Clients that encode a whole audience have encoded the ids in it before.
std::string id_of(std::string_view segment) {
  auto decoded = text::percent_decode(segment);
  return decoded ? *std::move(decoded) : std::string(segment);
}

/// `devices/d[/modules/m]` and whatever follows; nothing named for an empty path.
Result<device::IdentityName> target_of(std::string_view path) {
  if (path.empty()) return device::IdentityName{};
  const auto parts = text::split(path, '/');
  if (parts.size() < 2 || parts[0] != "devices" || parts[1].empty())
    return fail(Fault::denied, "the audience is neither the hub nor an identity of its");
  device::IdentityName name{device::DeviceId(id_of(parts[1])), {}};
  if (parts.size() >= 4 && parts[2] == "modules") name.module = device::ModuleId(id_of(parts[3]));
  return name;
}

}  // namespace

AmqpPath split_audience(std::string_view audience) {
  const auto scheme = audience.find("://");
  const bool named = scheme != std::string_view::npos || !audience.starts_with('/');
  if (scheme != std::string_view::npos) audience.remove_prefix(scheme + 3);
  AmqpPath split;
  if (named) {
    split.host = audience.substr(0, audience.find('/'));
    audience.remove_prefix(split.host.size());
  }
  while (audience.starts_with('/')) audience.remove_prefix(1);
  while (audience.ends_with('/')) audience.remove_suffix(1);
  split.path = audience;
  return split;
}

Result<AmqpClaims::Claim> AmqpClaims::examine(std::string_view audience, std::string_view token) const {
  Claim claim;
  if (audience.starts_with("sb://") || audience.starts_with("SB://")) {
    TRY_LET(auto proof, access_.prove_events(token, audience));
    return Claim{std::move(proof.caller), proof.until, std::move(proof.holder), std::move(proof.credential)};
  }
  const AmqpPath split = split_audience(audience);
  if (!access_.is_hub_name(split.host)) return fail(Fault::denied, "the audience names another hub");
  TRY_LET(const device::IdentityName target, target_of(split.path));
  TRY_LET(auto proof, access_.prove(token, target));
  if (target.device.empty()) {  // whoever would act as a device puts a token for that device
    device::Rights only;
    only.service_connect = proof.caller.rights.service_connect;
    proof.caller.rights = only;
  } else if (proof.caller.service) {  // whatever the policy may: here it speaks for this one
    proof.caller = Caller{};
    proof.caller.name = target;
  }
  return Claim{std::move(proof.caller), proof.until, std::move(proof.holder), std::move(proof.credential)};
}

Result<> AmqpClaims::put(std::string_view audience, std::string_view token) {
  if (audience.empty() || audience.size() > longest_audience) return fail(Fault::denied, "the audience cannot be read");
  const auto decoded = text::percent_decode(audience);
  if (!decoded) return fail(Fault::denied, "the audience cannot be read");
  TRY_LET(Claim claim, examine(*decoded, token));
  return keep(text::to_lower(*decoded), std::move(claim));
}

Result<> AmqpClaims::show(const device::IdentityName& who, BytesView certificates_der) {
  const std::string key = "x509 " + who.client_id();
  const auto until = access_.check_device(who, {}, certificates_der);
  if (!until) {
    claims_.erase(key);
    return fail(until.error());
  }
  Claim claim;
  claim.caller.name = who;
  claim.caller.certificate = true;
  claim.until = *until;
  claim.holder = who.client_id();
  return keep(key, std::move(claim));
}

AmqpClaims::Standing AmqpClaims::standing(const device::IdentityName& who) const {
  for (const auto& [audience, claim] : claims_)
    if (allowed(Need::identity, claim.caller, who) && alive(claim))
      return {claim.caller.certificate, !claim.credential.policy.empty()};
  return {};
}

Result<> AmqpClaims::keep(const std::string& key, Claim claim) {
  if (!claims_.contains(key) && claims_.size() >= most_claims)
    std::erase_if(claims_, [this](const auto& each) { return !alive(each.second); });
  if (!claims_.contains(key) && claims_.size() >= most_claims)
    return fail(Fault::exhausted, fmt::format("a connection has at most {} tokens", most_claims));
  claims_[key] = std::move(claim);
  return {};
}

Result<> AmqpClaims::alive(const Claim& claim) const {
  if (claim.until <= clock_.now()) return fail(Fault::denied, "the token has expired");
  if (!claim.caller.service && !access_.is_registered(claim.caller.name))
    return fail(Fault::denied, fmt::format("'{}' is not registered", claim.caller.name.client_id()));
  if (!access_.holds(claim.holder, claim.credential))
    return fail(Fault::denied, "the key of the token holds no more, or its owner is disabled");
  return {};
}

Result<> AmqpClaims::check(Need need, const device::IdentityName& target) const {
  Error why{Fault::denied, "no token was put for it"};
  for (const auto& [audience, claim] : claims_) {
    if (!allowed(need, claim.caller, target)) {
      if (claims_.size() == 1) why.message = "the token put gives no right to it";
      continue;
    }
    const auto found = alive(claim);
    if (found) return {};
    why = found.error();
  }
  return fail(std::move(why));
}

}  // namespace nacelle::hub
