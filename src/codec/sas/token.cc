#include "codec/sas/token.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "foundation/random.h"

namespace nacelle::sas {
namespace {

constexpr std::string_view scheme = "SharedAccessSignature";
constexpr std::size_t max_token_bytes = 4096;  // the longest real ones are below 600
constexpr std::size_t key_bytes = 32;
// 9999-12-31T23:59:59Z. Clients that mean "never" send more; a Timestamp could not hold it.
constexpr std::int64_t last_second = 253'402'300'799;

// No part of the token appears in a message: it is a credential.
Failure refuse(std::string_view why) { return fail(Fault::invalid_input, fmt::format("shared access signature: {}", why)); }

/// What follows `SharedAccessSignature` and white space.
Result<std::string_view> fields_of(std::string_view text) {
  text = text::trim(text);
  const std::size_t space = text.find_first_of(" \t");
  if (space == std::string_view::npos || !text::equal_ignoring_case(text.substr(0, space), scheme))
    return refuse("expected 'SharedAccessSignature ' and fields");
  return text::trim(text.substr(space));
}

Result<Timestamp> expiry_of(std::string_view literal) {
  const bool digits = !literal.empty() && literal.find_first_not_of("0123456789") == std::string_view::npos;
  const auto seconds = text::parse_integer(literal, "se");
  if (!digits || !seconds) return refuse("field 'se' is not a number of seconds");
  return from_unix_seconds(std::min(*seconds, last_second));
}

std::string signature_of(std::string_view key, std::string_view resource, std::string_view expiry) {
  std::string message(resource);
  message += '\n';
  message += expiry;
  return digest::hmac_sha256(key, message);
}

}  // namespace

Result<Token> parse_token(std::string_view text) {
  if (text.size() > max_token_bytes) return refuse(fmt::format("longer than {} bytes", max_token_bytes));
  TRY_LET(const std::string_view fields, fields_of(text));
  std::optional<std::string_view> sr, sig, se, skn;
  for (const std::string_view field : text::split(fields, '&')) {
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) return refuse("a field has no '='");
    const std::string_view name = field.substr(0, equals);
    auto* const slot = name == "sr" ? &sr : name == "sig" ? &sig : name == "se" ? &se : name == "skn" ? &skn : nullptr;
    if (!slot) continue;  // clients may add fields of their own; they are not signed
    if (slot->has_value()) return refuse(fmt::format("field '{}' stands twice", name));
    *slot = field.substr(equals + 1);
  }
  if (!sr || sr->empty()) return refuse("field 'sr' is missing");
  if (!sig || sig->empty()) return refuse("field 'sig' is missing");
  if (!se) return refuse("field 'se' is missing");
  auto resource = text::percent_decode(*sr);
  auto policy = text::percent_decode(skn.value_or(""));
  auto signature_text = text::percent_decode(*sig);
  if (!resource || !policy || !signature_text) return refuse("a field has a broken percent escape");
  auto signature = text::base64_decode(*signature_text);
  if (!signature) return refuse("field 'sig' is not base64");
  TRY_LET(const Timestamp expires_at, expiry_of(*se));
  return Token{std::string(*sr), *std::move(resource), *std::move(signature), std::string(*se), expires_at, *std::move(policy)};
}

bool signed_by_text(const Token& token, std::string_view key_text) {
  if (key_text.empty()) return false;
  const auto literal = signature_of(key_text, token.resource_literal, token.expiry_literal);
  if (digest::equal_constant_time(literal, token.signature)) return true;
  return digest::equal_constant_time(signature_of(key_text, token.resource, token.expiry_literal), token.signature);
}

bool signed_by(const Token& token, std::string_view key_base64) {
  const auto key = text::base64_decode(key_base64);
  return key && signed_by_text(token, *key);
}

Result<std::string> make_token(std::string_view resource, std::string_view key_base64, Timestamp expires_at,
                               std::string_view policy) {
  const auto key = text::base64_decode(key_base64);
  if (!key || key->empty()) return fail(Fault::invalid_input, "making a shared access signature: the key is not base64");
  const std::string expiry = std::to_string(unix_seconds(expires_at));
  const std::string signature = text::percent_encode_strict(text::base64_encode(signature_of(*key, resource, expiry)));
  std::string token = fmt::format("{} sr={}&sig={}&se={}", scheme, resource, signature, expiry);
  if (!policy.empty()) token += fmt::format("&skn={}", text::percent_encode_strict(policy));
  return token;
}

std::string device_resource(std::string_view hub, std::string_view device, std::string_view module) {
  std::string path = fmt::format("{}/devices/{}", hub, device);
  if (!module.empty()) path += fmt::format("/modules/{}", module);
  return text::percent_encode_strict(path);
}

Result<std::string> derive_key(std::string_view group_key_base64, std::string_view registration_id) {
  const auto key = text::base64_decode(group_key_base64);
  if (!key || key->empty()) return fail(Fault::invalid_input, "deriving a device key: the group key is not base64");
  return text::base64_encode(digest::hmac_sha256(*key, registration_id));
}

std::string random_key() { return text::base64_encode(secure_random(key_bytes)); }

}  // namespace nacelle::sas
