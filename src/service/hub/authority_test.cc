#include "service/hub/authority.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "net/tls/context.h"
#include "service/hub/certificate_testing.h"
#include "service/hub/hub_testing.h"

namespace nacelle::hub {
namespace {

using hub::testing::der_of;
using std::chrono::hours;

class AuthorityTest : public ::testing::Test {
 protected:
  std::unique_ptr<Authority> open() {
    return Authority::open(folder.path() / "certs", server_names("hub.example"), clock, storage::real_file_system()).value();
  }
  net::CertificateFacts fact(const Authority& authority, const std::string& name) {
    const auto all = authority.facts().value();
    for (const auto& [found, facts] : all)
      if (found == name) return facts;
    return {};
  }
  std::shared_ptr<const net::TrustAnchors> trusting(const std::string& pem) { return net::TrustAnchors::make({pem}).value(); }

  hub::testing::TemporaryFolder folder;
  ManualClock clock;
};

TEST_F(AuthorityTest, root_intermediate_and_server_stand_in_a_chain_and_a_restart_keeps_them) {
  const auto authority = open();
  const auto chain = net::inspect_all(authority->server()->certificate_pem).value();
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[0].common_name, "hub.example");
  EXPECT_EQ(chain[0].issuer, chain[1].subject);
  EXPECT_EQ(chain[1].issuer, fact(*authority, "root").subject);
  EXPECT_TRUE(chain[1].authority);
  for (const char* key : {"ca.key", "intermediate.key", "devices.key", "server.key"}) {
    struct stat found {};
    ASSERT_EQ(::stat((folder.path() / "certs" / key).c_str(), &found), 0) << key;
    EXPECT_EQ(found.st_mode & 0777, 0600u) << key;
  }
  const auto again = open();
  EXPECT_EQ(again->server()->certificate_pem, authority->server()->certificate_pem);
  EXPECT_EQ(again->devices_pem(), authority->devices_pem());
}

TEST_F(AuthorityTest, those_that_nobody_renews_are_warned_of_a_year_before_their_end) {
  const auto authority = open();
  EXPECT_EQ(authority->warn_of_ends(), 0u);
  clock.set(fact(*authority, "root").not_after - hours{24 * 366});
  EXPECT_EQ(authority->warn_of_ends(), 0u);
  clock.advance(hours{48});
  EXPECT_EQ(authority->warn_of_ends(), 2u) << "root and devices";
}

TEST_F(AuthorityTest, a_request_is_signed_for_the_purpose_asked_for) {
  const auto authority = open();
  net::CertificateRequest request;
  request.common_name = "press-7";
  EXPECT_FALSE(authority->sign(Authority::Purpose::device, request, "no request"));
  EXPECT_FALSE(authority->sign(Authority::Purpose::device, request, authority->root_pem()));
}

TEST_F(AuthorityTest, other_names_of_the_host_stand_in_its_certificate) {
  const auto authority = Authority::open(folder.path() / "certs", server_names("hub.example", {"gateway.example", "10.1.2.3"}),
                                         clock, storage::real_file_system())
                             .value();
  const auto facts = fact(*authority, "server");
  EXPECT_EQ(facts.common_name, "hub.example");
  EXPECT_EQ(std::count(facts.dns_names.begin(), facts.dns_names.end(), "gateway.example"), 1);
  EXPECT_EQ(std::count(facts.ip_addresses.begin(), facts.ip_addresses.end(), "10.1.2.3"), 1);
}

TEST_F(AuthorityTest, the_server_certificate_is_renewed_thirty_days_before_its_end_and_told_once) {
  const auto authority = open();
  std::vector<std::string> told;
  authority->on_renewed([&](const net::CertifiedKey& server) {
    told.push_back(server.certificate_pem);
    return Result<>{};
  });
  const std::string first = authority->server()->certificate_pem;
  clock.advance(hours{24 * 334});
  EXPECT_FALSE(authority->renew().value()) << "31 days are left";
  clock.advance(hours{25 * 24});
  EXPECT_TRUE(authority->renew().value());
  EXPECT_FALSE(authority->renew().value());
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0], authority->server()->certificate_pem);
  EXPECT_NE(told[0], first);
  EXPECT_EQ(fact(*authority, "server").not_after, clock.now() + hours{24 * 365});
  EXPECT_EQ(open()->server()->certificate_pem, told[0]) << "it is on disk";
}

TEST_F(AuthorityTest, a_certificate_that_could_not_be_served_is_told_again) {
  const auto authority = open();
  int calls = 0;
  authority->on_renewed(
      [&](const net::CertifiedKey&) { return ++calls == 1 ? Result<>(fail(Fault::exhausted, "busy")) : Result<>{}; });
  EXPECT_FALSE(authority->renew(true));
  EXPECT_TRUE(authority->renew());
  EXPECT_TRUE(authority->renew());
  EXPECT_EQ(calls, 2);
}

TEST_F(AuthorityTest, the_intermediate_is_renewed_before_it_shortens_the_servers) {
  const auto authority = open();
  const std::string root = authority->root_pem();
  const auto before = fact(*authority, "intermediate");
  for (int years = 0; years < 12; ++years) {
    clock.advance(hours{24 * 340});
    ASSERT_TRUE(authority->renew()) << years;
    EXPECT_EQ(fact(*authority, "server").not_after, clock.now() + hours{24 * 365}) << years;
  }
  EXPECT_NE(fact(*authority, "intermediate").sha256_thumbprint, before.sha256_thumbprint);
  EXPECT_EQ(authority->root_pem(), root) << "clients trust it: it stays";
}

TEST_F(AuthorityTest, a_kill_between_the_two_files_of_a_renewal_is_mended) {
  std::string certificate;
  {
    const auto authority = open();
    certificate = authority->server()->certificate_pem;
  }
  const auto other = net::make_root("Other", hours{24}, clock.now()).value();
  for (const char* name : {"server.key", "intermediate.key"})
    ASSERT_TRUE(storage::write_file_atomic(storage::real_file_system(), folder.path() / "certs" / name, other.key_pem, 0600));
  const auto mended = open();
  EXPECT_TRUE(mended->renew(true));
  EXPECT_TRUE(mended->issue_edge_authority("edge-1"));
  EXPECT_NE(mended->server()->certificate_pem, certificate);
  EXPECT_TRUE(net::TlsServerContext::make(mended->server()->certificate_pem, mended->server()->key_pem));
}

TEST_F(AuthorityTest, what_an_edge_signs_lets_no_device_in) {
  const auto authority = open();
  const auto edge = authority->issue_edge_authority("edge-1").value();
  const auto forged = net::issue(edge, hub::testing::client_request("press-7"), clock.now()).value();
  const auto devices = trusting(authority->devices_pem());
  EXPECT_TRUE(trusting(authority->root_pem())->check(der_of(forged.certificate_pem), clock.now())) << "it is of this root";
  EXPECT_FALSE(devices->check(der_of(forged.certificate_pem), clock.now()));
  const auto own = authority->issue(Authority::Purpose::device, hub::testing::client_request("press-7")).value();
  const auto proof = devices->check(der_of(own.certificate_pem), clock.now());
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_EQ(proof->leaf.common_name, "press-7");
  const auto server = authority->issue(Authority::Purpose::server, hub::testing::client_request("other.example")).value();
  EXPECT_FALSE(trusting(authority->root_pem())->check(der_of(server.certificate_pem), clock.now())) << "not for clients";
}

}  // namespace
}  // namespace nacelle::hub
