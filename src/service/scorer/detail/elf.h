#pragma once
// The little of an ELF file that packing needs: the machine it is for and the dynamic loader it names.

#include <string>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::scorer::detail {

struct ElfFacts {
  std::string architecture;  ///< as OCI names it: amd64, arm64; otherwise `elf-machine-N`
  std::string interpreter;   ///< PT_INTERP; empty in a static program or a library
};

/// 64-bit little-endian ELF only; anything else is Fault::invalid_input. Source: System V ABI, ELF-64.
Result<ElfFacts> read_elf(BytesView file);

/// The program without what is never loaded: debug information, symbol table, section table. Those name the build's folders
/// and make up half of the file. Fault::invalid_input as read_elf.
Result<Bytes> without_unloaded_parts(BytesView file);

}  // namespace nacelle::scorer::detail
