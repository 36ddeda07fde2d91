// Artifacts as files: what comes back, and what a damaged, newer or hostile one is answered. Hostile ones have right hashes: a hash
// is no signature.
#include "ml/model/artifact.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "codec/digest/digest.h"
#include "foundation/binary.h"
#include "ml/model/estimator.h"
#include "ml/model/import.h"
#include "ml/model/onnx_trees.h"

namespace nacelle::model {

using binary::put;

namespace {

Artifact sample() {
  Network network{.row_features = 2, .columns = {1, 0}, .centre = {0, 0}, .scale = {1, 1}, .target_centre = 50, .target_scale = 1};
  network.members = {{{.kind = Layer::Kind::dense, .inputs = 2, .outputs = 1, .weight = {1, 2}, .bias = {0.5f}}}};
  return {.name = "m",
          .cap = 100,
          .intervals = {.coverage = 0.9, .edges = {50}, .low = {-5, -9}, .high = {4, 12}},
          .pipeline = feature::Pipeline::identity({"a", "b"}).value(),
          .regressor = network,
          .background = {.features = 2, .values = {0.1f, -2, 1e-20f, 123456.7f}}};
}

/// A file of these parts, every hash right. `change` may spoil the table of parts.
Bytes seal(std::string_view manifest, std::string_view pipeline, std::string_view model, std::uint32_t version = 1,
           const std::function<void(std::size_t part, std::uint64_t& offset, std::uint64_t& size)>& change = {}) {
  Bytes out("NACMODEL");
  put(out, version);
  put(out, std::uint32_t{3});
  const std::pair<std::string_view, std::string_view> parts[] = {{"manifest", manifest}, {"pipeline", pipeline}, {"model", model}};
  std::uint64_t next = 208;
  for (std::size_t p = 0; p < 3; ++p) {
    Bytes name(parts[p].first);
    name.resize(16, '\0');
    std::uint64_t offset = next, size = parts[p].second.size();
    next += size;
    if (change) change(p, offset, size);
    out += name;
    put(out, offset);
    put(out, size);
    out += digest::sha256(parts[p].second);
  }
  for (const auto& [name, bytes] : parts) out += bytes;
  out += digest::sha256(out);
  return out;
}

const std::string manifest_text =
    R"({"name":"m","kind":"linear","cap":100,"intervals":{"coverage":0.9,"edges":[],"low":[],"high":[]},"provenance":{}})";
std::string pipeline_text() { return json::print(sample().pipeline.to_json()); }
Bytes line_bytes() { return encode(LinearModel{.intercept = 1, .centre = {0, 0}, .scale = {1, 1}, .weight = {1, 1}}); }

std::string with(std::string_view what, std::string_view instead) {
  std::string text = manifest_text;
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), instead);
}

void expect_corrupt(BytesView bytes, std::string_view word) {
  const auto decoded = decode_artifact(bytes);
  ASSERT_FALSE(decoded) << word;
  EXPECT_EQ(decoded.error().fault, Fault::corrupt);
  EXPECT_NE(decoded.error().message.find(word), std::string::npos) << decoded.error().message << " does not say " << word;
}

TEST(Artifact, comes_back_with_its_background_and_the_same_bytes) {
  const Bytes bytes = encode_artifact(sample());
  const auto back = decode_artifact(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(encode_artifact(*back), bytes);
  ASSERT_EQ(back->background.rows(), 2u);
  EXPECT_NEAR(back->background.row(0)[0], 0.1f, 1e-6f);
  EXPECT_NEAR(back->background.row(1)[1], 123456.7f, 1);  // six digits are kept
  const auto estimator = Estimator::parse(bytes).value();
  const float row[] = {3, 4};
  const auto why = estimator->explain(row);
  ASSERT_TRUE(why) << why.error().message;
  EXPECT_NEAR(why->base + why->features[0] + why->features[1], 50 + 4 + 6 + 0.5, 0.1);
  EXPECT_TRUE(decode_artifact(seal(manifest_text, pipeline_text(), line_bytes()))) << "the tests below spoil what is well";
}

TEST(Artifact, every_cut_and_every_flipped_bit_and_any_excess_is_corrupt) {
  const Bytes bytes = encode_artifact(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode_artifact(BytesView(bytes).substr(0, size));
    ASSERT_FALSE(cut) << size;
    ASSERT_EQ(cut.error().fault, Fault::corrupt) << size;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    ASSERT_FALSE(decode_artifact(flipped)) << at;
  }
  EXPECT_FALSE(decode_artifact(bytes + "x"));
}

TEST(Artifact, a_newer_one_says_so) {
  expect_corrupt(seal(manifest_text, pipeline_text(), line_bytes(), 2), "a newer program made it");
}

TEST(Artifact, parts_outside_the_file_are_not_read) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t part = 0; part < 3; ++part)
    for (const auto& [offset, size] :
         std::vector<std::pair<std::uint64_t, std::uint64_t>>{{most, 1}, {208, most}, {most - 10, 20}, {1u << 20, 0}}) {
      const Bytes bytes = seal(manifest_text, pipeline_text(), line_bytes(), 1, [&](std::size_t p, auto& at, auto& length) {
        if (p == part) at = offset, length = size;
      });
      expect_corrupt(bytes, "outside the file");
    }
}

