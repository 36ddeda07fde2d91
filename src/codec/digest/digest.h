#pragma once
// SHA-256, HMAC-SHA256 and comparison in constant time, over OpenSSL.

#include <memory>
#include <string>

#include "foundation/bytes.h"

namespace nacelle::digest {

Bytes sha256(BytesView bytes);            ///< 32 bytes
std::string sha256_hex(BytesView bytes);  ///< 64 lower-case digits
Bytes hmac_sha256(BytesView key, BytesView message);
bool equal_constant_time(BytesView a, BytesView b);

/// SHA-256 of a stream. `Sha256 h; h.update(a); h.update(b); h.hex()` (once).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(BytesView bytes);
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nacelle::digest
