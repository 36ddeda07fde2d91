// Any bytes as a certificate in PEM, base64 or DER, as a client's chain, as a signing request, and as the proof of an authority:
// facts, a verdict or a reason, never a crash; and nobody but the fixed authority's own is let in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "net/tls/chain.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacelle;
  static const Timestamp now = from_unix_seconds(1'893'456'000);
  static const std::string authority = net::make_root("Fuzz", std::chrono::hours{24 * 3650}, now)->certificate_pem;
  static const auto anchors = *net::TrustAnchors::make({authority});
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto read = net::read_one(text)) {
    (void)net::inspect(*read).has_value();
    (void)net::TrustAnchors::make({*read}).has_value();
    (void)net::check_signed_by(*read, *read, now).has_value();
  }
  static const auto issuer = *net::make_root("Fuzz", std::chrono::hours{24 * 3650}, now);
  net::CertificateRequest device;
  device.common_name = "press-7";
  if (const auto signed_for = net::sign(issuer, text, device, now))
    if (!net::inspect(*signed_for) || net::inspect(*signed_for)->common_name != device.common_name) std::abort();
  (void)net::inspect_all(text).has_value();
  (void)net::inspect_der(text).has_value();
  // Its key was made a moment ago: no input can be signed with it.
  if (anchors->check(text, now) || net::check_signed_by(authority, text, now)) std::abort();
  return 0;
}
