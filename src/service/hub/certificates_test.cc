// Certificates at a running hub: who gets in over MQTT and HTTPS, revocation, registration by certificate, renewal.
#include "service/hub/certificate_testing.h"
#include "service/hub/provisioning.h"

namespace nacelle::hub::testing {
namespace {

using std::chrono::hours;

class CertificatesTest : public CertifiedHubTest {
 protected:
  CertificatesTest() {
    // The last year before now: what is issued is valid by this clock and by the machine's, at which OpenSSL's clients look.
    stop();
    std::filesystem::remove_all(folder.path() / "hub");
    clock.set(SystemClock().now() - hours{24 * 340});
    start();
    plant = net::make_root("Plant", hours{24 * 3650}, clock.now()).value();
  }

  net::CertifiedKey leaf(const net::CertifiedKey& issuer, const std::string& name) {
    return net::issue(issuer, client_request(name, hours{24 * 700}), clock.now()).value();
  }

  std::unique_ptr<net::MqttClient> mqtt_as(const std::string& id, const net::CertifiedKey& own, const std::string& user_name = {},
                                           net::MqttClient::OnMessage on_message = {}) {
    net::MqttClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().mqtts, {}};
    options.tls = showing(own);
    options.client_id = id;
    options.user_name = user_name.empty() ? telemetry::print_user_name({"localhost", id, {}, "2021-04-12", "test", {}}) : user_name;
    return net::MqttClient::make(runtime.executor(), std::move(options), std::move(on_message));
  }
  bool gets_in(const std::string& id, const net::CertifiedKey& own) {
    auto peer = mqtt_as(id, own);
    const bool in = run(peer->start(std::chrono::seconds{30})).has_value();
    run(peer->close());
    return in;
  }
  net::HttpResponse https_as(const net::CertifiedKey& own, const std::string& method, const std::string& target,
                             const std::string& body = {}) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    net::HttpClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().https, {}};
    options.tls = showing(own);
    net::HttpClient caller(std::move(options));
    return run(caller.send(std::move(request))).value();
  }

  bool connected_now(const std::string& id) {
    // What the endpoint told the tables strand before this call is done by then.
    return get("/devices/" + id).find("connectionState")->as_string() == "Connected";
  }
  void wait_until_gone(const std::string& id) {
    for (int i = 0; i < 3000 && connected_now(id); ++i) {}
    EXPECT_FALSE(connected_now(id));
  }

  net::CertifiedKey plant;
};

TEST_F(CertificatesTest, a_device_of_a_verified_authority_gets_in_with_its_chain_and_nobody_else) {
  register_by_authority("press-7");
  const auto line = net::issue(plant, authority_request("Line"), clock.now()).value();
  const auto own = leaf(line, "press-7");
  EXPECT_FALSE(gets_in("press-7", own)) << "no authority is there";
  upload("plant", plant.certificate_pem);
  EXPECT_FALSE(gets_in("press-7", own)) << "it is not verified";
  verify("plant", plant);
  EXPECT_TRUE(gets_in("press-7", own));
  EXPECT_FALSE(gets_in("press-7", leaf(plant, "press-8"))) << "another's name";
  EXPECT_FALSE(gets_in("press-7", leaf(net::make_root("Plant", hours{24 * 3650}, clock.now()).value(), "press-7")));
  EXPECT_FALSE(gets_in("press-9", leaf(plant, "press-9"))) << "not registered";
  stop();
  start();
  EXPECT_TRUE(gets_in("press-7", own)) << "after a restart";
  clock.advance(hours{24 * 1000});
  EXPECT_FALSE(gets_in("press-7", own)) << "expired";
}

TEST_F(CertificatesTest, a_certificate_speaks_for_its_device_over_https_and_for_nothing_else) {
  register_by_authority("press-7");
  register_by_authority("press-8");
  upload("plant", plant.certificate_pem);
  verify("plant", plant);
  const auto own = leaf(plant, "press-7");
  EXPECT_EQ(https_as(own, "POST", "/devices/press-7/messages/events?api-version=2020-03-13", "{}").status, 204);
  EXPECT_EQ(https_as(own, "POST", "/devices/press-8/messages/events", "{}").status, 401);
  EXPECT_EQ(https_as(own, "GET", "/devices/press-7").status, 401);
  EXPECT_EQ(https_as(own, "GET", "/devices/").status, 401);
  EXPECT_EQ(https_as(own, "GET", "/certificates").status, 401);
  EXPECT_EQ(https_as(own, "POST", "/devices/press-7/edge/ca").status, 401) << "it is no edge";
  EXPECT_EQ(https_as(leaf(net::make_root("Plant", hours{24 * 3650}, clock.now()).value(), "press-7"), "POST",
                     "/devices/press-7/messages/events", "{}")
                .status,
            401);
}

