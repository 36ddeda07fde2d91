#include "service/hub/device_authorities.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"
#include "service/endpoint/certificates.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view columns = "name, certificate, verified, code, created_at, updated_at, etag";
constexpr std::size_t code_bytes = 24;  // 48 digits, as the original has; RFC 5280 allows 64 characters in a common name
Result<DeviceAuthority> read_row(const storage::Row& row) {
  DeviceAuthority authority;
  authority.name = storage::text(row[0]);
  authority.certificate_pem = storage::text(row[1]);
  authority.verified = storage::integer(row[2]) != 0;
  authority.code = storage::text(row[3]);
  authority.created_at = storage::text(row[4]);
  authority.updated_at = storage::text(row[5]);
  authority.etag = storage::integer(row[6]);
  TRY_LET(authority.facts, in(net::inspect(authority.certificate_pem), fmt::format("the authority '{}'", authority.name)));
  return authority;
}

Failure no_authority(const std::string& name) {
  return fail(Fault::not_found, fmt::format("the certificate '{}' is not there", name));
}

}  // namespace

Result<> check_authority_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c < 128 && std::isalnum(c)) || c == '-' || c == '.' || c == '_';
  });
  if (good) return {};
  return fail(Fault::invalid_input, "certificate name: expected 1 to 64 letters, digits and -._");
}

Result<std::unique_ptr<DeviceAuthorities>> DeviceAuthorities::open(storage::Database& tables, Executor tables_strand,
                                                                   const Clock& clock, std::string own_pem) {
  std::unique_ptr<DeviceAuthorities> opened(new DeviceAuthorities(tables, std::move(tables_strand), clock, std::move(own_pem)));
  TRY(in(opened->publish(), "opening the devices' authorities"));
  return opened;
}

// -- Any thread ------------------------------------------------------------------------------------------------------------

Result<Timestamp> DeviceAuthorities::prove(const device::Identity& identity, BytesView certificates_der) const {
  const auto trust = trust_.get();
  TRY_LET(const auto proof, endpoint::prove(identity, certificates_der, trust->all.get(), clock_.now()));
  if (proof.anchor.empty()) return proof.until;
  auto note = [this, name = identity.name, anchor = proof.anchor] { admitted_[name] = anchor; };
  asio::post(strand_, std::move(note));
  return proof.until;
}

std::vector<std::string> DeviceAuthorities::trusted_pems() const { return trust_.get()->pems; }

std::shared_ptr<const net::TrustAnchors> DeviceAuthorities::anchors(const std::string& name) const {
  const auto trust = trust_.get();
  const auto at = trust->by_name.find(name);
  return at == trust->by_name.end() ? nullptr : at->second;
}

// -- Tables strand -----------------------------------------------------------------------------------------------------------

/// What any thread reads, made anew of the table; those that an authority let in that is trusted no more are cut off.
Result<> DeviceAuthorities::publish() {
  Trust next;
  TRY_LET(const auto own, in(net::inspect(own_pem_), "the hub's own authority for devices"));
  std::vector<std::string> pems{own_pem_};
  next.names[own.sha256_thumbprint] = "the hub's own";
  TRY_LET(const auto authorities, list());
  for (const auto& one : authorities) {
    if (!one.verified) continue;
    pems.push_back(one.certificate_pem);
    next.names[one.facts.sha256_thumbprint] = one.name;
    TRY_LET(next.by_name[one.name], net::TrustAnchors::make({one.certificate_pem}));
  }
  TRY_LET(next.all, net::TrustAnchors::make(pems));
  next.pems = std::move(pems);
  trust_.publish(next);
  for (auto at = admitted_.begin(); at != admitted_.end();) {
    const auto [name, anchor] = *at++;  // a copy: the entry goes
    if (next.names.contains(anchor)) continue;
    admitted_.erase(name);
    if (withdrawn_) withdrawn_(name);
  }
  return {};
}

void DeviceAuthorities::connected(const device::IdentityName& name) {
  const auto at = admitted_.find(name);
  if (at == admitted_.end() || trust_.get()->names.contains(at->second)) return;
  admitted_.erase(at);
  if (withdrawn_) withdrawn_(name);
}

