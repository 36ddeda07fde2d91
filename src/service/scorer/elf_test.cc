#include "service/scorer/detail/elf.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "service/scorer/packaging.h"

namespace nacelle::scorer::detail {
namespace {

Bytes own_file() {
  auto files = program_files();
  INVARIANT(files, "a running program can be read");
  return std::move(files->front().content);
}

TEST(ReadElf, tells_machine_and_loader) {
  const auto facts = read_elf(own_file());
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_TRUE(facts->architecture == "amd64" || facts->architecture == "arm64") << facts->architecture;
  EXPECT_NE(facts->interpreter.find("/ld-linux"), std::string::npos) << facts->interpreter;
}

TEST(ReadElf, what_is_cut_off_or_no_elf_is_refused) {
  const Bytes whole = own_file();
  for (std::size_t size = 0; size < 4096; ++size) EXPECT_FALSE(read_elf(BytesView(whole).substr(0, size))) << size;
  EXPECT_FALSE(read_elf("#!/bin/sh\n"));
}

TEST(ReadElf, changed_bytes_in_the_tables_never_lead_outside_the_file) {
  const Bytes whole = own_file();
  for (std::size_t at = 0; at < 1024; ++at) {
    Bytes damaged = whole.substr(0, 65536);
    damaged[at] ^= static_cast<char>(0xff);
    static_cast<void>(read_elf(damaged));  // under the address sanitizer a read outside stops the test
    static_cast<void>(without_unloaded_parts(damaged));
  }
}

TEST(WithoutUnloadedParts, is_done_once_and_for_all) {
  const Bytes once = own_file();
  const auto twice = without_unloaded_parts(once);
  ASSERT_TRUE(twice) << twice.error().message;
  EXPECT_EQ(*twice, once);
  Bytes section = "ofni_gubed.";  // backwards, since the file looked into is this test's own
  std::reverse(section.begin(), section.end());
  EXPECT_EQ(once.find(section), std::string::npos);
}

}  // namespace
}  // namespace nacelle::scorer::detail