TEST_F(CertificatesTest, deleting_an_authority_closes_the_connections_of_its_devices_alone) {
  const auto other = net::make_root("Other", hours{24 * 3650}, clock.now()).value();
  for (const auto& [name, root] : {std::pair<const char*, const net::CertifiedKey*>{"plant", &plant}, {"other", &other}}) {
    upload(name, root->certificate_pem);
    verify(name, *root);
  }
  register_by_authority("press-7");
  register_by_authority("drill-1");
  auto press = mqtt_as("press-7", leaf(plant, "press-7"));
  auto drill = mqtt_as("drill-1", leaf(other, "drill-1"));
  ASSERT_TRUE(run(press->start(std::chrono::seconds{30})).has_value());
  ASSERT_TRUE(run(drill->start(std::chrono::seconds{30})).has_value());
  EXPECT_TRUE(connected_now("press-7"));
  EXPECT_EQ(call("DELETE", "/certificates/plant", {}, {{"if-match", "\"AAAAAAAAAAk=\""}}).status, 412);
  EXPECT_TRUE(connected_now("press-7"));
  EXPECT_EQ(call("DELETE", "/certificates/plant").status, 204);
  wait_until_gone("press-7");
  EXPECT_TRUE(connected_now("drill-1"));
  EXPECT_EQ(drill->reconnects(), 0u);
  EXPECT_FALSE(gets_in("press-7", leaf(plant, "press-7")));
  run(press->close());
  run(drill->close());
}

TEST_F(CertificatesTest, a_changed_thumbprint_closes_the_connection) {
  const auto own = net::make_root("self", hours{24 * 700}, clock.now()).value();
  const auto document = [](const std::string& thumbprint) {
    return R"({"authentication":{"type":"selfSigned","x509Thumbprint":{"secondaryThumbprint":")" + thumbprint + R"("}}})";
  };
  const auto facts = net::inspect(own.certificate_pem).value();
  EXPECT_EQ(call("PUT", "/devices/press-7", document(facts.sha1_thumbprint)).status, 200);
  auto peer = mqtt_as("press-7", own);
  ASSERT_TRUE(run(peer->start(std::chrono::seconds{30})).has_value());
  EXPECT_TRUE(connected_now("press-7"));
  EXPECT_EQ(call("PUT", "/devices/press-7", document(std::string(40, '0')), {{"if-match", "*"}}).status, 200);
  wait_until_gone("press-7");
  run(peer->close());
}

TEST_F(CertificatesTest, the_resource_has_etags_and_refuses_what_is_wrong) {
  const Json made = upload("plant", text::base64_encode(plant.certificate_pem));
  EXPECT_FALSE(made.at_path({"properties", "isVerified"})->as_bool());
  EXPECT_EQ(made.at_path({"properties", "subject"})->as_string(), "Plant");
  EXPECT_EQ(made.at_path({"properties", "thumbprint"})->as_string().size(), 40u);
  const std::string etag = made.find("etag")->as_string();
  const std::string body = json::print(json::Object{{"properties", json::Object{{"certificate", plant.certificate_pem}}}});
  EXPECT_EQ(call("PUT", "/certificates/plant", body).status, 409) << "without If-Match";
  EXPECT_EQ(call("PUT", "/certificates/plant", body, {{"if-match", etag}}).status, 200);
  EXPECT_EQ(call("PUT", "/certificates/plant", body, {{"if-match", etag}}).status, 412) << "it is another by now";
  EXPECT_EQ(call("POST", "/certificates/plant/generateVerificationCode", {}, {{"if-match", etag}}).status, 412);
  EXPECT_EQ(call("PUT", "/certificates/other", body, {{"if-match", etag}}).status, 404);
  EXPECT_EQ(call("PUT", "/certificates/other", body).status, 409) << "the same certificate";
  for (const char* wrong : {"", "[]", "{}", R"({"certificate":5})", R"({"certificate":"x"})",
                            R"({"properties":{"certificate":"x","isVerified":true}})", R"({"properties":{"certificate":null}})"})
    EXPECT_EQ(call("PUT", "/certificates/other", wrong).status, 400) << wrong;
  EXPECT_EQ(call("POST", "/certificates/plant/verify", R"({"certificate":"x"})").status, 400);
  EXPECT_EQ(call("POST", "/certificates/nobody/verify", R"({"certificate":"x"})").status, 404);
  EXPECT_EQ(call("GET", "/certificates/nobody").status, 404);
  EXPECT_EQ(error_code(call("DELETE", "/certificates/nobody")), "CertificateNotFound");
  EXPECT_EQ(get("/certificates").find("value")->as_array().size(), 1u);
}