Result<std::vector<DeviceAuthority>> DeviceAuthorities::list() const {
  TRY_LET(const auto rows, tables_.query(fmt::format("SELECT {} FROM authority ORDER BY name", columns)));
  std::vector<DeviceAuthority> found;
  for (const auto& row : rows) {
    TRY_LET(DeviceAuthority one, read_row(row));
    found.push_back(std::move(one));
  }
  return found;
}

Result<DeviceAuthority> DeviceAuthorities::find(const std::string& name) const {
  TRY_LET(const auto rows, tables_.query(fmt::format("SELECT {} FROM authority WHERE name = ?", columns), name));
  if (rows.empty()) return no_authority(name);
  return read_row(rows[0]);
}

Result<DeviceAuthority> DeviceAuthorities::store(DeviceAuthority authority) {
  authority.updated_at = format_iso8601(clock_.now());
  TRY(tables_.run("INSERT OR REPLACE INTO authority VALUES (?, ?, ?, ?, ?, ?, ?)", authority.name, authority.certificate_pem,
                  authority.verified, authority.code, authority.created_at, authority.updated_at, authority.etag));
  TRY(publish());
  return authority;
}

Result<DeviceAuthority> DeviceAuthorities::put(const std::string& name, std::string_view text) {
  TRY(check_authority_name(name));
  TRY_LET(std::string pem, net::read_one(text));
  TRY_LET(auto facts, net::inspect(pem));
  if (!facts.authority)
    return fail(Fault::invalid_input, "the certificate is not an authority's: its basic constraints do not say CA:TRUE");
  if (const auto dates = endpoint::check_dates(facts, clock_.now()); !dates)
    return fail(Fault::invalid_input, dates.error().message);
  TRY_LET(const auto authorities, list());
  const DeviceAuthority* old = nullptr;
  for (const auto& one : authorities) {
    if (one.name == name)
      old = &one;
    else if (one.facts.sha256_thumbprint == facts.sha256_thumbprint)
      return fail(Fault::conflict, fmt::format("this certificate is there already, as '{}'", one.name));
  }
  if (!old && authorities.size() >= most)
    return fail(Fault::exhausted, fmt::format("there are {} certificates of authorities, the most there may be", most));
  DeviceAuthority authority{name, std::move(pem), std::move(facts), false, {}, format_iso8601(clock_.now()), {}, 1};
  if (old) {
    authority.created_at = old->created_at;
    authority.etag = old->etag + 1;
  }
  log::info("hub", "the authority '{}' ({}) was uploaded", name, authority.facts.subject);
  return store(std::move(authority));
}

Result<> DeviceAuthorities::remove(const std::string& name) {
  TRY_LET(const auto removed, tables_.run("DELETE FROM authority WHERE name = ?", name));
  if (removed == 0) return no_authority(name);
  log::info("hub", "the authority '{}' was deleted", name);
  return publish();
}

Result<DeviceAuthority> DeviceAuthorities::generate_code(const std::string& name) {
  TRY_LET(DeviceAuthority authority, find(name));
  authority.code = text::hex_encode(secure_random(code_bytes));
  ++authority.etag;
  return store(std::move(authority));
}

Result<DeviceAuthority> DeviceAuthorities::verify(const std::string& name, std::string_view text) {
  TRY_LET(DeviceAuthority authority, find(name));
  if (authority.code.empty())
    return fail(Fault::invalid_input, fmt::format("there is no verification code for '{}': generate one first", name));
  TRY_LET(const std::string pem, net::read_one(text));
  TRY_LET(const auto proof, net::check_signed_by(authority.certificate_pem, pem, clock_.now()));
  if (!text::equal_ignoring_case(proof.common_name, authority.code))
    return fail(Fault::denied, fmt::format("the proof's common name is '{}', not the verification code", proof.common_name));
  authority.verified = true;
  authority.code.clear();
  ++authority.etag;
  log::info("hub", "possession of the authority '{}' is proved", name);
  return store(std::move(authority));
}

}  // namespace nacelle::hub
