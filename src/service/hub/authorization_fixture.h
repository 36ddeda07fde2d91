#pragma once
// For the authorisation tables: a small fleet, every kind of identity that may knock, and what the hub logs meanwhile.

#include <map>
#include <set>
#include <sstream>

#include "foundation/log.h"
#include "net/mqtt/scripted_peer_test.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {

/// `d1` with its module `m` is a leaf below the edge `edge1`; `d2` with `m` and the edge `edge2` are strangers to it; `off` is
/// disabled. `reg1` may register. Policies of one right each, one of none, one that was deleted.
class AuthorizationTest : public HubTest {
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
};

}  // namespace nacelle::hub::testing
