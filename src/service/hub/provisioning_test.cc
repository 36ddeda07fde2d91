#include "service/hub/provisioning.h"

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class ProvisioningTest : public HubTest {
 protected:
  ProvisioningTest() { id_scope = get("/provisioning").find("idScope")->as_string(); }

  /// An individual enrolment by key; the key.
  std::string enrol(const std::string& id, const std::string& more = "") {
    EXPECT_EQ(call("PUT", "/enrollments/" + id, R"({"attestation":{"type":"symmetricKey"})" + more + "}").status, 200);
    return parse(call("POST", "/enrollments/" + id + "/attestationmechanism").body)
        .at_path({"symmetricKey", "primaryKey"})
        ->as_string();
  }
  std::string token(const std::string& id, const std::string& key) {
    return sas::make_token(id_scope + "/registrations/" + id, key, clock.now() + std::chrono::hours{1}, "registration").value();
  }
  std::unique_ptr<net::MqttClient> registrant(const std::string& id, const std::string& key,
                                              net::MqttClient::OnMessage on_message = {}) {
    net::MqttClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().mqtts, {}};
    options.tls = trust();
    options.client_id = id;
    options.user_name = id_scope + "/registrations/" + id + "/api-version=2019-03-31&ClientVersion=test";
    options.password = [password = token(id, key)] { return ready(password); };
    return net::MqttClient::make(runtime.executor(), std::move(options), std::move(on_message));
  }
  net::HttpResponse register_over_https(const std::string& id, const std::string& key) {
    return call("PUT", "/" + id_scope + "/registrations/" + id + "/register?api-version=2019-03-31",
                R"({"registrationId":")" + id + R"("})", {}, token(id, key));
  }

  std::string id_scope;
};

TEST_F(ProvisioningTest, registering_leaves_a_connected_device_of_the_same_name_alone) {
  const std::string key = enrol("m1");
  ASSERT_EQ(register_over_https("m1", key).status, 202);
  const device::Identity made = *hub->services().registry.identities().find({device::DeviceId("m1"), {}});
  EXPECT_EQ(made.primary_key, key);
  auto device = connected(made);

  std::promise<std::string> answered;
  auto newcomer = registrant("m1", key, [&](const mqtt::Publish& packet, std::function<void()> done) {
    answered.set_value(std::string(packet.topic) + " " + std::string(packet.payload));
    done();
  });
  ASSERT_TRUE(run(newcomer->start(std::chrono::seconds{30})).has_value());
  ASSERT_TRUE(run(newcomer->subscribe("$dps/registrations/res/#", mqtt::QoS::at_least_once)).has_value());
  ASSERT_TRUE(publish(*newcomer, "$dps/registrations/PUT/iotdps-register/?$rid=r1", R"({"registrationId":"m1"})").has_value());
  const std::string answer = answered.get_future().get();
  EXPECT_TRUE(answer.starts_with("$dps/registrations/res/202/?$rid=r1&retry-after=1 ")) << answer;
  EXPECT_TRUE(device->connected());
  EXPECT_EQ(device->reconnects(), 0u);
  EXPECT_FALSE(run(newcomer->subscribe("devices/m1/messages/devicebound/#", mqtt::QoS::at_least_once)).has_value())
      << "a registrant is no device";
  run(newcomer->close());
  run(device->close());
}

TEST_F(ProvisioningTest, only_the_enrolled_are_let_in_and_strangers_learn_nothing) {
  const std::string key = enrol("m1");
  EXPECT_EQ(register_over_https("m1", key).status, 202);
  const auto wrong_key = register_over_https("m1", sas::random_key());
  const auto nobody = register_over_https("m2", key);
  EXPECT_EQ(wrong_key.status, 401);
  EXPECT_EQ(nobody.status, 401);
  EXPECT_EQ(parse(wrong_key.body).find("message")->as_string(), parse(nobody.body).find("message")->as_string());
  EXPECT_EQ(call("GET", "/devices/m2").status, 404);

  const std::string off = enrol("m3", R"(,"provisioningStatus":"disabled")");
  EXPECT_EQ(register_over_https("m3", off).status, 401);
  EXPECT_EQ(call("PUT", "/0ne00000000/registrations/m1/register", "{}", {}, token("m1", key)).status, 401);
  auto refused = registrant("m1", sas::random_key());
  EXPECT_FALSE(run(refused->start(std::chrono::seconds{30})).has_value());
  run(refused->close());
}

TEST_F(ProvisioningTest, an_operation_is_asked_about_by_its_own_registration) {
  const std::string key = enrol("m1", R"(,"initialTwin":{"tags":{"line":"a"},"properties":{"desired":{"rate":5}}})");
  const std::string operation = parse(register_over_https("m1", key).body).find("operationId")->as_string();
  const std::string path = "/" + id_scope + "/registrations/m1/operations/";
  const auto done = call("GET", path + operation, {}, {}, token("m1", key));
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(parse(done.body).at_path({"registrationState", "substatus"})->as_string(), "initialAssignment");
  EXPECT_EQ(call("GET", path + "4.0.0", {}, {}, token("m1", key)).status, 404);
  EXPECT_EQ(get("/twins/m1").at_path({"properties", "desired", "rate"})->as_integer(), 5);
  const std::string before = id_scope;
  stop();
  start();
  EXPECT_EQ(get("/provisioning").find("idScope")->as_string(), before) << "the scope stays";
  EXPECT_EQ(get("/registrations/m1").find("deviceId")->as_string(), "m1");
}

TEST_F(ProvisioningTest, enrolments_are_changed_under_their_etag_and_keep_their_keys) {
  const std::string key = enrol("m1");
  const Json shown = get("/enrollments/m1");
  EXPECT_EQ(shown.at_path({"attestation", "symmetricKey", "primaryKey"})->as_string(), "");
  EXPECT_EQ(call("PUT", "/enrollments/m1", json::print(shown), {{"if-match", "\"AAAAAAAAAAk=\""}}).status, 412);
  EXPECT_EQ(call("PUT", "/enrollments/m1", json::print(shown), {{"if-match", shown.find("etag")->as_string()}}).status, 200);
  EXPECT_EQ(register_over_https("m1", key).status, 202) << "the keys are those of before";
  EXPECT_EQ(call("PUT", "/enrollmentGroups/g",
                 R"({"attestation":{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":"x"}}}}})")
                .status,
            400);
  const auto bulk = parse(
      call("POST", "/enrollments", R"({"mode":"create","enrollments":[{"registrationId":"m1","attestation":{"type":"symmetricKey"}},
      {"registrationId":"m2","attestation":{"type":"symmetricKey"}}]})")
          .body);
  EXPECT_EQ(bulk.find("errors")->as_array().size(), 1u);
  const Json all = parse(call("POST", "/enrollments/query", R"({"query":"SELECT * FROM enrollments"})").body);
  EXPECT_EQ(all.as_array().size(), 2u);
  EXPECT_EQ(call("DELETE", "/enrollments/m1").status, 204);
  EXPECT_EQ(register_over_https("m1", key).status, 401);
}

}  // namespace
}  // namespace nacelle::hub::testing