TEST_F(CertificatesTest, a_group_registers_what_its_authority_signed_and_its_devices_get_in) {
  upload("plant", plant.certificate_pem);
  verify("plant", plant);
  const auto supplier = net::make_root("Supplier", hours{24 * 3650}, clock.now()).value();
  EXPECT_EQ(call("PUT", "/enrollmentGroups/by-reference",
                 R"({"attestation":{"type":"x509","x509":{"caReferences":{"primary":"plant"}}}})")
                .status,
            200);
  const Json pem = json::Object{{"certificate", supplier.certificate_pem}};
  const Json group =
      json::Object{{"attestation", json::Object{{"type", "x509"},
                                                {"x509", json::Object{{"signingCertificates", json::Object{{"primary", pem}}}}}}}};
  EXPECT_EQ(call("PUT", "/enrollmentGroups/by-certificate", json::print(group)).status, 200);
  EXPECT_EQ(
      call("PUT", "/enrollmentGroups/nobodys", R"({"attestation":{"type":"x509","x509":{"caReferences":{"primary":"nobody"}}}})")
          .status,
      400);
  const Json leaf_pem = json::Object{{"certificate", leaf(plant, "x").certificate_pem}};
  const Json of_leaf = json::Object{
      {"attestation",
       json::Object{{"type", "x509"}, {"x509", json::Object{{"signingCertificates", json::Object{{"primary", leaf_pem}}}}}}}};
  EXPECT_EQ(call("PUT", "/enrollmentGroups/of-a-leaf", json::print(of_leaf)).status, 400);

  const std::string scope = get("/provisioning").find("idScope")->as_string();
  const auto registers = [&](const std::string& id, const net::CertifiedKey& own) {
    return https_as(own, "PUT", "/" + scope + "/registrations/" + id + "/register?api-version=2019-03-31", "{}").status;
  };
  const auto referred = leaf(net::issue(plant, authority_request("Line"), clock.now()).value(), "press-7");
  const auto supplied = leaf(supplier, "press-8");
  EXPECT_EQ(registers("press-7", referred), 202);
  EXPECT_EQ(registers("press-8", supplied), 202);
  EXPECT_EQ(registers("press-9", referred), 401) << "another's name";
  EXPECT_EQ(registers("press-9", leaf(net::make_root("Plant", hours{24 * 3650}, clock.now()).value(), "press-9")), 401);
  EXPECT_EQ(get("/devices/press-7").at_path({"authentication", "type"})->as_string(), "certificateAuthority");
  EXPECT_EQ(get("/devices/press-8").at_path({"authentication", "type"})->as_string(), "selfSigned");
  EXPECT_TRUE(gets_in("press-7", referred));
  EXPECT_TRUE(gets_in("press-8", supplied));
  EXPECT_TRUE(gets_in("press-7", leaf(plant, "press-7"))) << "a renewed certificate, without registering";

  EXPECT_EQ(call("DELETE", "/certificates/plant").status, 204);
  EXPECT_EQ(registers("press-10", leaf(plant, "press-10")), 401);
  EXPECT_FALSE(gets_in("press-7", referred));
  EXPECT_TRUE(gets_in("press-8", supplied));
}

