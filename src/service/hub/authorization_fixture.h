#pragma once
// For the authorisation tables: a small fleet, every kind of identity that may knock, and what the hub logs meanwhile.

#include <map>
#include <set>
#include <sstream>

#include "foundation/log.h"
#include "net/mqtt/scripted_peer_test.h"
#include "service/hub/certificate_testing.h"

namespace nacelle::hub::testing {

/// `d1` with its module `m` is a leaf below the edge `edge1`; `d2` with `m` and the edge `edge2` are strangers to it; `off` is
/// disabled. `reg1` may register. Policies of one right each, one of none, one that was deleted. make_certified_fleet() adds those
/// that come with certificates: `self` by its thumbprints, `signed` and its module `m` by an authority, the edge `edge3`; `shut`
/// and `barred` are disabled; `reg2` may register.
class AuthorizationTest : public CertifiedHubTest {
 protected:
  AuthorizationTest() { log::set_level(log::Level::info); }

  void make_fleet() {
    edge1 = add("edge1", true);
    add("edge2", true);
    d1 = add("d1", false, edge1.scope);
    d2 = add("d2");
    add("off");
    for (const char* device : {"d1", "d2"})
      EXPECT_EQ(call("PUT", std::string("/devices/") + device + "/modules/m", "{}").status, 200);
    EXPECT_EQ(call("PUT", "/devices/edge1/modules/filter", "{}").status, 200);
    EXPECT_EQ(call("PUT", "/devices/off", R"({"deviceId":"off","status":"disabled"})", {{"if-match", "*"}}).status, 200);
    EXPECT_EQ(call("PUT", "/enrollments/reg1", R"({"attestation":{"type":"symmetricKey"}})").status, 200);
    registration_key =
        parse(call("POST", "/enrollments/reg1/attestationmechanism").body).at_path({"symmetricKey", "primaryKey"})->as_string();
    id_scope = get("/provisioning").find("idScope")->as_string();
    for (const auto& [name, right] : single_rights())
      EXPECT_EQ(call("PUT", "/policies/" + name, right.empty() ? R"({"rights":[]})" : R"({"rights":[")" + right + R"("]})").status,
                200);
    const auto gone = parse(call("GET", "/policies/gone/keys").body);
    deleted_key = gone.find("primaryKey")->as_string();
    EXPECT_EQ(call("DELETE", "/policies/gone").status, 204);
    old_key = parse(call("GET", "/policies/service/keys").body).find("primaryKey")->as_string();
    EXPECT_EQ(call("POST", "/policies/service/keys/regenerate", R"({"key":"primary"})").status, 200);
  }

  /// Somebody with a certificate: whom it is shown for, and whether it lets that one in.
  struct Holder {
    device::IdentityName who;
    net::CertifiedKey key;
    bool good = false;
  };

