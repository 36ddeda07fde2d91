#include "service/scorer/detail/elf.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace nacelle::scorer::detail {
namespace {

/// A structure at `offset`, if the file is long enough to hold it.
template <class T>
bool read_at(BytesView file, std::uint64_t offset, T& out) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return false;
  std::memcpy(&out, file.data() + offset, sizeof(T));
  return true;
}

Failure refused(std::string_view why) {
  return fail(Fault::invalid_input, fmt::format("program: expected a 64-bit ELF file, {}", why));
}

/// The segment table, each entry within the file.
Result<std::vector<Elf64_Phdr>> read_segments(BytesView file, const Elf64_Ehdr& header) {
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (!read_at(file, header.e_phoff + i * sizeof(Elf64_Phdr), segments[i])) return refused("its segment table is cut off");
    if (segments[i].p_offset > file.size() || file.size() - segments[i].p_offset < segments[i].p_filesz)
      return refused("a segment is cut off");
  }
  return segments;
}

Result<Elf64_Ehdr> read_header(BytesView file) {
  Elf64_Ehdr header;
  if (!read_at(file, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return refused("found something else");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return refused("found another class or byte order");
  return header;
}

}  // namespace

Result<ElfFacts> read_elf(BytesView file) {
  TRY_LET(const Elf64_Ehdr header, read_header(file));
  TRY_LET(const std::vector<Elf64_Phdr> segments, read_segments(file, header));
  ElfFacts facts;
  facts.architecture = header.e_machine == EM_X86_64    ? "amd64"
                       : header.e_machine == EM_AARCH64 ? "arm64"
                                                        : fmt::format("elf-machine-{}", header.e_machine);
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_filesz == 0 || segment.p_filesz > 4096) return refused("its loader's name is damaged");
    facts.interpreter.assign(file.substr(segment.p_offset, segment.p_filesz - 1));
  }
  return facts;
}

Result<Bytes> without_unloaded_parts(BytesView file) {
  TRY_LET(Elf64_Ehdr header, read_header(file));
  TRY_LET(const std::vector<Elf64_Phdr> segments, read_segments(file, header));
  std::uint64_t end = std::max<std::uint64_t>(sizeof header, header.e_phoff + segments.size() * sizeof(Elf64_Phdr));
  for (const Elf64_Phdr& segment : segments) end = std::max(end, segment.p_offset + segment.p_filesz);
  Bytes kept(file.substr(0, end));
  header.e_shoff = 0;
  header.e_shnum = 0;
  header.e_shstrndx = SHN_UNDEF;
  std::memcpy(kept.data(), &header, sizeof header);
  return kept;
}

}  // namespace nacelle::scorer::detail
