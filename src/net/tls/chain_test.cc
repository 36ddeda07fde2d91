#include "net/tls/chain.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "codec/text/encoding.h"
#include "net/tls/detail/openssl.h"

namespace nacelle::net {
namespace {

using std::chrono::hours;

const Timestamp now = from_unix_seconds(1'893'456'000);
constexpr hours year{24 * 365};

CertificateRequest authority(const std::string& name, std::optional<int> path_length = {}, hours lifetime = year) {
  CertificateRequest request;
  request.common_name = name;
  request.authority = true;
  request.path_length = path_length;
  request.lifetime = lifetime;
  return request;
}

CertificateRequest client(const std::string& name, hours lifetime = year) {
  CertificateRequest request;
  request.common_name = name;
  request.client = true;
  request.server = false;
  request.lifetime = lifetime;
  return request;
}

/// What a TLS client with this chain shows.
Bytes shown(const CertifiedKey& key) {
  const auto certificates = openssl::read_certificates(key.certificate_pem);
  Bytes all;
  for (const auto& one : *certificates) all += openssl::to_der(one.get());
  return all;
}

const CertifiedKey& root() {
  static const CertifiedKey one = *make_root("Plant root", 20 * year, now);
  return one;
}

std::shared_ptr<const TrustAnchors> trusting(const CertifiedKey& key) {
  // Of a chain, its first certificate.
  return *TrustAnchors::make({openssl::to_pem(openssl::read_certificates(key.certificate_pem)->front().get())});
}

/// A certificate that only OpenSSL's own calls make: with whatever extensions `add` gives it.
Bytes handmade(const CertifiedKey& issuer, const std::string& name, const std::vector<std::pair<int, const char*>>& extensions,
               openssl::Key& key, const EVP_MD* hash = EVP_sha256()) {
  const auto issuers = openssl::read_certificates(issuer.certificate_pem);
  const auto issuer_key = openssl::read_key(issuer.key_pem);
  if (!key) key.reset(EVP_EC_gen("P-256"));
  const openssl::Certificate made(X509_new());
  X509_set_version(made.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 4711);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()), static_cast<int>(name.size()), -1, 0);
  X509_set_issuer_name(made.get(), X509_get_subject_name(issuers->front().get()));
  X509_set_pubkey(made.get(), key.get());
  ASN1_TIME_set(X509_getm_notBefore(made.get()), unix_seconds(now) - 60);
  ASN1_TIME_set(X509_getm_notAfter(made.get()), unix_seconds(now) + 3600);
  for (const auto& [nid, value] : extensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(made.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(made.get(), issuer_key->get(), hash);
  return openssl::to_der(made.get());
}

std::string pem_of(const Bytes& der) { return openssl::to_pem(openssl::read_ders(der, 1)->front().get()); }

std::string key_pem(const openssl::Key& key) {
  const openssl::Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return openssl::text_of(bio);
}

void expect_denied(const Result<TrustAnchors::Proof>& result, const char* reason) {
  ASSERT_FALSE(result) << "expected: " << reason;
  EXPECT_EQ(result.error().fault, Fault::denied);
  EXPECT_NE(result.error().message.find(reason), std::string::npos) << result.error().message;
}

TEST(TrustAnchors, a_leaf_of_the_authority_is_proved) {
  const auto leaf = issue(root(), client("press-7", hours{24}), now);
  const auto proof = trusting(root())->check(shown(*leaf), now);
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_EQ(proof->leaf.common_name, "press-7");
  EXPECT_EQ(proof->length, 2u);
  EXPECT_EQ(proof->until, now + hours{24});
  EXPECT_EQ(proof->anchor, inspect(root().certificate_pem)->sha256_thumbprint);
}

TEST(TrustAnchors, intermediates_that_the_client_sends_link_it_and_without_them_it_is_nobodys) {
  const auto plant = *issue(root(), authority("Plant"), now);
  const auto line = *issue(plant, authority("Line"), now);
  const auto leaf = *issue(line, client("press-7"), now);
  const Bytes chain = shown(leaf);
  const auto proof = trusting(root())->check(chain, now);
  ASSERT_TRUE(proof) << proof.error().message;
  EXPECT_EQ(proof->length, 4u);
  const Bytes alone = openssl::to_der(openssl::read_ders(chain, 10)->front().get());
  expect_denied(trusting(root())->check(alone, now), "unable to get local issuer");
  EXPECT_TRUE(trusting(line)->check(alone, now)) << "an intermediate may be the anchor";
  EXPECT_EQ(trusting(plant)->check(chain, now)->anchor, inspect(plant.certificate_pem)->sha256_thumbprint);
}

TEST(TrustAnchors, an_unknown_authority_of_the_same_name_is_denied) {
  const auto stranger = *make_root("Plant root", year, now);
  const auto leaf = *issue(stranger, client("press-7"), now);
  EXPECT_FALSE(trusting(root())->check(shown(leaf), now));
  EXPECT_FALSE(trusting(root())->check(shown(leaf) + shown(stranger), now)) << "though it sends its own root";
  EXPECT_FALSE((*TrustAnchors::make({}))->check(shown(leaf) + shown(stranger), now)) << "no anchors trust nobody";
}

TEST(TrustAnchors, dates_count_at_the_given_time_for_every_link) {
  const auto brief = *issue(root(), authority("Brief", {}, hours{48}), now);
  const auto leaf = *issue(brief, client("press-7", hours{24}), now);
  EXPECT_TRUE(trusting(root())->check(shown(leaf), now + hours{23}));
  expect_denied(trusting(root())->check(shown(leaf), now + hours{25}), "expired");
  expect_denied(trusting(root())->check(shown(leaf), now - hours{1}), "not yet valid");
  openssl::Key key;
  const auto briefer = *issue(root(), authority("Briefer", {}, hours{0}), now);
  const Bytes outliving = handmade(briefer, "press-7", {}, key);  // for an hour
  EXPECT_TRUE(trusting(root())->check(outliving + shown(briefer), now - std::chrono::seconds{5}));
  expect_denied(trusting(root())->check(outliving + shown(briefer), now + std::chrono::seconds{5}), "expired");
}

TEST(TrustAnchors, a_leaf_that_signs_is_no_authority) {
  const auto leaf = *issue(root(), client("press-7"), now);
  openssl::Key key;
  const Bytes forged = handmade(leaf, "press-8", {}, key);
  expect_denied(trusting(root())->check(forged + shown(leaf), now), "invalid CA certificate");
}

TEST(TrustAnchors, an_issuer_without_basic_constraints_is_no_authority) {
  openssl::Key key;
  const Bytes old = handmade(root(), "Old", {{NID_key_usage, "keyCertSign,digitalSignature"}}, key);
  const CertifiedKey issuer{pem_of(old), key_pem(key)};
  openssl::Key own;
  const Bytes leaf = handmade(issuer, "press-7", {}, own);
  expect_denied(trusting(root())->check(leaf + old, now), "invalid CA certificate");
  // For the sake of its key usage OpenSSL by itself would take it as an anchor.
  expect_denied(trusting(issuer)->check(leaf, now), "not an authority");
}

TEST(TrustAnchors, path_length_is_kept) {
  const auto short_root = *issue(root(), authority("Short", 0), now);
  EXPECT_TRUE(trusting(short_root)->check(shown(*issue(short_root, client("press-7"), now)), now));
  const auto below = *issue(short_root, authority("Below"), now);
  expect_denied(trusting(short_root)->check(shown(*issue(below, client("press-7"), now)), now), "path length");
  expect_denied(trusting(root())->check(shown(*issue(below, client("press-7"), now)), now), "path length");
}

TEST(TrustAnchors, a_name_constraint_is_kept) {
  openssl::Key key;
  const Bytes bounded =
      handmade(root(), "Bounded",
               {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_name_constraints, "critical,permitted;DNS:plant.example"}}, key);
  const CertifiedKey issuer{pem_of(bounded), key_pem(key)};
  for (const auto& [dns, good] : {std::pair{"a.plant.example", true}, {"a.other.example", false}}) {
    openssl::Key own;
    const std::string names = std::string("DNS:") + dns;
    const Bytes leaf = handmade(issuer, "press-7", {{NID_subject_alt_name, names.c_str()}}, own);
    EXPECT_EQ(trusting(root())->check(leaf + bounded, now).has_value(), good) << dns;
  }
}

TEST(TrustAnchors, what_it_may_be_used_for_counts) {
  CertificateRequest request = client("press-7");
  request.client = false;
  request.server = true;
  expect_denied(trusting(root())->check(shown(*issue(root(), request, now)), now), "purpose");
  request.client = true;
  EXPECT_TRUE(trusting(root())->check(shown(*issue(root(), request, now)), now)) << "for both";
  openssl::Key key;
  EXPECT_TRUE(trusting(root())->check(handmade(root(), "press-7", {}, key), now)) << "it does not say";
}

TEST(TrustAnchors, weak_hashes_and_weak_keys_are_denied) {
  openssl::Key key;
  expect_denied(trusting(root())->check(handmade(root(), "press-7", {}, key, EVP_sha1()), now), "too weak");
  openssl::Key weak(EVP_RSA_gen(1024));
  expect_denied(trusting(root())->check(handmade(root(), "press-7", {}, weak), now), "too weak");
  openssl::Key strong(EVP_RSA_gen(2048));
  EXPECT_TRUE(trusting(root())->check(handmade(root(), "press-7", {}, strong), now));
}

TEST(TrustAnchors, a_changed_byte_anywhere_is_denied) {
  const Bytes good = shown(*issue(root(), client("press-7"), now));
  const auto anchors = trusting(root());
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(anchors->check(changed, now)) << at;
  }
}

TEST(TrustAnchors, the_authority_itself_is_no_device) {
  expect_denied(trusting(root())->check(shown(root()), now), "the authority's own");
}

TEST(TrustAnchors, truncations_garbage_and_long_chains_are_refused) {
  const auto leaf = *issue(*issue(root(), authority("Plant"), now), client("press-7"), now);
  const Bytes good = shown(leaf);
  const auto anchors = trusting(root());
  const std::size_t first = openssl::to_der(openssl::read_ders(good, 10)->front().get()).size();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(anchors->check(BytesView(good).substr(0, size), now)) << size << " of " << first << " + ..";
  EXPECT_FALSE(anchors->check(good + "x", now));
  EXPECT_FALSE(anchors->check("\x30\x84\x7f\xff\xff\xff", now)) << "a size of 2 GiB";
  EXPECT_FALSE(anchors->check(Bytes("\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff", 10), now));
  EXPECT_FALSE(anchors->check(Bytes(32 * 1024, '\x30'), now));
  Bytes many = good;
  for (int i = 0; i < 9; ++i) many += shown(root());
  const auto refused = anchors->check(many, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::invalid_input);
}

TEST(Issue, an_authority_without_a_key_identifier_signs_too) {
  openssl::Key key;
  const Bytes old = handmade(root(), "Old", {{NID_basic_constraints, "critical,CA:TRUE"}}, key);
  const auto leaf = issue({pem_of(old), key_pem(key)}, client("press-7", hours{1}), now);
  ASSERT_TRUE(leaf) << leaf.error().message;
  EXPECT_TRUE(trusting(root())->check(shown(*leaf), now));
}

TEST(CheckSignedBy, only_what_the_authority_itself_signed_and_is_valid_now) {
  const auto plant = *issue(root(), authority("Plant"), now);
  const auto proof = *issue(root(), client("0123ABCD", hours{24}), now);
  const auto facts = check_signed_by(root().certificate_pem, proof.certificate_pem, now);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->common_name, "0123ABCD");
  EXPECT_FALSE(check_signed_by(plant.certificate_pem, proof.certificate_pem, now));
  EXPECT_FALSE(check_signed_by(make_root("Plant root", year, now)->certificate_pem, proof.certificate_pem, now));
  EXPECT_FALSE(check_signed_by(root().certificate_pem, proof.certificate_pem, now + hours{25}));
  EXPECT_FALSE(check_signed_by(root().certificate_pem, "nonsense", now));
  const auto indirect = *issue(plant, client("0123ABCD"), now);
  EXPECT_FALSE(check_signed_by(root().certificate_pem, indirect.certificate_pem, now));
}