  /// After make_fleet(). `holders` are devices and modules, `registrants` register themselves (as devices of these names).
  void make_certified_fleet() {
    using std::chrono::hours;
    const auto root = [&](const char* name, hours before = hours{0}) {
      return net::make_root(name, hours{48}, clock.now() - before).value();
    };
    const auto leaf = [&](const net::CertifiedKey& issuer, const std::string& name, hours before = hours{0}) {
      return net::issue(issuer, client_request(name, hours{24}), clock.now() - before).value();
    };
    const hours past{47};  // the leaf's day is over, its issuer's two are not
    const auto plant = root("Plant", past);
    const auto unproved = root("Unproved");
    upload("plant", plant.certificate_pem);
    verify("plant", plant);
    upload("unproved", unproved.certificate_pem);

    const auto own = root("self"), expired = root("self", hours{72}), shut = root("shut"), edge3 = root("edge3");
    register_self_signed("self", own, &expired);
    register_self_signed("shut", shut, nullptr, R"("status":"disabled",)");
    register_self_signed("edge3", edge3, nullptr, R"("capabilities":{"iotEdge":true},)");
    register_by_authority("signed");
    register_by_authority("signed/modules/m");
    register_by_authority("barred");
    const std::string barred = R"({"authentication":{"type":"certificateAuthority"},"status":"disabled"})";
    EXPECT_EQ(call("PUT", "/devices/barred", barred, {{"if-match", "*"}}).status, 200);

    const auto line = net::issue(plant, authority_request("Line"), clock.now() - past).value();
    const auto is = [](const char* client_id) { return device::parse_client_id(client_id).value(); };
    holders = {{"self", {is("self"), own, true}},
               {"self, another certificate", {is("self"), root("self")}},
               {"self, expired", {is("self"), expired}},
               {"self, signed by the authority", {is("self"), leaf(plant, "self")}},
               {"edge3", {is("edge3"), edge3, true}},
               {"shut", {is("shut"), shut}},
               {"signed", {is("signed"), leaf(plant, "signed"), true}},
               {"signed, by an intermediate", {is("signed"), leaf(line, "signed"), true}},
               {"signed/m", {is("signed/m"), leaf(plant, "signed/m"), true}},
               {"signed, of another device", {is("signed"), leaf(plant, "self")}},
               {"signed, possession not proved", {is("signed"), leaf(unproved, "signed")}},
               {"signed, by nobody we know", {is("signed"), leaf(root("Plant"), "signed")}},
               {"signed, by itself", {is("signed"), root("signed")}},
               {"signed, expired", {is("signed"), leaf(plant, "signed", past)}},
               {"barred", {is("barred"), leaf(plant, "barred")}},
               {"d1, which has keys", {is("d1"), leaf(plant, "d1")}},
               {"nobody there", {is("unknown"), leaf(plant, "unknown")}}};

    const auto enrolled = root("reg2"), enrolled_once = root("reg2", hours{72});
    const auto pem = [](const net::CertifiedKey& key) { return json::Object{{"certificate", key.certificate_pem}}; };
    const json::Value certificates = json::Object{{"primary", pem(enrolled)}, {"secondary", pem(enrolled_once)}};
    const json::Value attestation = json::Object{{"type", "x509"}, {"x509", json::Object{{"clientCertificates", certificates}}}};
    EXPECT_EQ(call("PUT", "/enrollments/reg2", json::print(json::Object{{"attestation", attestation}})).status, 200);
    registrants = {{"reg2", {is("reg2"), enrolled, true}},
                   {"reg2, expired", {is("reg2"), enrolled_once}},
                   {"reg2, another certificate", {is("reg2"), root("reg2")}},
                   {"reg2, by the authority", {is("reg2"), leaf(plant, "reg2")}},
                   {"reg2, of another name", {is("reg2"), own}}};
  }