TEST(Artifact, a_hostile_manifest_is_refused_with_the_member) {
  const auto expect = [](const std::string& manifest, std::string_view word) {
    SCOPED_TRACE(manifest);
    expect_corrupt(seal(manifest, pipeline_text(), line_bytes()), word);
  };
  expect("", "manifest");
  expect("[]", "manifest");
  expect(std::string(100'000, '['), "manifest");
  expect(with(R"("linear")", R"("oracle")"), "'oracle' is unknown");
  expect(with(R"("linear")", R"("trees")"), "model");
  expect(with(R"("linear")", "7"), "kind");
  expect(with(R"("cap":100)", R"("cap":0)"), "cap");
  expect(with(R"("cap":100)", R"("cap":-1e308)"), "cap");
  expect(with(R"("cap":100)", R"("cap":"x")"), "cap");
  expect(with(R"("low":[])", R"("low":[1])"), "one pair a bin");
  expect(with(R"("edges":[],"low":[],"high":[])", R"("edges":[9,1],"low":[1,1,1],"high":[1,1,1])"), "ascending");
  expect(with(R"("edges":[])", R"("edges":"x")"), "edges");
  for (const char* rows : {"[]", "7", "[[1]]", "[[1,2,3]]", "[[1,\"x\"]]", "[[1,null]]", "[[1,1e300]]", "[[1,2],[]]"})
    expect(with(R"("provenance")", fmt::format(R"("background":{},"provenance")", rows)), "background");
  std::string many = "[[1,2]";
  for (std::size_t row = 0; row < Background::max_rows; ++row) many += ",[1,2]";
  expect(with(R"("provenance")", fmt::format(R"("background":{}],"provenance")", many)), "background");
}

TEST(Artifact, a_model_that_does_not_fit_its_pipeline_is_refused) {
  expect_corrupt(seal(manifest_text, "{}", line_bytes()), "pipeline");
  const Bytes wide = encode(LinearModel{.intercept = 1, .centre = {0, 0, 0}, .scale = {1, 1, 1}, .weight = {1, 1, 1}});
  expect_corrupt(seal(manifest_text, pipeline_text(), wide), "takes 3 features, the pipeline makes 2");
  Bytes promises = line_bytes();
  promises.replace(0, 4, "\xff\xff\xff\xff");  // 2^32 - 1 features
  expect_corrupt(seal(manifest_text, pipeline_text(), promises), "length");
}

/// One tree of three nodes, its bytes spoiled after the header of 13 bytes and the tables of roots and depths.
TEST(Artifact, trees_with_cycles_and_indices_out_of_range_are_refused) {
  const std::vector<TreeEnsemble::PlainNode> tree = {
      {.left = 1, .right = 2, .feature = 1, .threshold = 1.5f}, {.value = 1}, {.value = 2}};
  const Bytes whole = encode(TreeEnsemble::build(0, 2, {tree, tree}).value());
  const std::string manifest = with(R"("linear")", R"("trees")");
  ASSERT_TRUE(decode_artifact(seal(manifest, pipeline_text(), whole)));
  constexpr std::size_t counts = 0, roots = 16, nodes = roots + 2 * 4 + 2 * 1;
  const auto spoiled = [&](std::size_t at, std::string_view bytes) {
    Bytes changed = whole;
    changed.replace(at, bytes.size(), bytes);
    return seal(manifest, pipeline_text(), changed);
  };
  using namespace std::string_view_literals;
  for (const auto& [what, bytes] :
       std::vector<std::pair<const char*, Bytes>>{{"a root that is its own child", spoiled(nodes + 6, "\0\0"sv)},
                                                  {"a child beyond the tree", spoiled(nodes + 6, "\x09\0"sv)},
                                                  {"a child far beyond all", spoiled(nodes + 6, "\xff\xff"sv)},
                                                  {"a feature that is not there", spoiled(nodes + 4, "\x02\0"sv)},
                                                  {"a leaf that leads on", spoiled(nodes + 8 + 6, "\x01\0"sv)},
                                                  {"a root beyond the nodes", spoiled(roots + 4, "\xff\0\0\0"sv)},
                                                  {"roots that do not ascend", spoiled(roots + 4, "\0\0\0\0"sv)},
                                                  {"four thousand million features", spoiled(counts, "\xff\xff\xff\xff"sv)},
                                                  {"four thousand million trees", spoiled(counts + 4, "\xff\xff\xff\xff"sv)},
                                                  {"four thousand million nodes", spoiled(counts + 8, "\xff\xff\xff\xff"sv)},
                                                  {"a depth that is too small", spoiled(roots + 8, "\0"sv)}}) {
    const auto decoded = decode_artifact(bytes);
    ASSERT_FALSE(decoded) << what;
    EXPECT_EQ(decoded.error().fault, Fault::corrupt) << what;
  }
}

TEST(ImportModel, every_cut_of_a_file_is_refused_or_another_whole_model) {
  Artifact trees = sample();
  trees.regressor =
      TreeEnsemble::build(0.5f, 2, {{{.left = 1, .right = 2, .feature = 1, .threshold = 1.5f}, {.value = 10}, {.value = 20}}})
          .value();
  const Bytes onnx_file = onnx::encode(write_onnx_rows(trees).value());
  ASSERT_TRUE(import_model(onnx_file, {}));
  std::size_t refused = 0;
  for (std::size_t size = 0; size < onnx_file.size(); ++size) {
    const auto cut = import_model(BytesView(onnx_file).substr(0, size), {});
    if (cut) continue;  // protobuf has no end mark: a cut between fields is a file
    ++refused;
    EXPECT_FALSE(cut.error().message.empty());
  }
  EXPECT_GT(refused, onnx_file.size() * 9 / 10);
}

}  // namespace
}  // namespace nacelle::model
