// Tokens that are put on a connection (wire facts 7.2, 7.4).
#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "service/hub/access.h"
#include "service/hub/amqp_claims.h"

namespace nacelle::hub {
namespace {

/// `whole`, or a beginning of it that ends where one of its segments does.
bool begins(std::string_view path, std::string_view whole) {
  return text::equal_ignoring_case(whole.substr(0, path.size()), path) && path.size() <= whole.size() &&
         (path.empty() || path.size() == whole.size() || whole[path.size()] == '/');
}

}  // namespace

Result<Access::Proof> Access::prove(std::string_view text, const device::IdentityName& target) const {
  Proof proof;
  TRY_LET(proof.caller, identify(text, target));
  TRY_LET(const sas::Token token, sas::parse_token(text));
  const bool itself = !target.device.empty();
  if (itself && !proof.caller.service && proof.caller.name != target)
    return fail(Fault::denied, "the token is for another identity than the audience");
  if (!itself && !proof.caller.service) return fail(Fault::denied, "the token is for another identity than the hub");
  if (itself) {
    TRY(check_device(target, text, {}));  // with a policy's token too: registered, enabled, and the policy may
    proof.holder = target.client_id();
  } else if (!proof.caller.rights.service_connect) {
    return fail(Fault::denied, fmt::format("policy '{}' has no ServiceConnect right", proof.caller.policy));
  }
  proof.until = device::taken_until(token);
  proof.credential = credential(proof.holder, text);
  return proof;
}

Result<Access::Proof> Access::prove_events(std::string_view text, std::string_view audience) const {
  const auto token = sas::parse_token(text);
  if (!token) return fail(Fault::denied, "the token is not a shared access signature");
  const PolicyPtr policy = registry_.policy(token->policy);
  if (!policy) return fail(Fault::denied, fmt::format("there is no shared access policy '{}'", token->policy));
  Proof proof;
  const bool primary = sas::signed_by_text(*token, policy->primary_key);
  if (!primary && !sas::signed_by_text(*token, policy->secondary_key))
    return fail(Fault::denied, "the token is not signed with either key");
  proof.until = device::taken_until(*token);
  if (proof.until <= clock_.now())
    return fail(Fault::denied, fmt::format("the token expired at {}", format_iso8601(token->expires_at, 0)));
  const AmqpPath named = split_audience(token->resource);
  const AmqpPath asked = split_audience(audience);
  if (!is_hub_name(named.host) || !is_hub_name(asked.host)) return fail(Fault::denied, "the token is for another hub");
  if (!begins(named.path, asked.path)) return fail(Fault::denied, "the token does not cover this hub's entity in the audience");
  if (!policy->rights.service_connect)
    return fail(Fault::denied, fmt::format("policy '{}' has no ServiceConnect right", policy->name));
  proof.caller.service = true;
  proof.caller.policy = policy->name;
  proof.caller.rights.service_connect = true;  // and nothing else of the policy's
  proof.credential = credential_of(*policy, primary);
  return proof;
}

}  // namespace nacelle::hub
