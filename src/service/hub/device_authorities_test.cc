#include "service/hub/device_authorities.h"

#include <gtest/gtest.h>

#include "service/hub/certificate_testing.h"
#include "service/hub/hub_testing.h"
#include "service/hub/schema.h"

namespace nacelle::hub {
namespace {

using hub::testing::authority_request;
using hub::testing::client_request;
using hub::testing::der_of;
using std::chrono::hours;

class DeviceAuthoritiesTest : public ::testing::Test {
 protected:
  DeviceAuthoritiesTest() : tables(open_registry_tables(folder.path()).value()) { open(); }
  void open() {
    authorities = DeviceAuthorities::open(tables, strand.get_executor(), clock, own.certificate_pem).value();
    authorities->on_withdrawn([this](const device::IdentityName& who) { withdrawn.push_back(who.client_id()); });
  }
  net::CertifiedKey make_root(const std::string& name) { return net::make_root(name, hours{24 * 365}, clock.now()).value(); }
  /// A certificate for `name`, with its chain, as shown in a handshake.
  Bytes leaf(const net::CertifiedKey& issuer, const std::string& name) {
    return der_of(net::issue(issuer, client_request(name), clock.now()).value().certificate_pem);
  }
  device::Identity by_authority(const std::string& id) {
    device::Identity identity;
    identity.name.device = device::DeviceId(id);
    identity.authentication = device::Authentication::certificate_authority;
    return identity;
  }
  void expect_denied(const device::Identity& who, const Bytes& shown, const std::string& reason) {
    const auto result = authorities->prove(who, shown);
    ASSERT_FALSE(result) << reason;
    EXPECT_EQ(result.error().fault, Fault::denied);
    EXPECT_NE(result.error().message.find(reason), std::string::npos) << result.error().message;
  }
  DeviceAuthority verify(const std::string& name, const net::CertifiedKey& root) {
    const auto asked = authorities->generate_code(name).value();
    const auto proof = net::issue(root, client_request(asked.code), clock.now()).value();
    // Of a chain the first: what is issued below an intermediate carries that, too.
    return authorities->verify(name, proof.certificate_pem.substr(0, proof.certificate_pem.find("-----END CERTIFICATE-----") + 26))
        .value();
  }
  void run_notes() {
    strand.restart();
    strand.poll();
  }