// -- Reading ------------------------------------------------------------------------------------------------------------

TEST(ReadOne, takes_pem_base64_of_pem_and_base64_of_der) {
  const std::string pem = root().certificate_pem;
  for (const std::string& text : {pem, "  \n" + pem, text::base64_encode(pem), text::base64_encode(shown(root()))}) {
    const auto read = read_one(text);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, pem);
  }
  const std::string body = pem.substr(28, pem.size() - 28 - 26);  // between the two lines, broken as PEM is
  EXPECT_EQ(read_one(body).value(), pem);
}

TEST(ReadOne, refuses_what_is_none_or_several_or_too_large) {
  const std::string pem = root().certificate_pem;
  for (const std::string& text : {std::string(), std::string("nonsense!"), std::string("bm9uc2Vuc2U="), pem + pem,
                                  std::string(16 * 1024 + 1, 'A'), pem.substr(0, pem.size() / 2), root().key_pem})
    EXPECT_FALSE(read_one(text)) << text.substr(0, 40);
  for (std::size_t size = 0; size + 26 < pem.size(); size += 3) EXPECT_FALSE(read_one(pem.substr(0, size))) << size;
}

TEST(ReadOne, a_certificate_that_claims_to_be_encrypted_asks_nobody_for_a_password) {
  std::string pem = root().certificate_pem;
  pem.insert(pem.find('\n') + 1, "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n");
  EXPECT_FALSE(read_one(pem));
  EXPECT_FALSE(inspect(pem));
}

TEST(Inspect, tells_thumbprints_serial_and_authority) {
  const auto facts = inspect(root().certificate_pem);
  EXPECT_EQ(facts->sha1_thumbprint.size(), 40u);
  EXPECT_EQ(facts->serial.size(), 32u);
  EXPECT_EQ(facts->subject, "CN=Plant root");
  EXPECT_TRUE(facts->authority);
  EXPECT_FALSE(inspect(issue(root(), client("press-7"), now)->certificate_pem)->authority);
  EXPECT_EQ(inspect_all(issue(*issue(root(), authority("Plant"), now), client("press-7"), now)->certificate_pem)->size(), 2u);
}

TEST(Inspect, a_common_name_with_a_nul_is_no_name) {
  openssl::Key key;
  EXPECT_EQ(inspect_der(handmade(root(), std::string("press-7\0.evil", 13), {}, key))->common_name, "");
}

TEST(Inspect, an_end_in_the_year_9999_is_told) {
  CertificateRequest request = client("press-7");
  const auto forever = *make_root("Forever", hours{24 * 365 * 7960}, now);
  EXPECT_GT(unix_seconds(inspect(forever.certificate_pem)->not_after), 250'000'000'000);
}

}  // namespace
}  // namespace nacelle::net
