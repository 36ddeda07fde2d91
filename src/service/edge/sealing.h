#pragma once
// Encryption for a module's own secrets (workload API): AES-256-GCM under a key derived from the module's identity key.

#include <string_view>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::edge {

/// Output: 12 bytes of nonce, the ciphertext, 16 bytes of tag. `context` is authenticated too (the API's initialization
/// vector) and must be the same when opening.
Result<Bytes> seal(BytesView module_key, BytesView context, BytesView plaintext);
/// Fault::denied if it was not sealed with this key and context.
Result<Bytes> unseal(BytesView module_key, BytesView context, BytesView sealed);

}  // namespace nacelle::edge
