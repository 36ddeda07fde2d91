#include "codec/json/ubj.h"

#include <gtest/gtest.h>

namespace nacelle::json {
namespace {

using namespace std::string_literals;

/// {"a":[1,2.5,-3],"s":"hi","n":null,"t":true} in the forms that writers use: plain, counted and typed.
std::string sample() {
  return "{"s + "U\x01" + "a[" + "i\x01" + "D\x40\x04\0\0\0\0\0\0"s + "I\xff\xfd" + "]" + "U\x01" + "sSi\x02hi" + "U\x01" + "nZ" +
         "U\x01" + "tT" + "}";
}

TEST(ParseUbj, plain_values_are_those_of_the_json) {
  const auto value = parse_ubj(sample());
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(print(*value), R"({"a":[1,2.5,-3],"s":"hi","n":null,"t":true})");
}

TEST(ParseUbj, typed_and_counted_containers) {
  // As XGBoost writes arrays of floats, of 32-bit and of 64-bit numbers.
  EXPECT_EQ(print(*parse_ubj("[$d#L\0\0\0\0\0\0\0\x02\x3f\x80\0\0\xbf\0\0\0"s)), "[1,-0.5]");
  EXPECT_EQ(print(*parse_ubj("[$l#L\0\0\0\0\0\0\0\x01\xff\xff\xff\xff"s)), "[-1]");
  EXPECT_EQ(print(*parse_ubj("[$L#i\x01\0\0\0\0\0\0\x01\0"s)), "[256]");
  EXPECT_EQ(print(*parse_ubj("[$U#i\x03\x01\x02\xff"s)), "[1,2,255]");
  EXPECT_EQ(print(*parse_ubj("[#i\x02TF"s)), "[true,false]");
  EXPECT_EQ(print(*parse_ubj("{#i\x01i\x01kCx"s)), R"({"k":"x"})");
  EXPECT_EQ(print(*parse_ubj("{$U#i\x01i\x01k\x07"s)), R"({"k":7})");
  EXPECT_EQ(print(*parse_ubj("[NN]"s)), "[]");
  EXPECT_EQ(print(*parse_ubj("NTN"s)), "true");
}

TEST(ParseUbj, a_single_precision_number_keeps_its_bits) {
  const auto value = parse_ubj("d\x3d\xcc\xcc\xcd"s);  // 0.1f
  ASSERT_TRUE(value);
  EXPECT_EQ(static_cast<float>(value->as_number()), 0.1f);
}

TEST(ParseUbj, every_cut_and_any_excess_is_refused) {
  const std::string whole = sample();
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(parse_ubj(std::string_view(whole).substr(0, size))) << size;
  EXPECT_FALSE(parse_ubj(whole + "T"));
}

TEST(ParseUbj, promises_that_the_bytes_do_not_keep_are_refused) {
  EXPECT_FALSE(parse_ubj("[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff"s));  // more than there can be
  EXPECT_FALSE(parse_ubj("[#L\xff\xff\xff\xff\xff\xff\xff\xff"s));    // below 0
  EXPECT_FALSE(parse_ubj("[$Z#i\x7f"s));                              // items without bytes
  EXPECT_FALSE(parse_ubj("[$T#i\x02"s));
  EXPECT_FALSE(parse_ubj("[$U"s));
  EXPECT_FALSE(parse_ubj("SL\0\0\0\x01\0\0\0\0"s));
  EXPECT_FALSE(parse_ubj("Q"));
  EXPECT_FALSE(
      parse_ubj("Hi\x01"
                "1"));
  const auto deep = parse_ubj(std::string(100, '['));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().fault, Fault::exhausted);
  EXPECT_EQ(parse_ubj(sample(), {.max_bytes = 4}).error().fault, Fault::exhausted);
}

}  // namespace
}  // namespace nacelle::json
