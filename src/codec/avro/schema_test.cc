#include "codec/avro/schema.h"

#include <gtest/gtest.h>

#include "codec/text/encoding.h"

namespace nacelle::avro {
namespace {

using namespace std::string_literals;

Schema schema_of(std::string_view text) {
  auto schema = Schema::parse(text);
  EXPECT_TRUE(schema) << (schema ? "" : schema.error().message);
  return *schema;
}

TEST(AvroSchema, a_record_of_every_type_decodes) {
  const Schema schema = schema_of(R"({"type":"record","name":"All","namespace":"a.b","doc":"x","fields":[
    {"name":"n","type":"null"},{"name":"t","type":"boolean","default":false},{"name":"i","type":"int"},
    {"name":"l","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"f","type":"float"},{"name":"d","type":"double"},
    {"name":"b","type":"bytes"},{"name":"s","type":"string"},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
    {"name":"x","type":{"type":"fixed","name":"F","size":2}},
    {"name":"a","type":{"type":"array","items":"E"}},
    {"name":"m","type":{"type":"map","values":{"type":"array","items":"long"}}},
    {"name":"u","type":["null","string","a.b.F"]}]})");
  EXPECT_EQ(schema.root().name, "a.b.All");
  EXPECT_EQ(schema.root().fields[8].type->name, "a.b.E");
  EXPECT_EQ(schema.root().fields[10].type->items, schema.root().fields[8].type);
  Bytes bytes;
  Encoder out(bytes);
  out.put_boolean(true)
      .put_long(-5)
      .put_long(1LL << 40)
      .put_float(0.5f)
      .put_double(0.1)
      .put_bytes("\xff")
      .put_string("text")
      .put_long(1);
  bytes += "fx";
  out.put_count(2).put_long(0).put_long(1).put_count(0);
  out.put_count(1).put_string("k").put_count(1).put_long(9).put_count(0).put_count(0);
  out.put_union(2);
  bytes += "uu";
  Decoder decoder(bytes);
  const auto value = decode(schema.root(), decoder);
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_TRUE(decoder.at_end());
  EXPECT_EQ(value->find("b")->as_string(), "\xff");
  json::Value shown = *value;
  shown.as_object().erase("b");
  EXPECT_EQ(
      json::print(shown),
      R"({"n":null,"t":true,"i":-5,"l":1099511627776,"f":0.5,"d":0.1,"s":"text","e":"Y","x":"fx","a":["X","Y"],"m":{"k":[9]},"u":"uu"})");
  Decoder again(bytes);
  ASSERT_TRUE(skip(schema.root(), again));
  EXPECT_TRUE(again.at_end());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    Decoder cut(BytesView(bytes).substr(0, length));
    EXPECT_EQ(decode(schema.root(), cut).error().fault, Fault::corrupt) << length;
  }
}

TEST(AvroSchema, a_type_may_contain_itself) {
  const Schema list =
      schema_of(R"({"type":"record","name":"Node","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","Node"]}]})");
  Bytes bytes;
  Encoder(bytes).put_long(1).put_union(1).put_long(2).put_union(0);
  Decoder decoder(bytes);
  EXPECT_EQ(json::print(*decode(list.root(), decoder)), R"({"v":1,"next":{"v":2,"next":null}})");

  Bytes deep;
  for (int i = 0; i < 1000; ++i) Encoder(deep).put_long(i).put_union(1);
  Decoder far(deep);
  EXPECT_EQ(decode(list.root(), far).error().fault, Fault::exhausted);
}