TEST_F(CertificatesTest, an_individual_enrolment_may_name_an_authority_too) {
  upload("plant", plant.certificate_pem);
  verify("plant", plant);
  const auto supplier = net::make_root("Supplier", hours{24 * 3650}, clock.now()).value();
  const auto enrol = [&](const std::string& id, const json::Object& x509, const std::string& device = {}) {
    json::Object document{{"attestation", json::Object{{"type", "x509"}, {"x509", x509}}}};
    if (!device.empty()) document.set("deviceId", device);
    return call("PUT", "/enrollments/" + id, json::print(document)).status;
  };
  const auto authority = [](const net::CertifiedKey& one) {
    return json::Object{{"primary", json::Object{{"certificate", one.certificate_pem}}}};
  };
  EXPECT_EQ(enrol("press-7", {{"caReferences", json::Object{{"primary", "plant"}}}}), 200);
  EXPECT_EQ(enrol("press-8", {{"signingCertificates", authority(supplier)}}), 200);
  EXPECT_EQ(enrol("press-9", {{"caReferences", json::Object{{"primary", "nobody"}}}}), 400);
  EXPECT_EQ(enrol("press-9", {{"caReferences", json::Object{{"primary", "plant"}}}}, "other"), 400) << "it would never get in";
  EXPECT_EQ(enrol("press-9", {{"signingCertificates", authority(leaf(plant, "press-9"))}}), 400) << "no authority";
  EXPECT_EQ(enrol("press-9", {{"caReferences", json::Object{{"primary", "plant"}}}, {"clientCertificates", authority(supplier)}}),
            400);
  EXPECT_EQ(enrol("press-9", {}), 400);
  EXPECT_TRUE(get("/enrollments/press-8").at_path({"attestation", "x509", "signingCertificates", "primary", "certificate"}));

  const std::string scope = get("/provisioning").find("idScope")->as_string();
  const auto registers = [&](const std::string& id, const net::CertifiedKey& own) {
    return https_as(own, "PUT", "/" + scope + "/registrations/" + id + "/register?api-version=2019-03-31", "{}");
  };
  EXPECT_EQ(registers("press-7", leaf(supplier, "press-7")).status, 401) << "another authority";
  EXPECT_EQ(registers("press-7", leaf(plant, "press-8")).status, 401) << "another's name";
  const auto accepted = registers("press-7", leaf(plant, "press-7"));
  EXPECT_EQ(accepted.status, 202);
  const std::string operation = parse(accepted.body).find("operationId")->as_string();
  EXPECT_TRUE(accepted.headers.get("location").ends_with("/" + scope + "/registrations/press-7/operations/" + operation))
      << accepted.headers.get("location");
  EXPECT_EQ(registers("press-8", leaf(supplier, "press-8")).status, 202);
  EXPECT_EQ(get("/devices/press-7").at_path({"authentication", "type"})->as_string(), "certificateAuthority");
  EXPECT_EQ(get("/devices/press-8").at_path({"authentication", "type"})->as_string(), "selfSigned");
  EXPECT_TRUE(gets_in("press-7", leaf(plant, "press-7")));
}

TEST_F(CertificatesTest, messages_say_how_their_sender_proved_itself) {
  register_by_authority("press-7");
  upload("plant", plant.certificate_pem);
  verify("plant", plant);
  const auto own = leaf(plant, "press-7");
  const auto keyed = add("d1");
  auto by_certificate = mqtt_as("press-7", own);
  ASSERT_TRUE(run(by_certificate->start(std::chrono::seconds{30})).has_value());
  EXPECT_TRUE(publish(*by_certificate, "devices/press-7/messages/events/%24.mid=mqtt", "{}").has_value());
  EXPECT_EQ(https_as(own, "POST", "/devices/press-7/messages/events", "{}").status, 204);
  auto by_key = connected(keyed);
  EXPECT_TRUE(publish(*by_key, "devices/d1/messages/events/", "{}").has_value());
  run(by_key->close());
  const std::string policy_token =
      sas::make_token(sas::device_resource("localhost", "d1"), hub->services().registry.policy("device")->primary_key,
                      clock.now() + hours{1}, "device")
          .value();
  net::MqttClientOptions options;
  options.endpoint = {"127.0.0.1", hub->found_at().mqtts, {}};
  options.tls = trust();
  options.client_id = "d1";
  options.user_name = telemetry::print_user_name({"localhost", "d1", {}, "2021-04-12", "test", "dtmi:plant:pump;2"});
  options.password = [policy_token] { return ready(policy_token); };
  auto by_policy = net::MqttClient::make(runtime.executor(), std::move(options), {});
  ASSERT_TRUE(run(by_policy->start(std::chrono::seconds{30})).has_value());
  EXPECT_TRUE(publish(*by_policy, "devices/d1/messages/events/", "{}").has_value());
  run(by_policy->close());
  run(by_certificate->close());
  EXPECT_EQ(get("/twins/d1").find("modelId")->as_string(), "dtmi:plant:pump;2") << "as it said when it connected";

  std::map<std::string, std::string> found;
  const Json events = parse(call("GET", "/events?from=start&maxEvents=10&waitSeconds=5").body);
  for (const Json& event : events.find("events")->as_array()) {
    const Json& system = *event.find("systemProperties");
    const Json method = parse(system.find("connectionAuthMethod")->as_string());
    found[system.find("connectionDeviceId")->as_string()] +=
        method.find("scope")->as_string() + "/" + method.find("type")->as_string() + " ";
  }
  EXPECT_EQ(found["press-7"], "device/x509 device/x509 ");
  EXPECT_EQ(found["d1"], "device/sas hub/sas ");
}

