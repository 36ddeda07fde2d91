// The kinds of models that are no trees and no line: known answers, their bytes, and what is refused.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "ml/model/detail/smooth.h"
#include "ml/model/regressor.h"

namespace nacelle::model {
namespace {

Layer layer(Layer::Kind kind, std::uint32_t inputs, std::uint32_t outputs, std::vector<float> weight, std::vector<float> bias,
            Layer::Activation activation = Layer::Activation::none, std::uint32_t taps = 1) {
  return {
      .kind = kind, .activation = activation, .inputs = inputs, .outputs = outputs, .taps = taps, .weight = weight, .bias = bias};
}

/// Three inputs; two of them a sequence of two steps, oldest in column 2.
Network sequence_network(std::vector<Layer> layers) {
  return {.row_features = 4,
          .steps = 2,
          .channels = 1,
          .columns = {2, 0, 3},
          .centre = {0, 0, 1},
          .scale = {1, 1, 2},
          .target_centre = 10,
          .target_scale = 2,
          .members = {std::move(layers)}};
}

Network small_lstm() {
  // Gates input, forget, cell, output of one unit; rows of weights: of the input, of the last output.
  return sequence_network({layer(Layer::Kind::lstm, 1, 1, {0.5f, -0.25f, 1, 0.75f, 0.1f, 0.2f, 0.3f, 0.4f}, {0, 1, 0.1f, 0}),
                           layer(Layer::Kind::dense, 2, 1, {1, 3}, {0.5f})});
}

Network small_convolution() {
  return sequence_network({layer(Layer::Kind::convolution, 1, 2, {1, -1, 2, -2}, {0, 0}, Layer::Activation::relu, 2),
                           layer(Layer::Kind::dense, 3, 1, {1, 10, 100}, {0.5f})});
}

KernelModel small_kernel() {
  return {.centre = {0, 1},
          .scale = {1, 2},
          .gamma = 0.5,
          .intercept = 0.25,
          .target_centre = 60,
          .target_scale = 40,
          .coefficient = {1, -0.5},
          .vectors = {0, 0, 1, 1}};
}

TrajectoryLibrary small_library() {
  return {.row_features = 3,
          .columns = {0, 2},
          .scale = {1, 1},
          .neighbours = 2,
          .width = 0.5,
          .begin = {0, 2, 3, 4},
          .life = {100, 50, 40, 7},
          .stretches = {0, 0, 1, 1, 1, 2, 9, 9}};
}

LogLifeTrees small_log_life() {
  return {
      .trees =
          TreeEnsemble::build(1, 2, {{{.left = 1, .right = 2, .feature = 1, .threshold = 3}, {.value = 1}, {.value = 2}}}).value(),
      .offset = 10};
}

Blend small_blend() {
  return {.row_features = 4,
          .cap = 100,
          .members = {{.weight = 0.25, .columns = {0, 1}, .model = small_log_life()},
                      {.weight = 0.5, .columns = {0, 1, 2, 3}, .model = small_convolution()}}};
}

std::vector<Regressor> one_of_each() {
  return {small_lstm(), small_convolution(), small_kernel(), small_library(), small_log_life(), small_blend()};
}

constexpr float row[] = {3, 5, 2, 1.5f};

TEST(Smooth, exp_and_tanh_are_those_of_the_library_to_their_promise) {
  for (double x = -700; x < 700; x += 0.37) EXPECT_NEAR(exp_same(x) / std::exp(x), 1, 1e-15) << x;
  EXPECT_EQ(exp_same(0), 1);
  EXPECT_EQ(exp_same(-1e300), 0);
  EXPECT_TRUE(std::isfinite(exp_same(1e300)));
  EXPECT_TRUE(std::isnan(exp_same(NAN)));
  for (float x = -20; x < 20; x += 0.013f) EXPECT_NEAR(tanh_same(x), std::tanh(x), 3e-7f) << x;
  EXPECT_TRUE(std::isnan(tanh_same(NAN)));
  EXPECT_NEAR(tanh_same(INFINITY), 1, 1e-6);
}

TEST(Network, a_convolution_is_what_is_worked_out_by_hand) {
  // Steps 2, 3 (oldest first) and beside them (1.5 - 1) * 2 = 1: filters 2 + 2 * 3 = 8 and -8, the second cut by ReLU.
  EXPECT_EQ(small_convolution().predict(row), 10 + 2 * (0.5 + 8 + 0 + 100));
}

TEST(Network, an_lstm_is_what_is_worked_out_by_hand) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  double hidden = 0, cell = 0;
  for (const double x : {2.0, 3.0}) {
    const double in = sigmoid(0.5 * x + 0.1 * hidden), forget = sigmoid(-0.25 * x + 0.2 * hidden + 1);
    const double out = sigmoid(0.75 * x + 0.4 * hidden);
    cell = forget * cell + in * std::tanh(x + 0.3 * hidden + 0.1);
    hidden = out * std::tanh(cell);
  }
  EXPECT_NEAR(small_lstm().predict(row), 10 + 2 * (0.5 + hidden + 3), 1e-5);
}

TEST(Network, members_are_averaged) {
  Network two = small_convolution();
  two.members.push_back({layer(Layer::Kind::dense, 3, 1, {0, 0, 0}, {1})});
  ASSERT_TRUE(two.check());
  EXPECT_EQ(two.predict(row), 10 + 2 * (108.5 + 1) / 2);
}

TEST(Network, what_does_not_fit_is_refused) {
  const auto broken = [](const std::function<void(Network&)>& change) {
    Network network = small_lstm();
    change(network);
    Bytes bytes;
    network.encode(bytes);
    const auto decoded = Network::decode(bytes);
    return !decoded && decoded.error().fault == Fault::corrupt && !network.check();
  };
  EXPECT_TRUE(broken([](Network& n) { n.columns[0] = 4; }));
  EXPECT_TRUE(broken([](Network& n) { n.steps = 4; }));
  EXPECT_TRUE(broken([](Network& n) { n.members.clear(); }));
  EXPECT_TRUE(broken([](Network& n) { n.members[0].pop_back(); }));  // two outputs are left
  EXPECT_TRUE(broken([](Network& n) { n.members[0][1].inputs = 3; }));
  EXPECT_TRUE(broken([](Network& n) { n.members[0][0].kind = static_cast<Layer::Kind>(3); }));
  EXPECT_TRUE(broken([](Network& n) { n.members[0][0].activation = static_cast<Layer::Activation>(7); }));
  EXPECT_TRUE(broken([](Network& n) { n.members[0][0].weight.pop_back(); }));
  EXPECT_TRUE(broken([](Network& n) {  // taps longer than the sequence
    n.members[0] = {layer(Layer::Kind::convolution, 1, 1, {1, 1, 1}, {0}, Layer::Activation::none, 3),
                    layer(Layer::Kind::dense, 2, 1, {1, 1}, {0})};
  }));
  EXPECT_TRUE(broken([](Network& n) {  // wider than a prediction's scratch
    n.members[0] = {layer(Layer::Kind::dense, 3, 9000, std::vector<float>(27000), std::vector<float>(9000)),
                    layer(Layer::Kind::dense, 9000, 1, std::vector<float>(9000), {0})};
  }));
}

TEST(KernelModel, is_a_sum_of_bells) {
  const double z[] = {3, 8};
  const double near = std::exp(-0.5 * (z[0] * z[0] + z[1] * z[1])), far = std::exp(-0.5 * (4.0 + 49));
  EXPECT_NEAR(small_kernel().predict(row), 60 + 40 * (near - 0.5 * far + 0.25), 1e-12);
  const float at_vector[] = {0, 1};
  EXPECT_NEAR(small_kernel().predict(at_vector), 60 + 40 * (1 - 0.5 * std::exp(-1.0) + 0.25), 1e-12);
}

TEST(TrajectoryLibrary, the_most_alike_engines_are_asked_and_each_tells_its_most_alike_stretch) {
  const float like[] = {1, -77, 1};  // the middle one is not looked at
  const double say = std::exp(-(1.0 / 2) / 0.5);
  EXPECT_NEAR(small_library().predict(like), (50 + say * 40) / (1 + say), 1e-9);  // the third engine is too far to be asked
  TrajectoryLibrary one = small_library();
  one.neighbours = 1;
  EXPECT_EQ(one.predict(like), 50);
  const float silent[] = {NAN, 0, NAN};
  EXPECT_FALSE(std::isnan(small_library().predict(silent)));
}

TEST(LogLifeTrees, are_a_logarithm) { EXPECT_NEAR(small_log_life().predict(row), std::exp(3.0) - 10, 1e-12); }

TEST(Blend, cuts_and_weighs_its_members) {
  EXPECT_NEAR(small_blend().predict(row), 0.25 * (std::exp(3.0) - 10) + 0.5 * 100, 1e-12);  // 227 is cut at the cap
}

TEST(Kinds, come_back_from_their_bytes_and_every_cut_and_excess_is_corrupt) {
  for (const Regressor& regressor : one_of_each()) {
    SCOPED_TRACE(kind_of(regressor));
    const Bytes bytes = encode(regressor);
    const auto back = decode(kind_of(regressor), bytes);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(encode(*back), bytes);
    EXPECT_EQ(predict(*back, row), predict(regressor, row));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto cut = decode(kind_of(regressor), BytesView(bytes).substr(0, size));
      ASSERT_FALSE(cut) << size;
      EXPECT_EQ(cut.error().fault, Fault::corrupt);
    }
    EXPECT_FALSE(decode(kind_of(regressor), bytes + "x"));
  }
}

