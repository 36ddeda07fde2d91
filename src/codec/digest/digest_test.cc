#include "codec/digest/digest.h"

#include <gtest/gtest.h>

#include "codec/text/encoding.h"

namespace nacelle::digest {
namespace {

// FIPS 180-4 examples.
TEST(Sha256Digest, fips_vectors_hold) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(Bytes(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(sha256("abc").size(), 32u);
}

TEST(Sha256Digest, a_stream_in_parts_is_the_whole) {
  Sha256 stream;
  stream.update("a");
  stream.update("");
  Sha256 moved = std::move(stream);
  moved.update("bc");
  EXPECT_EQ(moved.hex(), sha256_hex("abc"));
}

// RFC 4231 test cases 1, 2 and 6.
TEST(HmacSha256, rfc_4231_vectors_hold) {
  EXPECT_EQ(text::hex_encode(hmac_sha256(Bytes(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(text::hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(text::hex_encode(hmac_sha256(Bytes(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacSha256, an_empty_key_and_message_are_allowed) {
  EXPECT_EQ(text::hex_encode(hmac_sha256({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(EqualConstantTime, compares_length_and_bytes) {
  EXPECT_TRUE(equal_constant_time("", BytesView{}));
  EXPECT_TRUE(equal_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace nacelle::digest