TEST(AvroSchema, values_that_take_no_bytes_do_not_keep_us_busy) {
  Bytes bytes;
  Encoder(bytes).put_count(1'000'000'000'000).put_count(0);
  Decoder nulls(bytes);
  EXPECT_EQ(decode(schema_of(R"({"type":"array","items":"null"})").root(), nulls).error().fault, Fault::exhausted);

  // Thirty records of two records each: 2^30 values in no bytes at all.
  std::string text = R"({"type":"record","name":"R0","fields":[]})";
  for (int i = 1; i <= 30; ++i) {
    const std::string inner = "R" + std::to_string(i - 1);
    text = R"({"type":"record","name":"R)" + std::to_string(i) + R"(","fields":[{"name":"a","type":)" + text +
           R"(},{"name":"b","type":")" + inner + R"("}]})";
  }
  const auto wide = Schema::parse(text);
  if (wide) {
    Decoder nothing("");
    EXPECT_EQ(skip(wide->root(), nothing, {.max_depth = 100}).error().fault, Fault::exhausted);
  } else {
    EXPECT_EQ(wide.error().fault, Fault::exhausted);  // too deep as JSON already
  }

  const Schema self = schema_of(R"({"type":"record","name":"R","fields":[{"name":"r","type":"R"}]})");
  Decoder nothing("");
  EXPECT_EQ(skip(self.root(), nothing).error().fault, Fault::exhausted);
}

TEST(AvroSchema, wrong_values_are_corrupt) {
  const std::pair<std::string, Bytes> cases[] = {{R"("int")", *text::hex_decode("8080808010")},
                                                 {R"(["null","int"])", "\4"},
                                                 {R"(["null","int"])", "\1"},
                                                 {R"({"type":"enum","name":"E","symbols":["A"]})", "\2"},
                                                 {R"({"type":"map","values":"int"})", "\2\2\xff\0\0"s},
                                                 {R"("boolean")", "\7"}};
  for (const auto& [schema, bytes] : cases) {
    Decoder decoder(bytes);
    const auto value = decode(schema_of(schema).root(), decoder);
    ASSERT_FALSE(value) << schema;
    EXPECT_EQ(value.error().fault, Fault::corrupt);
  }
}

TEST(AvroSchema, bad_schemas_are_refused_with_their_place) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "JSON, line 1"},
      {"5", "Avro schema, root: expected a type, found number"},
      {R"("text")", "Avro schema, root: unknown type 'text'"},
      {R"({})", "expected a member 'type', found none"},
      {R"([])", "a union without types"},
      {R"(["int",["int"]])", "root[1]: a union directly in a union"},
      {R"(["int","int"])", "root[1]: the same type twice in a union"},
      {R"({"type":"array"})", "expected a member 'items'"},
      {R"({"type":"map"})", "expected a member 'values'"},
      {R"({"type":"enum","name":"E","symbols":[]})", "'symbols'"},
      {R"({"type":"enum","name":"E","symbols":["1"]})", "a symbol is not a name"},
      {R"({"type":"fixed","name":"F","size":-1})", "a fixed of -1 bytes"},
      {R"({"type":"fixed","name":"F"})", "named 'size'"},
      {R"({"type":"record","fields":[]})", "named 'name'"},
      {R"({"type":"record","name":"int","fields":[]})", "not a name"},
      {R"({"type":"record","name":"R"})", "Avro schema, R: expected an array 'fields'"},
      {R"({"type":"record","name":"n.R","fields":[{"name":"x","type":"Y"}]})", "Avro schema, R.x: unknown type 'Y'"},
      {R"({"type":"record","name":"R","fields":[{"name":"x","type":"int"},{"name":"x","type":"int"}]})",
       "R.x: the field stands twice"},
      {R"({"type":"record","name":"R","fields":[{"name":"x","type":{"type":"record","name":"R","fields":[]}}]})", "defined twice"}};
  for (const auto& [text, message] : cases) {
    const auto schema = Schema::parse(text);
    ASSERT_FALSE(schema) << text;
    EXPECT_EQ(schema.error().fault, Fault::invalid_input);
    EXPECT_NE(schema.error().message.find(message), std::string::npos) << schema.error().message;
  }
  EXPECT_FALSE(Schema::parse(std::string(100'000, '[')));
}

TEST(AvroSchema, copies_share_their_nodes_and_outlive_the_original) {
  Schema kept = schema_of(R"("int")");
  {
    const Schema first = schema_of(R"({"type":"map","values":"string"})");
    kept = first;
  }
  EXPECT_EQ(type_name(kept.root().type), "map");
  EXPECT_EQ(type_name(kept.root().items->type), "string");
}

}  // namespace
}  // namespace nacelle::avro
