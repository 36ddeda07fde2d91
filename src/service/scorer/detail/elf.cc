#include "service/scorer/detail/elf.h"

#include <elf.h>
#include <fmt/format.h>

#include <cstring>

namespace nacelle::scorer::detail {
namespace {

/// A structure at `offset`, if the file is long enough to hold it.
template <class T>
bool read_at(BytesView file, std::uint64_t offset, T& out) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return false;
  std::memcpy(&out, file.data() + offset, sizeof(T));
  return true;
}

}  // namespace

Result<ElfFacts> read_elf(BytesView file) {
  const auto refused = [](std::string_view why) { return fail(Fault::invalid_input, fmt::format("program: expected a 64-bit ELF file, {}", why)); };
  Elf64_Ehdr header;
  if (!read_at(file, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return refused("found something else");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) return refused("found another class or byte order");
  ElfFacts facts;
  facts.architecture = header.e_machine == EM_X86_64 ? "amd64" : header.e_machine == EM_AARCH64 ? "arm64" : fmt::format("elf-machine-{}", header.e_machine);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!read_at(file, header.e_phoff + std::uint64_t{i} * sizeof(Elf64_Phdr), segment)) return refused("its segment table is cut off");
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_offset > file.size() || file.size() - segment.p_offset < segment.p_filesz || segment.p_filesz == 0 || segment.p_filesz > 4096)
      return refused("its loader's name is cut off");
    facts.interpreter.assign(file.substr(segment.p_offset, segment.p_filesz - 1));
  }
  return facts;
}

}  // namespace nacelle::scorer::detail
