#include "service/hub/methods.h"

#include <gtest/gtest.h>

#include <future>

#include "net/socket/runtime.h"

namespace nacelle::hub {
namespace {

using device::IdentityName;
using namespace std::chrono_literals;

const IdentityName pump{device::DeviceId("pump"), {}};
const IdentityName other{device::DeviceId("other"), {}};

/// Methods over a client that the test plays: what it is sent, and whether it is there.
class MethodsTest : public ::testing::Test {
 protected:
  struct Sent {
    IdentityName who;
    std::string method;
    std::string id;
    Bytes payload;
  };

  ~MethodsTest() override { runtime.block_on(methods.close()); }

  bool receive(const IdentityName& who, const std::string& method, const std::string& id, Bytes payload) {
    if (!online) return false;
    sent.set_value({who, method, id, std::move(payload)});
    return true;
  }
  std::future<Result<MethodAnswer>> invoke(MethodRequest request) {
    return std::async(std::launch::async,
                      [this, request = std::move(request)] { return runtime.block_on(methods.invoke(pump, request)); });
  }

  std::atomic<bool> online{true};
  std::promise<Sent> sent;
  net::Runtime runtime{1};
  Methods methods{runtime.executor(), [this](const IdentityName& who, const std::string& method, const std::string& id,
                                             Bytes payload) { return receive(who, method, id, std::move(payload)); }};
};

TEST_F(MethodsTest, reply_of_the_device_is_the_answer_whatever_its_status) {
  auto answer = invoke({"reboot", json::Object{{"delay", 5}}});
  const Sent request = sent.get_future().get();
  EXPECT_EQ(request.who, pump);
  EXPECT_EQ(request.method, "reboot");
  EXPECT_EQ(request.payload, R"({"delay":5})");
  methods.answered(pump, request.id, -7, R"({"ok":false})");
  const auto found = answer.get();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->status, -7);
  EXPECT_EQ(json::print(found->payload), R"({"ok":false})");
}

TEST_F(MethodsTest, nobody_answers_for_another_and_unknown_ids_are_ignored) {
  auto answer = invoke({"reboot", {}});
  const Sent request = sent.get_future().get();
  EXPECT_EQ(request.payload, "null");
  methods.answered(other, request.id, 200, "1");
  methods.answered(pump, request.id + "0", 200, "2");
  methods.answered(pump, request.id, 200, "");
  methods.answered(pump, request.id, 200, "3");
  const auto found = answer.get();
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->payload.is_null());
}

TEST_F(MethodsTest, device_that_is_not_there_is_not_found_at_once) {
  online = false;
  const auto found = invoke({"reboot", {}}).get();
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().fault, Fault::not_found);
}

TEST_F(MethodsTest, device_that_comes_within_the_connect_timeout_gets_the_call) {
  online = false;
  auto answer = invoke({"reboot", {}, 30s, 30s});
  // Readiness without a connection leaves the call waiting; it is only seen in that the next one still sends it.
  methods.ready(pump);
  online = true;
  methods.ready(other);
  std::future<Sent> request = sent.get_future();
  while (request.wait_for(1ms) != std::future_status::ready) methods.ready(pump);  // until the call has reached the strand
  methods.answered(pump, request.get().id, 200, "true");
  EXPECT_TRUE(answer.get().has_value());
}

TEST_F(MethodsTest, device_that_does_not_come_is_not_found_after_the_connect_timeout) {
  online = false;
  EXPECT_EQ(invoke({"reboot", {}, 30s, 20ms}).get().error().fault, Fault::not_found);
}

TEST_F(MethodsTest, device_that_does_not_answer_is_timed_out) {
  auto answer = invoke({"reboot", {}, 20ms});
  EXPECT_EQ(answer.get().error().fault, Fault::timed_out);
  methods.answered(pump, sent.get_future().get().id, 200, "1");  // too late, and harmless
}

TEST_F(MethodsTest, reply_that_is_no_json_is_corrupt) {
  auto answer = invoke({"reboot", {}});
  methods.answered(pump, sent.get_future().get().id, 200, "{");
  EXPECT_EQ(answer.get().error().fault, Fault::corrupt);
}

TEST_F(MethodsTest, calls_end_with_the_hub) {
  auto answer = invoke({"reboot", {}});
  sent.get_future().get();
  runtime.block_on(methods.close());
  EXPECT_EQ(answer.get().error().fault, Fault::unavailable);
  EXPECT_EQ(runtime.block_on(methods.invoke(pump, {"reboot", {}})).error().fault, Fault::unavailable);
}

Result<MethodRequest> read(const std::string& text) { return read_method_request(json::parse(text).value()); }

TEST(MethodRequestDocument, defaults_and_members_are_read) {
  const auto plain = read(R"({"methodName":"reboot"})");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->response_timeout, 30s);
  EXPECT_EQ(plain->connect_timeout, 0s);
  EXPECT_TRUE(plain->payload.is_null());
  const auto full = read(R"({"methodName":"a","payload":[1],"responseTimeoutInSeconds":300,"connectTimeoutInSeconds":300})");
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->connect_timeout, 300s);
  EXPECT_EQ(json::print(full->payload), "[1]");
}

TEST(MethodRequestDocument, what_no_device_could_be_asked_is_refused) {
  for (const char* text :
       {"null", "[]", "{}", R"({"methodName":1})", R"({"methodName":""})", R"({"methodName":"a/b"})",
        R"({"methodName":"a","responseTimeoutInSeconds":4})", R"({"methodName":"a","responseTimeoutInSeconds":301})",
        R"({"methodName":"a","connectTimeoutInSeconds":-1})", R"({"methodName":"a","connectTimeoutInSeconds":31})",
        R"({"methodName":"a","responseTimeoutInSeconds":"5"})"})
    EXPECT_EQ(read(text).error().fault, Fault::invalid_input) << text;
  EXPECT_FALSE(read(R"({"methodName":")" + std::string(101, 'm') + "\"}").has_value());
  EXPECT_FALSE(read(R"({"methodName":"a","payload":")" + std::string(max_method_payload, 'x') + "\"}").has_value());
  EXPECT_TRUE(read(R"({"methodName":"a","payload":")" + std::string(max_method_payload - 2, 'x') + "\"}").has_value());
}

}  // namespace
}  // namespace nacelle::hub
