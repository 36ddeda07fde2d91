#include "domain/telemetry/topic.h"

#include <gtest/gtest.h>

namespace nacelle::telemetry {
namespace {

template <class T>
T published(std::string_view topic) {
  const auto parsed = parse_publish_topic(topic);
  if (!parsed || !std::holds_alternative<T>(*parsed)) {
    ADD_FAILURE() << topic << ": " << (parsed ? "another kind" : parsed.error().message);
    return {};
  }
  return std::get<T>(*parsed);
}

TEST(PublishTopic, events_of_a_device_with_and_without_bag_and_slash) {
  EXPECT_EQ(published<EventTopic>("devices/dev1/messages/events/").device_id, "dev1");
  EXPECT_EQ(published<EventTopic>("devices/dev1/messages/events").bag, "");
  EXPECT_EQ(published<EventTopic>("devices/dev1/messages/events/%24.mid=42&level=high").bag, "%24.mid=42&level=high");
}

TEST(PublishTopic, events_of_a_module) {
  const auto topic = published<EventTopic>("devices/edge1/modules/filter/messages/events/%24.on=alerts/");
  EXPECT_EQ(topic.device_id, "edge1");
  EXPECT_EQ(topic.module_id, "filter");
  EXPECT_EQ(topic.bag, "%24.on=alerts/");
}

TEST(PublishTopic, request_ids_are_kept_byte_for_byte) {
  EXPECT_EQ(published<TwinGetTopic>("$iothub/twin/GET/?$rid=7f%3De").request_id, "7f%3De");
  EXPECT_EQ(published<TwinGetTopic>("$iothub/twin/GET/?%24rid=a").request_id, "a");
}

TEST(PublishTopic, twin_patch_with_and_without_a_base_version) {
  const auto plain = published<TwinPatchTopic>("$iothub/twin/PATCH/properties/reported/?$rid=1");
  EXPECT_EQ(plain.request_id, "1");
  EXPECT_EQ(plain.base_version, "");
  EXPECT_EQ(published<TwinPatchTopic>("$iothub/twin/PATCH/properties/reported/?$rid=1&$version=6").base_version, "6");
}

TEST(PublishTopic, method_response_status_may_be_negative) {
  const auto topic = published<MethodResponseTopic>("$iothub/methods/res/-7/?$rid=ab");
  EXPECT_EQ(topic.status, -7);
  EXPECT_EQ(topic.request_id, "ab");
}

TEST(PublishTopic, everything_else_is_refused) {
  for (const char* topic :
       {"", "/", "devices/", "devices//messages/events/", "devices/dev1", "devices/dev1/messages", "devices/dev1/messages/eventsx",
        "devices/dev1/modules/messages/events", "devices/dev1/modules//messages/events/", "devices/dev1/messages/devicebound/",
        "$iothub/twin/GET/", "$iothub/twin/GET", "$iothub/twin/PATCH/properties/desired/?$rid=1", "$iothub/methods/res//?$rid=1",
        "$iothub/methods/res/2x/?$rid=1", "$iothub/methods/res/99999999999/?$rid=1", "$iothub/methods/res/200", "plain/topic"})
    EXPECT_FALSE(parse_publish_topic(topic)) << topic;
}

TEST(PublishTopic, every_truncation_is_parsed_or_refused) {
  for (const std::string topic : {"devices/edge1/modules/filter/messages/events/a=b/",
                                  "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=6", "$iothub/methods/res/200/?$rid=1"})
    for (std::size_t size = 0; size < topic.size(); ++size) (void)parse_publish_topic(topic.substr(0, size)).has_value();
}

TEST(SubscribeTopic, the_table_of_the_protocol) {
  const auto c2d = parse_subscribe_topic("devices/dev1/messages/devicebound/#");
  ASSERT_TRUE(c2d);
  EXPECT_EQ(c2d->kind, SubscribeKind::cloud_to_device);
  EXPECT_EQ(c2d->device_id, "dev1");
  for (const char* filter : {"devices/edge1/modules/filter/inputs/#", "devices/edge1/modules/filter/#"}) {
    const auto inputs = parse_subscribe_topic(filter);
    ASSERT_TRUE(inputs) << filter;
    EXPECT_EQ(inputs->kind, SubscribeKind::module_inputs);
    EXPECT_EQ(inputs->module_id, "filter");
  }
  EXPECT_EQ(parse_subscribe_topic("$iothub/twin/res/#")->kind, SubscribeKind::twin_responses);
  EXPECT_EQ(parse_subscribe_topic("$iothub/twin/PATCH/properties/desired/#")->kind, SubscribeKind::desired_changes);
  EXPECT_EQ(parse_subscribe_topic("$iothub/methods/POST/#")->kind, SubscribeKind::methods);
}

TEST(SubscribeTopic, other_filters_are_refused) {
  for (const char* filter : {"", "#", "+/#", "devices/#", "$iothub/#", "devices/dev1/messages/events/#", "devices/dev1/+",
                             "devices/dev1/messages/devicebound", "devices//messages/devicebound/#"})
    EXPECT_FALSE(parse_subscribe_topic(filter)) << filter;
}

TEST(Topics, made_as_the_clients_expect_them) {
  EXPECT_EQ(twin_response_topic(204, "7f3e", "6"), "$iothub/twin/res/204/?$rid=7f3e&$version=6");
  EXPECT_EQ(twin_response_topic(200, "7f3e"), "$iothub/twin/res/200/?$rid=7f3e");
  EXPECT_EQ(desired_change_topic(3), "$iothub/twin/PATCH/properties/desired/?$version=3");
  EXPECT_EQ(method_topic("reboot", "1a"), "$iothub/methods/POST/reboot/?$rid=1a");
  EXPECT_EQ(input_topic("edge1", "filter", "in1", "a=b"), "devices/edge1/modules/filter/inputs/in1/a=b");
  EXPECT_EQ(cloud_to_device_topic("dev1", "k=v"), "devices/dev1/messages/devicebound/k=v");
  EXPECT_EQ(event_topic("dev1", "", "a=b"), "devices/dev1/messages/events/a=b");
  EXPECT_EQ(event_topic("edge1", "filter", ""), "devices/edge1/modules/filter/messages/events/");
}

TEST(UserName, the_node_sdks_form) {
  const auto name = parse_user_name(
      "hub.example.net/dev1/"
      "?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4%20(node%20v20.20.2%3B%20Debian%2012%3B%20x64)");
  ASSERT_TRUE(name) << name.error().message;
  EXPECT_EQ(name->hub, "hub.example.net");
  EXPECT_EQ(name->device_id, "dev1");
  EXPECT_EQ(name->module_id, "");
  EXPECT_EQ(name->api_version, "2021-04-12");
  EXPECT_EQ(name->client_type, "azure-iot-device/1.18.4 (node v20.20.2; Debian 12; x64)");
}

TEST(UserName, module_form_model_id_and_older_clients) {
  const auto module = parse_user_name("hub/edge1/filter/?api-version=1&model-id=dtmi:a:b;1&DeviceClientType=x");
  ASSERT_TRUE(module);
  EXPECT_EQ(module->module_id, "filter");
  EXPECT_EQ(module->model_id, "dtmi:a:b;1");
  const auto old = parse_user_name("hub/dev1/api-version=2016-11-14&DeviceClientType=a/b");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->client_type, "a/b");
  EXPECT_EQ(parse_user_name("hub/d/?api-version=1&api-version=2&auth-chain=a;b")->api_version, "1");
}

TEST(UserName, malformed_ones_are_refused) {
  for (const char* name :
       {"", "hub", "hub/dev1", "hub/dev1/", "hub/dev1/?", "hub/dev1/?DeviceClientType=x", "hub//?api-version=1",
        "/dev1/?api-version=1", "hub/?api-version=1", "hub/a/b/c/?api-version=1", "hub/dev1/?api-version=%zz", "hub/dev1/m/"})
    EXPECT_FALSE(parse_user_name(name)) << name;
}

TEST(UserName, prints_what_it_parses) {
  const UserName name{"hub:8883", "edge1", "$edgeHub", "2021-04-12", "nacelle/0.1 (edge)", ""};
  const auto again = parse_user_name(print_user_name(name));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->module_id, "$edgeHub");
  EXPECT_EQ(again->client_type, name.client_type);
  EXPECT_EQ(again->hub, name.hub);
}

}  // namespace
}  // namespace nacelle::telemetry
