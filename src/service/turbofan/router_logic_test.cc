#include "service/turbofan/router_logic.h"

#include <gtest/gtest.h>

#include "codec/json/value.h"

namespace nacelle::turbofan {
namespace {

constexpr std::string_view reading = R"({"CycleTime":7,"OperationalSetting1":0.1,"Sensor1":518.67})";

/// As the edge delivers a leaf's message.
telemetry::Message from_leaf(std::string_view body) {
  telemetry::Message message;
  message.system = {{"connectionDeviceId", "Client_001"}, {"contentType", "application/json"}, {"contentEncoding", "utf-8"}};
  message.application.set(enqueued_at_edge, "2030-01-01T00:00:00.0000000Z");
  message.body = body;
  return message;
}

/// As the edge delivers what the classifier said.
telemetry::Message from_classifier(const Outgoing& question, std::string_view body) {
  telemetry::Message message = question.message;
  message.system.set("connectionDeviceId", "edge1");
  message.system.set("connectionModuleId", "classifier");
  message.application.set(enqueued_at_edge, "2030-01-01T00:00:09.0000000Z");
  message.body = body;
  return message;
}

TEST(RouterReading, it_goes_to_the_classifier_byte_for_byte_with_its_origin_named) {
  const Outgoing out = route_reading(from_leaf(reading));
  EXPECT_EQ(out.output, output::classify);
  EXPECT_EQ(out.message.body, reading);
  EXPECT_EQ(out.message.application.get(original_device), "Client_001");
  EXPECT_EQ(out.message.application.get(original_enqueued), "2030-01-01T00:00:00.0000000Z");
  EXPECT_FALSE(out.message.system.get("correlationId").empty());
  EXPECT_EQ(out.message.system.get("contentType"), "application/json");
  EXPECT_EQ(out.message.application.find(enqueued_at_edge), nullptr);
}

TEST(RouterReading, a_correlation_id_is_kept_and_a_missing_one_is_the_same_for_a_repeated_delivery) {
  telemetry::Message own = from_leaf(reading);
  own.system.set("correlationId", "mine");
  EXPECT_EQ(route_reading(own).message.system.get("correlationId"), "mine");
  const auto made = [](const telemetry::Message& message) {
    return std::string(route_reading(message).message.system.get("correlationId"));
  };
  EXPECT_EQ(made(from_leaf(reading)), made(from_leaf(reading)));
  telemetry::Message later = from_leaf(reading);
  later.application.set(enqueued_at_edge, "2030-01-01T00:00:01.0000000Z");
  EXPECT_NE(made(from_leaf(reading)), made(later));
  telemetry::Message numbered = from_leaf(reading), repeated = later;
  numbered.system.set("messageId", "7");
  repeated.system.set("messageId", "7");
  EXPECT_EQ(made(numbered), made(repeated)) << "a device that repeats itself after a lost acknowledgement";
}

TEST(RouterReading, one_element_arrays_are_stripped_and_longer_ones_refused_with_their_length) {
  const Outgoing one = route_reading(from_leaf("[" + std::string(reading) + "]"));
  EXPECT_EQ(one.output, output::classify);
  EXPECT_EQ(one.message.body, reading);
  for (const char* body : {"[]", "[{},{}]"}) {
    const Outgoing dead = route_reading(from_leaf(body));
    EXPECT_EQ(dead.output, output::dead);
    EXPECT_NE(dead.message.application.get("DeadLetterReason").find("expected one"), std::string::npos);
  }
}

TEST(RouterReading, what_cannot_be_parsed_is_a_dead_letter_with_its_bytes) {
  for (const char* body : {"", "{", "7", "\"text\"", "[1]", "{\"a\":}", "\xff\xfe"}) {
    const Outgoing out = route_reading(from_leaf(body));
    EXPECT_EQ(out.output, output::dead) << body;
    EXPECT_EQ(out.message.body, body);
    EXPECT_EQ(out.message.application.get("DeadLetter"), "true");
    EXPECT_EQ(out.message.application.get(original_device), "Client_001");
  }
}

TEST(RouterReading, a_classified_record_is_refused) {
  const Outgoing out = route_reading(from_leaf(R"({"CycleTime":7,"PredictedRul":3})"));
  EXPECT_EQ(out.output, output::dead);
  EXPECT_NE(out.message.application.get("DeadLetterReason").find("classified already"), std::string::npos);
}

TEST(RouterReading, a_leaf_that_says_it_is_another_is_not_believed) {
  telemetry::Message message = from_leaf(reading);
  message.application.set(original_device, "Client_099");
  EXPECT_EQ(route_reading(message).message.application.get(original_device), "Client_001");
}

TEST(RouterPrediction, full_record_to_the_writer_and_the_prediction_alone_to_the_hub) {
  const Outgoing question = route_reading(from_leaf(reading));
  const std::string answer = R"([{"CycleTime":7,"OperationalSetting1":0.1,"Sensor1":518.67,"PredictedRul":112.25}])";
  const auto out = route_prediction(from_classifier(question, answer));
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].output, output::hub);
  const auto brief = json::parse(out[0].message.body);
  EXPECT_EQ(*brief,
            *json::parse(R"({"ConnectionDeviceId":"Client_001","CorrelationId":")" +
                         std::string(question.message.system.get("correlationId")) + R"(","CycleTime":7,"PredictedRul":112.25})"));
  EXPECT_EQ(out[1].output, output::avro);
  EXPECT_EQ(out[1].message.body, answer.substr(1, answer.size() - 2));
  for (const Outgoing& each : out) {
    EXPECT_EQ(each.message.application.get(original_device), "Client_001");
    EXPECT_EQ(each.message.application.get(original_enqueued), "2030-01-01T00:00:00.0000000Z");
  }
}

TEST(RouterPrediction, an_answer_without_a_prediction_is_one_dead_letter) {
  const Outgoing question = route_reading(from_leaf(reading));
  for (const char* body : {R"({"CycleTime":7})", R"({"CycleTime":7,"PredictedRul":"soon"})", "not json", "[{},{}]"}) {
    const auto out = route_prediction(from_classifier(question, body));
    ASSERT_EQ(out.size(), 1u) << body;
    EXPECT_EQ(out[0].output, output::dead);
    EXPECT_EQ(out[0].message.application.get(original_device), "Client_001");
  }
  telemetry::Message failed = from_classifier(question, reading);
  failed.application.set("ClassifierError", "record: CycleTime: missing");
  EXPECT_EQ(route_prediction(failed)[0].message.application.get("DeadLetterReason"), "record: CycleTime: missing");
}

}  // namespace
}  // namespace nacelle::turbofan