  hub::testing::TemporaryFolder folder;
  ManualClock clock;
  storage::Database tables;
  net::CertifiedKey own = make_root("The hub's");
  net::CertifiedKey plant = make_root("Plant");
  asio::io_context strand;
  std::unique_ptr<DeviceAuthorities> authorities;
  std::vector<std::string> withdrawn;
};

TEST_F(DeviceAuthoritiesTest, only_an_authority_whose_possession_is_proved_lets_devices_in) {
  const auto press = by_authority("press-7");
  const Bytes shown = leaf(plant, "press-7");
  expect_denied(press, shown, "no trusted authority");
  ASSERT_TRUE(authorities->put("plant", plant.certificate_pem));
  expect_denied(press, shown, "no trusted authority");  // uploaded, not verified
  EXPECT_EQ(authorities->anchors("plant"), nullptr);
  const auto verified = verify("plant", plant);
  EXPECT_TRUE(verified.verified);
  EXPECT_TRUE(verified.code.empty());
  const auto until = authorities->prove(press, shown);
  ASSERT_TRUE(until) << until.error().message;
  EXPECT_EQ(*until, clock.now() + hours{24}) << "the certificate's end";
  EXPECT_NE(authorities->anchors("plant"), nullptr);
}

TEST_F(DeviceAuthoritiesTest, the_hubs_own_authority_for_devices_needs_no_upload) {
  EXPECT_TRUE(authorities->prove(by_authority("press-7"), leaf(own, "press-7")));
  EXPECT_TRUE(authorities->list()->empty());
}

TEST_F(DeviceAuthoritiesTest, the_common_name_is_the_device_exactly) {
  const Bytes shown = leaf(own, "press-7");
  for (const char* other : {"Press-7", "press-77", "press", "press-7/filter"})
    expect_denied(by_authority(other), shown, "common name");
  auto module = by_authority("press-7");
  module.name.module = device::ModuleId("filter");
  expect_denied(module, shown, "common name");
  EXPECT_TRUE(authorities->prove(module, leaf(own, "press-7/filter")));
}

TEST_F(DeviceAuthoritiesTest, a_chain_over_intermediates_counts_and_expired_unknown_and_garbage_do_not) {
  ASSERT_TRUE(authorities->put("plant", plant.certificate_pem));
  verify("plant", plant);
  const auto line = net::issue(plant, authority_request("Line"), clock.now()).value();
  const Bytes shown = leaf(line, "press-7");
  const auto press = by_authority("press-7");
  EXPECT_TRUE(authorities->prove(press, shown));
  expect_denied(press, leaf(make_root("Plant"), "press-7"), "no trusted authority");
  EXPECT_FALSE(authorities->prove(press, "garbage"));
  EXPECT_FALSE(authorities->prove(press, BytesView(shown).substr(0, shown.size() / 2)));
  clock.advance(hours{25});
  expect_denied(press, shown, "expired");
}

TEST_F(DeviceAuthoritiesTest, a_proof_of_another_key_another_code_or_no_code_is_refused) {
  ASSERT_TRUE(authorities->put("plant", plant.certificate_pem));
  const auto signed_by = [&](const net::CertifiedKey& key, const std::string& name) {
    return net::issue(key, client_request(name), clock.now()).value().certificate_pem;
  };
  EXPECT_EQ(authorities->verify("plant", signed_by(plant, "x")).error().fault, Fault::invalid_input) << "no code yet";
  const std::string first = authorities->generate_code("plant")->code;
  const std::string code = authorities->generate_code("plant")->code;
  EXPECT_NE(first, code);
  EXPECT_EQ(code.size(), 48u);
  EXPECT_EQ(authorities->verify("plant", signed_by(make_root("Plant"), code)).error().fault, Fault::denied);
  EXPECT_EQ(authorities->verify("plant", signed_by(plant, first)).error().fault, Fault::denied) << "the code before";
  EXPECT_EQ(authorities->verify("plant", signed_by(plant, code + "x")).error().fault, Fault::denied);
  EXPECT_EQ(authorities->verify("plant", plant.certificate_pem).error().fault, Fault::denied);
  EXPECT_EQ(authorities->verify("plant", "nonsense!").error().fault, Fault::invalid_input);
  EXPECT_EQ(authorities->verify("nobody", signed_by(plant, code)).error().fault, Fault::not_found);
  EXPECT_FALSE(authorities->find("plant")->verified);
  EXPECT_TRUE(authorities->verify("plant", signed_by(plant, code)));
  EXPECT_FALSE(authorities->verify("plant", signed_by(plant, code))) << "a code is good once";
}

TEST_F(DeviceAuthoritiesTest, what_is_no_valid_authority_is_not_taken) {
  const auto device = net::issue(plant, client_request("press-7"), clock.now()).value();
  EXPECT_EQ(authorities->put("a", device.certificate_pem).error().fault, Fault::invalid_input) << "a leaf";
  EXPECT_EQ(authorities->put("a", plant.key_pem).error().fault, Fault::invalid_input);
  EXPECT_EQ(authorities->put("a", std::string(100'000, 'A')).error().fault, Fault::invalid_input);
  EXPECT_EQ(authorities->put("a b", plant.certificate_pem).error().fault, Fault::invalid_input);
  EXPECT_EQ(authorities->put("", plant.certificate_pem).error().fault, Fault::invalid_input);
  EXPECT_EQ(authorities->put(std::string(65, 'a'), plant.certificate_pem).error().fault, Fault::invalid_input);
  ASSERT_TRUE(authorities->put("a", plant.certificate_pem));
  EXPECT_EQ(authorities->put("b", plant.certificate_pem).error().fault, Fault::conflict) << "the same under another name";
  clock.advance(hours{24 * 366});
  EXPECT_EQ(authorities->put("a", plant.certificate_pem).error().fault, Fault::invalid_input) << "it has ended";
}

TEST_F(DeviceAuthoritiesTest, there_is_a_most) {
  for (std::size_t i = 0; i < DeviceAuthorities::most; ++i)
    ASSERT_TRUE(authorities->put("ca-" + std::to_string(i), make_root("Plant " + std::to_string(i)).certificate_pem));
  EXPECT_EQ(authorities->put("one-more", plant.certificate_pem).error().fault, Fault::exhausted);
  EXPECT_TRUE(authorities->put("ca-0", plant.certificate_pem)) << "in place of another";
}

TEST_F(DeviceAuthoritiesTest, deleting_or_replacing_one_cuts_off_whom_it_let_in_and_nobody_else) {
  const auto other = make_root("Other");
  for (const auto& [name, root] : {std::pair<const char*, const net::CertifiedKey*>{"plant", &plant}, {"other", &other}}) {
    ASSERT_TRUE(authorities->put(name, root->certificate_pem));
    verify(name, *root);
  }
  for (const auto& [id, root] :
       {std::pair<const char*, const net::CertifiedKey*>{"a", &plant}, {"b", &plant}, {"c", &other}, {"d", &own}})
    ASSERT_TRUE(authorities->prove(by_authority(id), leaf(*root, id)));
  run_notes();
  ASSERT_TRUE(authorities->remove("plant"));
  EXPECT_EQ(withdrawn, (std::vector<std::string>{"a", "b"}));
  expect_denied(by_authority("a"), leaf(plant, "a"), "no trusted authority");
  withdrawn.clear();
  ASSERT_TRUE(authorities->put("other", plant.certificate_pem));
  EXPECT_EQ(withdrawn, (std::vector<std::string>{"c"}));
  EXPECT_FALSE(authorities->find("other")->verified);
  EXPECT_EQ(authorities->remove("plant").error().fault, Fault::not_found);
}

TEST_F(DeviceAuthoritiesTest, who_was_checked_before_a_deletion_and_connects_after_it_is_cut_off) {
  ASSERT_TRUE(authorities->put("plant", plant.certificate_pem));
  verify("plant", plant);
  const auto press = by_authority("press-7");
  ASSERT_TRUE(authorities->prove(press, leaf(plant, "press-7")));
  ASSERT_TRUE(authorities->remove("plant"));
  EXPECT_TRUE(withdrawn.empty()) << "no connection is known yet";
  run_notes();
  authorities->connected(press.name);
  EXPECT_EQ(withdrawn, (std::vector<std::string>{"press-7"}));
}

TEST_F(DeviceAuthoritiesTest, a_restart_keeps_them) {
  ASSERT_TRUE(authorities->put("plant", plant.certificate_pem));
  const auto verified = verify("plant", plant);
  ASSERT_TRUE(authorities->put("other", make_root("Other").certificate_pem));
  const std::string code = authorities->generate_code("other")->code;
  open();
  EXPECT_TRUE(authorities->prove(by_authority("press-7"), leaf(plant, "press-7")));
  EXPECT_EQ(authorities->find("plant")->etag, verified.etag);
  EXPECT_EQ(authorities->find("other")->code, code);
}

TEST_F(DeviceAuthoritiesTest, thumbprints_of_either_length_in_either_slot_without_case_while_the_dates_hold) {
  const Bytes shown = leaf(plant, "whatever");
  const auto facts = net::inspect_der(shown).value();
  std::string upper = facts.sha1_thumbprint;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const std::string& thumbprint : {facts.sha1_thumbprint, upper, facts.sha256_thumbprint}) {
    for (const bool first : {true, false}) {
      device::Identity identity;
      identity.name.device = device::DeviceId("press-7");
      identity.authentication = device::Authentication::self_signed;
      (first ? identity.primary_thumbprint : identity.secondary_thumbprint) = thumbprint;
      EXPECT_TRUE(authorities->prove(identity, shown)) << thumbprint;
      expect_denied(identity, leaf(plant, "whatever"), "not the registered one");
    }
  }
  device::Identity none;
  none.authentication = device::Authentication::self_signed;
  expect_denied(none, shown, "not the registered one");
  none.authentication = device::Authentication::none;
  expect_denied(none, shown, "not registered to come with a certificate");
  none.authentication = device::Authentication::self_signed;
  none.primary_thumbprint = facts.sha256_thumbprint;
  clock.advance(hours{25});
  expect_denied(none, shown, "not now");
}

}  // namespace
}  // namespace nacelle::hub