TEST_F(CertificatesTest, the_server_certificate_is_renewed_while_connections_go_on) {
  const auto own = net::make_root("self", hours{24 * 700}, clock.now()).value();
  const std::string thumbprint = net::inspect(own.certificate_pem)->sha256_thumbprint;
  EXPECT_EQ(call("PUT", "/devices/d1",
                 R"({"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":")" + thumbprint + R"("}}})")
                .status,
            200);
  const auto peer = mqtt_as("d1", own);
  ASSERT_TRUE(run(peer->start(std::chrono::seconds{30})).has_value());
  const auto serial = [&] { return get("/authority").at_path({"server", "serial"})->as_string(); };
  const auto served = [&] {
    const auto look = [](net::Endpoint to, std::shared_ptr<net::TlsClientContext> tls) -> awaitable<Result<std::string>> {
      CO_TRY_LET(const auto stream, co_await net::connect(to, tls, "localhost"));
      CO_TRY_LET(const auto facts, net::inspect_der(stream->peer_certificates_der()));
      co_return facts.serial;
    };
    return run(look({"127.0.0.1", hub->found_at().mqtts, {}}, trust())).value();
  };
  const std::string first = serial();
  EXPECT_EQ(served(), first);
  EXPECT_FALSE(hub->services().authority.renew().value());
  clock.advance(hours{24 * 340});  // now, by the machine's clock: 25 days are left
  EXPECT_TRUE(hub->services().authority.renew().value()) << "what the hub does every hour";
  const std::string second = serial();
  EXPECT_NE(second, first);
  EXPECT_EQ(served(), second);
  EXPECT_EQ(call("POST", "/authority/rotate").status, 200);
  EXPECT_NE(serial(), second);
  EXPECT_EQ(served(), serial());
  EXPECT_TRUE(publish(*peer, "devices/d1/messages/events/", "{}").has_value());
  EXPECT_EQ(peer->reconnects(), 0u) << "the old connection goes on";
  run(peer->close());
}

TEST_F(CertificatesTest, edge_is_told_of_the_authorities_that_may_sign_for_its_leaves) {
  const auto edge = add("edge1", true);
  const auto told = [&] {
    const Json scope =
        parse(call("GET", "/devices/edge1/modules/$edgeHub/devicesAndModulesInDeviceScope", {}, {}, token(edge)).body);
    std::vector<std::string> pems;
    for (const Json& pem : scope.find("authorities")->as_array()) pems.push_back(pem.as_string());
    return pems;
  };
  const std::string own = hub->services().authority.devices_pem();
  EXPECT_EQ(told(), std::vector<std::string>{own});
  upload("plant", plant.certificate_pem);
  EXPECT_EQ(told(), std::vector<std::string>{own}) << "not verified";
  verify("plant", plant);
  EXPECT_EQ(told().size(), 2u);
  EXPECT_EQ(call("DELETE", "/certificates/plant").status, 204);
  EXPECT_EQ(told(), std::vector<std::string>{own});
}

TEST_F(CertificatesTest, an_issued_device_certificate_lets_the_device_in_and_issuing_takes_all_rights) {
  register_by_authority("press-7");
  const auto answer = call("POST", "/authority/issue", R"({"purpose":"device","commonName":"press-7","days":700})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json issued = parse(answer.body);
  const net::CertifiedKey own{issued.find("certificate")->as_string(), issued.find("privateKey")->as_string()};
  EXPECT_EQ(net::inspect_all(own.certificate_pem)->size(), 2u) << "with its chain";
  EXPECT_TRUE(gets_in("press-7", own));
  for (const char* wrong :
       {"{}", R"({"purpose":"device"})", R"({"purpose":"root","commonName":"x"})", R"({"purpose":"device","commonName":""})",
        R"({"purpose":"device","commonName":"x","days":0})", R"({"purpose":"server","commonName":"x","dnsNames":"y"})",
        R"({"purpose":"server","commonName":"x","dnsNames":["a b"]})",
        R"({"purpose":"server","commonName":"x","ipAddresses":["y"]})"})
    EXPECT_EQ(call("POST", "/authority/issue", wrong).status, 400) << wrong;
  EXPECT_EQ(call("POST", "/authority/issue", json::print(json::Object{{"purpose", "device"}, {"commonName", std::string(65, 'x')}}))
                .status,
            400);
  const std::string writer = sas::make_token("localhost", hub->services().registry.policy("registryReadWrite")->primary_key,
                                             clock.now() + hours{1}, "registryReadWrite")
                                 .value();
  EXPECT_EQ(call("POST", "/authority/issue", R"({"purpose":"device","commonName":"press-7"})", {}, writer).status, 401);
  EXPECT_EQ(call("POST", "/authority/rotate", {}, {}, writer).status, 401);
}

}  // namespace
}  // namespace nacelle::hub::testing