  void register_self_signed(const std::string& id, const net::CertifiedKey& first, const net::CertifiedKey* second,
                            const std::string& more = "") {
    const auto facts = net::inspect(first.certificate_pem).value();
    const std::string other = second ? net::inspect(second->certificate_pem)->sha256_thumbprint : std::string();
    const std::string body = R"({"deviceId":")" + id + "\"," + more +
                             R"("authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":")" +
                             facts.sha1_thumbprint + R"(","secondaryThumbprint":")" + other + R"("}}})";
    EXPECT_EQ(call("PUT", "/devices/" + id, body).status, 200);
  }

  static const std::map<std::string, std::string>& single_rights() {
    static const std::map<std::string, std::string> rights{{"only-EnrollmentRead", "EnrollmentRead"},
                                                           {"only-EnrollmentWrite", "EnrollmentWrite"},
                                                           {"only-StatusRead", "RegistrationStatusRead"},
                                                           {"only-StatusWrite", "RegistrationStatusWrite"},
                                                           {"no-rights", ""},
                                                           {"gone", "ServiceConnect"}};
    return rights;
  }

  std::string policy_token(const std::string& policy, const std::string& resource = "localhost",
                           std::chrono::seconds life = std::chrono::hours{1}) {
    return signed_with(hub->services().registry.policy(policy)->primary_key, policy, resource, life);
  }
  std::string signed_with(const std::string& key, const std::string& policy, const std::string& resource = "localhost",
                          std::chrono::seconds life = std::chrono::hours{1}) {
    return sas::make_token(resource, key, clock.now() + life, policy).value();
  }
  std::string resource(const char* device, const char* module = "") { return sas::device_resource("localhost", device, module); }
  std::string registration_token(const std::string& key) {
    return sas::make_token(id_scope + "/registrations/reg1", key, clock.now() + std::chrono::hours{1}, "registration").value();
  }
  device::Identity identity(const char* id) { return *hub->services().registry.identities().find({device::DeviceId(id), {}}); }

  /// Everyone, by the name they have in the tables, with what they show; "-" shows nothing.
  std::map<std::string, std::string> everyone() {
    const std::chrono::hours ago{-1};
    std::map<std::string, std::string> all{
        {"nobody", "-"},
        {"garbage", "SharedAccessSignature rubbish"},
        {"bearer", "Bearer eyJhbGciOi"},
        {"d1", token(d1)},
        {"d1, expired", token(d1, ago)},
        {"d1, wrong key", signed_with(sas::random_key(), "", resource("d1"))},
        {"d1, another hub", signed_with(d1.primary_key, "", sas::device_resource("other.example.net", "d1"))},
        {"d1 as d2", signed_with(d1.primary_key, "", resource("d2"))},
        {"d1/m", token(module("d1", "m"))},
        {"d2", token(d2)},
        {"d2/m", token(module("d2", "m"))},
        {"off", token(identity("off"))},
        {"unknown", signed_with(sas::random_key(), "", resource("unknown"))},
        {"edge1", token(edge1)},
        {"edge1/$edgeHub", token(module("edge1", "$edgeHub"))},
        {"edge1/filter", token(module("edge1", "filter"))},
        {"edge2", token(identity("edge2"))},
        {"edge2/$edgeHub", token(module("edge2", "$edgeHub"))},
        {"owner, expired", policy_token("iothubowner", "localhost", ago)},
        {"owner, another hub", policy_token("iothubowner", "other.example.net")},
        {"owner for d1", policy_token("iothubowner", resource("d1"))},
        {"device for d1", policy_token("device", resource("d1"))},
        {"device for d2", policy_token("device", resource("d2"))},
        {"service for d1", policy_token("service", resource("d1"))},
        {"deleted policy", signed_with(deleted_key, "gone")},
        {"old key of service", signed_with(old_key, "service")},
        {"registrant", registration_token(registration_key)},
        {"registrant, wrong key", registration_token(sas::random_key())}};
    for (const auto& policy : hub->services().registry.policies().list()) all[policy->name] = policy_token(policy->name);
    return all;
  }

  /// Lines of `log` that tell of an attempt that was refused.
  static std::size_t refusals_in(const std::string& log) {
    std::istringstream lines(log);
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line);)
      if (line.find("refused") != std::string::npos) ++count;
    return count;
  }
  std::uint64_t refusals_counted() {
    std::uint64_t all = 0;
    for (const auto& one : hub->services().counters.refusals.readings()) all += one.count;
    return all;
  }
  void expect_no_secret(const std::string& log) {
    std::vector<std::string> secrets{"sig=", "SharedAccessSignature", registration_key, deleted_key, old_key};
    const Registry& registry = hub->services().registry;
    for (const auto& policy : registry.policies().list())
      for (const auto& key : {policy->primary_key, policy->secondary_key}) secrets.push_back(key);
    for (const auto& [name, holder] : holders) secrets.push_back(holder.key.key_pem);
    for (const char* id : {"d1", "d2", "off", "edge1", "edge2"}) {
      secrets.push_back(identity(id).primary_key);
      secrets.push_back(identity(id).secondary_key);
      for (const auto& module : registry.identities().modules_of(device::DeviceId(id))) secrets.push_back(module->primary_key);
    }
    for (const auto& secret : secrets) EXPECT_EQ(log.find(secret), std::string::npos) << "a secret is in the log";
    for (const auto& [name, shown] : everyone()) {
      const auto at = shown.find("sig=");
      if (at == std::string::npos) continue;
      const std::string signature = shown.substr(at + 4, 40);
      EXPECT_EQ(log.find(signature), std::string::npos) << "the signature of " << name << " is in the log";
    }
  }
  void expect_known_reasons() {
    for (const auto& one : hub->services().counters.refusals.readings())
      EXPECT_NE(one.reason, "other") << one.way << ": a sentence of Fault::denied has no word in refusals.cc";
  }

  device::Identity d1, d2, edge1;
  std::string registration_key, id_scope, deleted_key, old_key;
  std::map<std::string, Holder> holders, registrants;
};

}  // namespace nacelle::hub::testing
