#include "codec/onnx/model.h"

#include <gtest/gtest.h>

namespace nacelle::onnx {
namespace {

using namespace std::string_literals;

Model sample() {
  Model model{.producer = "test", .producer_version = "1", .opsets = {{"", 13}, {"ai.onnx.ml", 3}}};
  model.metadata = {{"key", "value"}};
  model.graph.name = "g";
  Node node{.op = "TreeEnsembleRegressor", .domain = "ai.onnx.ml", .inputs = {"x", ""}, .outputs = {"y"}};
  Attribute number{.name = "f", .type = AttributeType::number};
  number.number = 1.5f;
  Attribute tensor{.name = "t", .type = AttributeType::tensor};
  tensor.tensor = Tensor::of("inside", {2}, std::vector<double>{1, -2});
  node.attributes = {Attribute::of("i", std::int64_t{-7}),
                     Attribute::of("s", "text"s),
                     Attribute::of("fs", std::vector<float>{1, 2.5f}),
                     Attribute::of("is", std::vector<std::int64_t>{1, -1, 300}),
                     Attribute::of("ss", std::vector<std::string>{"a", "", "c"}),
                     number,
                     tensor};
  model.graph.nodes = {node};
  model.graph.initializers = {Tensor::of("w", {2, 1}, std::vector<float>{1, 2}), Tensor::of("n", {}, std::vector<std::int64_t>{5})};
  model.graph.inputs = {{.name = "x", .type = Element::float32, .dims = {-1, 3}}};
  model.graph.outputs = {{.name = "y", .type = Element::float32, .dims = {-1, 1}}};
  return model;
}

TEST(Onnx, a_model_comes_back_from_its_bytes) {
  const Bytes bytes = encode(sample());
  const auto back = decode(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(encode(*back), bytes);
  EXPECT_EQ(back->opsets, sample().opsets);
  EXPECT_EQ(back->metadata, sample().metadata);
  ASSERT_EQ(back->graph.nodes.size(), 1u);
  const Node& node = back->graph.nodes[0];
  EXPECT_EQ(node.inputs, (std::vector<std::string>{"x", ""}));
  EXPECT_EQ(node.find("i")->integer, -7);
  EXPECT_EQ(node.find("is")->integers, (std::vector<std::int64_t>{1, -1, 300}));
  EXPECT_EQ(node.find("ss")->strings, (std::vector<std::string>{"a", "", "c"}));
  EXPECT_EQ(node.find("fs")->numbers, (std::vector<float>{1, 2.5f}));
  EXPECT_EQ(node.find("f")->number, 1.5f);
  EXPECT_EQ(node.find("t")->tensor->numbers().value(), (std::vector<double>{1, -2}));
  EXPECT_EQ(node.find("none"), nullptr);
  EXPECT_EQ(back->graph.inputs[0].dims, (std::vector<std::int64_t>{-1, 3}));
  EXPECT_EQ(back->graph.initializers[0].numbers().value(), (std::vector<double>{1, 2}));
}

/// A field of bytes.
std::string field(int number, const std::string& bytes) {
  return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) + bytes;
}

TEST(Onnx, numbers_in_every_form_that_writers_use) {
  // Dims unpacked and packed; floats in float_data, unpacked; integers in int64_data, packed.
  const std::string unpacked = "\x08\x02\x10\x01\x25\0\0\x80\x3f\x25\0\0\0\x40"s + field(8, "w");
  const std::string packed = field(1, "\x02") + "\x10\x07" + field(7, "\x05\xac\x02") + field(8, "i");
  const auto model = decode(field(7, field(5, unpacked) + field(5, packed)));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.initializers[0].numbers().value(), (std::vector<double>{1, 2}));
  EXPECT_EQ(model->graph.initializers[1].numbers().value(), (std::vector<double>{5, 300}));
}

TEST(Onnx, unknown_fields_are_skipped) {
  const auto model = decode(field(7, field(2, "g")) + "\x78\x05" + field(13, "?") + "\x81\x01" + "12345678");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.name, "g");
}

TEST(Onnx, a_cut_is_a_fault_or_another_whole_model_but_never_more) {
  const Bytes bytes = encode(sample());
  std::size_t refused = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode(BytesView(bytes).substr(0, size));
    if (!cut)
      ++refused;
    else
      EXPECT_LT(encode(*cut).size(), bytes.size());
  }
  EXPECT_GT(refused, bytes.size() * 9 / 10);
}

TEST(Onnx, what_is_no_model_is_refused) {
  EXPECT_FALSE(decode(""));
  EXPECT_FALSE(decode("PK\x03\x04"));
  EXPECT_FALSE(decode("\x3a\xff\xff\xff\xff\x0f"));                          // a graph of 4 GiB that is not there
  EXPECT_FALSE(decode("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));      // a length of 2^64 - 1
  EXPECT_FALSE(decode("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));  // a key longer than 64 bits
  EXPECT_FALSE(decode("\x3b"));                                              // groups are of an older protobuf
  EXPECT_FALSE(decode("\x02\x00"s));                                         // field 0
  EXPECT_FALSE(decode("\x38\x01"));                                          // a graph that is a number
  EXPECT_FALSE(decode(field(7, field(5, field(13, "x")))));                  // numbers in another file
}

TEST(Onnx, limits_hold) {
  std::string nodes;
  for (int i = 0; i < 50; ++i) nodes += field(1, "");
  EXPECT_TRUE(decode(field(7, nodes)));
  EXPECT_EQ(decode(field(7, nodes), {.max_messages = 50}).error().fault, Fault::exhausted);
  EXPECT_EQ(decode(field(7, field(1, field(1, "a") + field(1, "b"))), {.max_strings = 1}).error().fault, Fault::exhausted);
  EXPECT_EQ(decode(field(7, nodes), {.max_bytes = 10}).error().fault, Fault::exhausted);
}

TEST(OnnxTensor, dimensions_that_do_not_fit_are_refused) {
  Tensor tensor = Tensor::of("w", {2}, std::vector<float>{1, 2});
  EXPECT_TRUE(tensor.numbers());
  for (const std::vector<std::int64_t>& dims : std::vector<std::vector<std::int64_t>>{
           {3}, {-2}, {}, {0}, {std::int64_t{1} << 62, 8}, {std::int64_t{1} << 32, std::int64_t{1} << 32, 2}}) {
    tensor.dims = dims;
    EXPECT_FALSE(tensor.numbers());
  }
  tensor = {.name = "s", .type = Element::string, .dims = {}, .raw = {}};
  EXPECT_FALSE(tensor.numbers());
}

}  // namespace
}  // namespace nacelle::onnx
