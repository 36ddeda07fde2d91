#pragma once
// Randomness is passed in where it must be repeatable; these are for keys, tokens and request ids only.

#include <cstddef>
#include <string>

#include "foundation/bytes.h"

namespace nacelle {

/// `count` bytes from the kernel's generator. Any thread.
Bytes secure_random(std::size_t count);

/// A random (version 4) UUID, lower case with dashes. RFC 4122 section 4.4.
std::string random_uuid();

}  // namespace nacelle