/// Flipped bytes may give another model, but never one that reads outside its tables (run under AddressSanitizer).
TEST(Kinds, flipped_bytes_never_lead_outside_the_tables) {
  for (const Regressor& regressor : one_of_each()) {
    const Bytes bytes = encode(regressor);
    for (std::size_t at = 0; at < bytes.size(); ++at)
      for (const char flip : {'\x01', '\x10', '\x80', '\xff'}) {
        Bytes flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ flip);
        const auto decoded = decode(kind_of(regressor), flipped);
        if (!decoded || feature_count(*decoded) > 64) continue;
        const std::vector<float> values(64, 1.5f);
        (void)predict(*decoded, values);
      }
  }
}

TEST(Kinds, a_blend_in_a_blend_and_columns_that_are_not_there_are_refused) {
  Blend blend = small_blend();
  blend.members[0].columns[0] = 4;
  Bytes bytes;
  blend.encode(bytes);
  EXPECT_FALSE(decode("blend", bytes));
  blend = small_blend();
  blend.members[0].columns.push_back(0);
  bytes.clear();
  blend.encode(bytes);
  EXPECT_FALSE(decode("blend", bytes));
  bytes = encode(small_blend());
  const std::size_t kind_at = bytes.find("log-life");
  ASSERT_NE(kind_at, Bytes::npos);
  bytes.replace(kind_at, 8, Bytes("blend\0\0\0", 8));
  const auto nested = decode("blend", bytes);
  ASSERT_FALSE(nested);
  EXPECT_NE(nested.error().message.find("'blend' is unknown"), std::string::npos);
}

}  // namespace
}  // namespace nacelle::model
