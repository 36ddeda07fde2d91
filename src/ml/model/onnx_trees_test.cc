#include "ml/model/onnx_trees.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace nacelle::model {
namespace {

using onnx::Attribute;
using Plain = TreeEnsemble::PlainNode;
constexpr float silent = std::numeric_limits<float>::quiet_NaN();

struct Columns {
  std::vector<std::int64_t> trees = {0, 0, 0}, nodes = {0, 1, 2}, features = {1, 0, 0}, yes = {1, 0, 0}, no = {2, 0, 0};
  std::vector<std::int64_t> silent_yes = {1, 0, 0}, target_trees = {0, 0}, target_nodes = {1, 2}, targets = {0, 0};
  std::vector<std::string> modes = {"BRANCH_LEQ", "LEAF", "LEAF"};
  std::vector<float> values = {2, 0, 0}, weights = {10, 20};
  std::vector<Attribute> more;
  std::vector<onnx::Node> after;
  std::int64_t width = 2;

  onnx::Model model() const {
    onnx::Model made{.opsets = {{"ai.onnx.ml", 3}}};
    onnx::Node node{.op = "TreeEnsembleRegressor", .domain = "ai.onnx.ml", .inputs = {"x"}, .outputs = {"y"}};
    node.attributes = {Attribute::of("nodes_treeids", trees),         Attribute::of("nodes_nodeids", nodes),
                       Attribute::of("nodes_featureids", features),   Attribute::of("nodes_modes", modes),
                       Attribute::of("nodes_values", values),         Attribute::of("nodes_truenodeids", yes),
                       Attribute::of("nodes_falsenodeids", no),       Attribute::of("nodes_missing_value_tracks_true", silent_yes),
                       Attribute::of("target_treeids", target_trees), Attribute::of("target_nodeids", target_nodes),
                       Attribute::of("target_ids", targets),          Attribute::of("target_weights", weights)};
    node.attributes.insert(node.attributes.end(), more.begin(), more.end());
    made.graph.nodes = {node};
    made.graph.nodes.insert(made.graph.nodes.end(), after.begin(), after.end());
    made.graph.inputs = {{.name = "x", .type = onnx::Element::float32, .dims = {-1, width}}};
    made.graph.outputs = {{.name = "y", .type = onnx::Element::float32, .dims = {-1, 1}}};
    return made;
  }
};

float predict(const OnnxTrees& read, float x0, float x1) {
  const float row[] = {x0, x1};
  return read.trees.predict(row);
}

TEST(ReadOnnxTrees, every_comparison_keeps_its_meaning_at_the_threshold_and_for_silence) {
  const float below = std::nextafterf(2.0f, 0.0f), above = std::nextafterf(2.0f, 3.0f);
  for (const auto& [mode, at_threshold, under, over] : std::vector<std::tuple<std::string, float, float, float>>{
           {"BRANCH_LT", 20, 10, 20}, {"BRANCH_LEQ", 10, 10, 20}, {"BRANCH_GT", 20, 20, 10}, {"BRANCH_GTE", 10, 20, 10}}) {
    for (const std::int64_t silent_yes : {0, 1}) {
      Columns columns;
      columns.modes[0] = mode;
      columns.silent_yes[0] = silent_yes;
      const auto read = read_onnx_trees(columns.model());
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(predict(*read, 0, 2), at_threshold) << mode;
      EXPECT_EQ(predict(*read, 0, below), under) << mode;
      EXPECT_EQ(predict(*read, 0, above), over) << mode;
      EXPECT_EQ(predict(*read, 0, silent), silent_yes ? 10 : 20) << mode;
    }
  }
}

TEST(ReadOnnxTrees, nodes_in_any_order_several_weights_base_average_and_clip) {
  Columns columns;
  columns.trees = {7, 7, 7, 3};
  columns.nodes = {5, 9, 1, 0};
  columns.features = {0, 1, 0, 0};
  columns.modes = {"LEAF", "BRANCH_LT", "LEAF", "LEAF"};
  columns.values = {0, 2, 0, 0};
  columns.yes = {0, 5, 0, 0};
  columns.no = {0, 1, 0, 0};
  columns.silent_yes = {};
  columns.target_trees = {7, 7, 7, 3};
  columns.target_nodes = {1, 5, 5, 0};
  columns.targets = {0, 0, 0, 0};
  columns.weights = {20, 4, 6, 100};
  columns.more = {Attribute::of("base_values", std::vector<float>{0.5f})};
  onnx::Node clip{.op = "Clip", .inputs = {"y", "low", ""}, .outputs = {"z"}};
  columns.after = {clip};
  onnx::Model model = columns.model();
  model.graph.initializers = {onnx::Tensor::of("low", {}, std::vector<float>{3})};
  const auto read = read_onnx_trees(model);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(predict(*read, 0, 1), 110.5f);
  EXPECT_EQ(predict(*read, 0, 2), 120.5f);
  EXPECT_EQ(read->low, 3.0);
  EXPECT_EQ(read->high, std::numeric_limits<double>::infinity());
  columns.more.push_back(Attribute::of("aggregate_function", std::string("AVERAGE")));
  columns.after.clear();
  EXPECT_EQ(predict(*read_onnx_trees(columns.model()), 0, 1), 55.5f);
}

/// What is refused, and a word of why.
void expect_refused(const onnx::Model& model, const std::string& word) {
  const auto read = read_onnx_trees(model);
  ASSERT_FALSE(read) << word;
  EXPECT_EQ(read.error().fault, Fault::invalid_input);
  EXPECT_NE(read.error().message.find(word), std::string::npos) << read.error().message;
}

template <class Change>
void expect_refused_when(const std::string& word, const Change& change) {
  Columns columns;
  change(columns);
  expect_refused(columns.model(), word);
}

TEST(ReadOnnxTrees, hostile_and_foreign_models_are_refused_with_a_reason) {
  expect_refused_when("does not lead to all nodes", [](Columns& c) { c.yes[0] = 0; });  // the root is its own child
  expect_refused_when("one root", [](Columns& c) { c.yes[0] = c.no[0] = 1; });          // two ways to one node, one left over
  expect_refused_when("a child is not in it", [](Columns& c) { c.yes[0] = 99; });
  expect_refused_when("feature", [](Columns& c) { c.features[0] = -1; });
  expect_refused_when("feature", [](Columns& c) { c.features[0] = std::int64_t{1} << 40; });
  expect_refused_when("feature 5 of 2", [](Columns& c) { c.features[0] = 5; });
  expect_refused_when("too many", [](Columns& c) { c.width = std::int64_t{1} << 40; });
  expect_refused_when("expected 3 items, found 2", [](Columns& c) { c.values = {1, 2}; });
  expect_refused_when("told twice", [](Columns& c) { c.nodes = {0, 1, 1}; });
  expect_refused_when("BRANCH_EQ", [](Columns& c) { c.modes[0] = "BRANCH_EQ"; });
  expect_refused_when("not a number", [](Columns& c) { c.values[0] = silent; });
  expect_refused_when("infinite", [](Columns& c) { c.values[0] = std::numeric_limits<float>::infinity(); });
  expect_refused_when("no such node", [](Columns& c) { c.target_nodes[0] = 77; });
  expect_refused_when("no such node", [](Columns& c) { c.target_trees[0] = 77; });
  expect_refused_when("is no leaf", [](Columns& c) { c.target_nodes[0] = 0; });
  expect_refused_when("one output", [](Columns& c) { c.targets[0] = 1; });
  expect_refused_when("MAX", [](Columns& c) { c.more = {Attribute::of("aggregate_function", std::string("MAX"))}; });
  expect_refused_when("LOGISTIC", [](Columns& c) { c.more = {Attribute::of("post_transform", std::string("LOGISTIC"))}; });
  expect_refused_when("base_values", [](Columns& c) { c.more = {Attribute::of("base_values", std::vector<float>{1, 2})}; });
  expect_refused_when("double precision", [](Columns& c) { c.more = {Attribute::of("nodes_values_as_tensor", std::int64_t{1})}; });
  expect_refused_when("Softmax", [](Columns& c) { c.after = {{.op = "Softmax", .inputs = {"y"}, .outputs = {"z"}}}; });
  expect_refused_when("chain", [](Columns& c) { c.after = {{.op = "Clip", .inputs = {"other"}, .outputs = {"z"}}}; });
  expect_refused_when("constant bounds", [](Columns& c) {
    c.after = {{.op = "Clip", .inputs = {"y", "where"}, .outputs = {"z"}}};
  });
  // A ring of nodes beside the tree: 3 -> 4 -> 3, each the child of one.
  expect_refused_when("does not lead to all nodes", [](Columns& c) {
    c.trees = {0, 0, 0, 0, 0, 0, 0};
    c.nodes = {0, 1, 2, 3, 4, 5, 6};
    c.features = {1, 0, 0, 0, 0, 0, 0};
    c.modes = {"BRANCH_LT", "LEAF", "LEAF", "BRANCH_LT", "BRANCH_LT", "LEAF", "LEAF"};
    c.values = {2, 0, 0, 1, 1, 0, 0};
    c.yes = {1, 0, 0, 4, 3, 0, 0};
    c.no = {2, 0, 0, 5, 6, 0, 0};
    c.silent_yes = {};
  });
  onnx::Model empty;
  expect_refused(empty, "expected an input");
  empty.graph.inputs = {{.name = "x"}};
  expect_refused(empty, "TreeEnsembleRegressor");
}

TEST(WriteOnnxTrees, what_is_written_reads_back_to_the_same_bits) {
  const std::vector<Plain> tree = {{.left = 1, .right = 2, .feature = 1, .threshold = 1.5f, .silent_left = true, .cover = 10},
                                   {.value = 10.1f, .cover = 4},
                                   {.value = 20.7f, .cover = 6}};
  const std::vector<std::string> names = {"a", "b"};
  const Artifact artifact{.name = "m",
                          .cap = 100,
                          .intervals = {},
                          .pipeline = feature::Pipeline::identity(names).value(),
                          .regressor = TreeEnsemble::build(0.3f, 2, {tree, tree, {{.value = -1}}}).value()};
  const auto written = write_onnx_rows(artifact);
  ASSERT_TRUE(written) << written.error().message;
  const auto back = onnx::decode(onnx::encode(*written));
  ASSERT_TRUE(back) << back.error().message;
  const auto read = read_onnx_trees(*back);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->feature_names, names);
  EXPECT_EQ(read->low, 0.0);
  EXPECT_EQ(read->high, 100.0);
  EXPECT_TRUE(read->trees.has_covers());
  const auto& ours = std::get<TreeEnsemble>(artifact.regressor);
  for (const float x : {1.0f, 1.5f, 2.0f, silent}) {
    const float row[] = {0, x};
    EXPECT_EQ(read->trees.predict(row), ours.predict(row));
  }
}

