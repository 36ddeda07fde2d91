#pragma once
// Shared access signatures: making and verifying (wire facts 1.3).

#include <optional>
#include <string>
#include <string_view>

#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::sas {

/// A token taken apart; nothing verified yet.
struct Token {
  std::string resource_literal;  ///< `sr` as it stands in the token: what was signed
  std::string resource;          ///< `sr` percent-decoded
  std::string signature;         ///< raw bytes
  std::string expiry_literal;
  Timestamp expires_at;
  std::string policy;  ///< `skn`; empty if absent
};

/// Fault::invalid_input, and no part of the token in the message.
Result<Token> parse_token(std::string_view text);

/// True if `key_base64` signed the token over the literal or the decoded resource. Constant time.
bool signed_by(const Token& token, std::string_view key_base64);

/// The same by the rule of Event Hubs: the key is the text itself, not what it is the base64 of (wire facts 7.4).
bool signed_by_text(const Token& token, std::string_view key_text);

/// `SharedAccessSignature sr=..&sig=..&se=..[&skn=..]`. `resource` is put in as it stands: encode it before where the
/// peer wants it encoded. Fault::invalid_input if the key is not base64.
Result<std::string> make_token(std::string_view resource, std::string_view key_base64, Timestamp expires_at,
                               std::string_view policy = {});

/// A token for a device or a module, `HUB%2Fdevices%2F{device}[%2Fmodules%2F{module}]`.
std::string device_resource(std::string_view hub, std::string_view device, std::string_view module = {});

/// base64(HMAC-SHA256(base64-decoded group key, registration id)): wire facts 4.3.
Result<std::string> derive_key(std::string_view group_key_base64, std::string_view registration_id);

/// 32 random bytes, base64.
std::string random_key();

}  // namespace nacelle::sas