const LinearModel line{.intercept = 1, .centre = {0, 0}, .scale = {1, 1}, .weight = {1, 1}};

Artifact artifact_of(Regressor regressor) {
  return {.name = "m",
          .cap = 100,
          .intervals = {},
          .pipeline = feature::Pipeline::identity({"a", "b"}).value(),
          .regressor = std::move(regressor)};
}

/// What the graphs answer is ONNX Runtime's to tell (tests/e2e/models.test.mjs); here, that they hang together.
TEST(WriteOnnxRows, every_value_is_made_once_before_it_is_used_and_the_answer_is_there) {
  const LogLifeTrees life{.trees = TreeEnsemble::build(0, 2, {{{.value = 4}}}).value(), .offset = 10};
  Network network{.row_features = 2, .columns = {1, 0}, .centre = {0, 0}, .scale = {1, 1}, .target_scale = 1};
  network.members = {{{.kind = Layer::Kind::dense, .inputs = 2, .outputs = 1, .weight = {1, 2}, .bias = {0}}}};
  const KernelModel bells{.centre = {0, 0}, .scale = {1, 1}, .coefficient = {1}, .vectors = {1, 1}};
  Blend blend{.row_features = 2, .cap = 100, .members = {}};
  blend.members.push_back({.weight = 0.5, .columns = {0, 1}, .model = line});
  blend.members.push_back({.weight = 0.25, .columns = {1, 0}, .model = life});
  for (const Regressor& regressor : std::vector<Regressor>{line, life, network, bells, blend}) {
    SCOPED_TRACE(kind_of(regressor));
    const auto written = write_onnx_rows(artifact_of(regressor));
    ASSERT_TRUE(written) << written.error().message;
    std::set<std::string> made = {"features"};
    for (const onnx::Tensor& tensor : written->graph.initializers) EXPECT_TRUE(made.insert(tensor.name).second) << tensor.name;
    std::set<std::string> names;
    for (const onnx::Node& node : written->graph.nodes) {
      EXPECT_TRUE(names.insert(node.name).second) << node.name;
      for (const std::string& input : node.inputs) EXPECT_TRUE(made.contains(input)) << node.name << " reads " << input;
      for (const std::string& output : node.outputs) EXPECT_TRUE(made.insert(output).second) << output;
    }
    EXPECT_TRUE(made.contains(written->graph.outputs.front().name));
    EXPECT_EQ(written->graph.outputs.front().type, onnx::Element::float64);
    EXPECT_TRUE(onnx::decode(onnx::encode(*written)));
  }
}

TEST(WriteOnnxRows, what_is_not_expressed_is_refused_by_name) {
  const TrajectoryLibrary library{
      .row_features = 2, .columns = {0, 1}, .scale = {1, 1}, .begin = {0, 1}, .life = {5}, .stretches = {0, 0}};
  Blend blend{.row_features = 2, .cap = 100, .members = {}};
  blend.members.push_back({.weight = 0.5, .columns = {0, 1}, .model = line});
  blend.members.push_back({.weight = 0.5, .columns = {0, 1}, .model = library});
  for (const Regressor& regressor : std::vector<Regressor>{library, blend}) {
    const auto refused = write_onnx_rows(artifact_of(regressor));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().fault, Fault::unavailable);
    EXPECT_NE(refused.error().message.find("trajectories"), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace nacelle::model
