#include "service/hub/authority.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "foundation/log.h"
#include "net/tls/context.h"

namespace nacelle::hub {
namespace {

using net::CertifiedKey;
using storage::fs::path;

constexpr std::chrono::hours year{24 * 365};
constexpr std::chrono::hours root_lifetime = 20 * year;
constexpr std::chrono::hours intermediate_lifetime = 10 * year;
constexpr std::chrono::hours devices_lifetime =
    root_lifetime;  // it is an anchor: renewed, every device would need another certificate
constexpr std::chrono::hours edge_lifetime = 5 * year;
constexpr std::chrono::hours server_lifetime = year;

Result<> write_pair(storage::FileSystem& files, const path& directory, const std::string& name, const CertifiedKey& pair) {
  TRY(storage::write_file_atomic(files, directory / (name + ".key"), pair.key_pem, 0600));
  return storage::write_file_atomic(files, directory / (name + ".pem"), pair.certificate_pem, 0644);
}

/// Nothing if the certificate is not there yet.
Result<std::optional<CertifiedKey>> read_pair(storage::FileSystem& files, const path& directory, const std::string& name) {
  TRY_LET(const bool there, files.exists(directory / (name + ".pem")));
  if (!there) return std::optional<CertifiedKey>{};
  CertifiedKey pair;
  TRY_LET(pair.certificate_pem, storage::read_file(files, directory / (name + ".pem"), 1_MiB));
  TRY_LET(pair.key_pem, storage::read_file(files, directory / (name + ".key"), 1_MiB));
  const auto facts = net::inspect(pair.certificate_pem);
  if (!facts)
    return fail(Fault::corrupt,
                fmt::format("{} is not a certificate ({}); restore it, or remove the folder to begin with a new authority",
                            (directory / (name + ".pem")).string(), facts.error().message));
  return std::optional<CertifiedKey>(std::move(pair));
}

using Make = std::function<Result<CertifiedKey>()>;

Result<CertifiedKey> read_or_make(storage::FileSystem& files, const path& directory, const std::string& name, const Make& make) {
  TRY_LET(auto found, read_pair(files, directory, name));
  if (found) return *std::move(found);
  TRY_LET(CertifiedKey made, make());
  TRY(write_pair(files, directory, name, made));
  return made;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

/// One spelling an address, as `::1` and `0:0:0:0:0:0:0:1` are the same.
std::vector<std::string> canonical_addresses(const std::vector<std::string>& addresses) {
  std::vector<std::string> canonical;
  for (const auto& text : addresses) {
    unsigned char raw[16];
    char printed[INET6_ADDRSTRLEN];
    const int family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
    if (::inet_pton(family, text.c_str(), raw) == 1 && ::inet_ntop(family, raw, printed, sizeof printed))
      canonical.emplace_back(printed);
    else
      canonical.push_back(text);
  }
  return sorted(std::move(canonical));
}

/// A kill between the two files of a renewal leaves the new key beside the old certificate.
bool belong_together(const CertifiedKey& pair) {
  return net::TlsServerContext::make(pair.certificate_pem, pair.key_pem).has_value();
}

/// Why the server certificate has to be issued again; empty if it does not.
std::string reason_to_renew(const CertifiedKey& server, const Authority::Names& names, Timestamp now) {
  if (server.certificate_pem.empty()) return "there is none yet";
  const auto facts = net::inspect(server.certificate_pem);
  if (!facts) return "it cannot be read";
  if (!belong_together(server)) return "its key is another's";
  if (facts->not_after - now < Authority::renew_before) return "it ends soon";
  if (sorted(facts->dns_names) != sorted(names.dns) ||
      canonical_addresses(facts->ip_addresses) != canonical_addresses(names.addresses))
    return "the host's names have changed";
  return {};
}

net::CertificateRequest authority_request(const std::string& name, std::chrono::hours lifetime, std::optional<int> path_length) {
  net::CertificateRequest request;
  request.common_name = name;
  request.authority = true;
  request.path_length = path_length;
  request.lifetime = lifetime;
  return request;
}

net::CertificateRequest intermediate_request() {
  return authority_request("Nacelle intermediate CA", intermediate_lifetime, std::nullopt);
}

}  // namespace

Authority::Names server_names(const std::string& host, const std::vector<std::string>& aliases) {
  Authority::Names names{host, {"localhost"}, {"127.0.0.1", "::1"}};
  const auto add = [&names](const std::string& name) {
    unsigned char raw[16];
    const bool address = ::inet_pton(AF_INET, name.c_str(), raw) == 1 || ::inet_pton(AF_INET6, name.c_str(), raw) == 1;
    (address ? names.addresses : names.dns).push_back(name);
  };
  add(host);
  for (const auto& alias : aliases) add(alias);
  char machine[256] = {};
  if (::gethostname(machine, sizeof machine - 1) == 0 && machine[0] != '\0') names.dns.emplace_back(machine);
  names.dns = sorted(std::move(names.dns));
  names.addresses = sorted(std::move(names.addresses));
  return names;
}

Authority::Authority(path directory, Names names, const Clock& clock, storage::FileSystem& files)
    : directory_(std::move(directory)), names_(std::move(names)), clock_(clock), files_(files), root_path_(directory_ / "ca.pem") {}

Result<std::unique_ptr<Authority>> Authority::open(const path& directory, const Names& names, const Clock& clock,
                                                   storage::FileSystem& files) {
  TRY(files.make_directories(directory));
  std::unique_ptr<Authority> authority(new Authority(directory, names, clock, files));
  TRY(authority->read_or_make_all());
  TRY(authority->renew());
  return authority;
}

Result<> Authority::read_or_make_all() {
  const Timestamp now = clock_.now();
  const Make make_root = [&] { return net::make_root("Nacelle root CA", root_lifetime, now); };
  TRY_LET(root_, read_or_make(files_, directory_, "ca", make_root));
  const Make make_devices = [&] { return net::issue(root_, authority_request("Nacelle device CA", devices_lifetime, 0), now); };
  TRY_LET(devices_, read_or_make(files_, directory_, "devices", make_devices));
  const Make make_intermediate = [&] { return net::issue(root_, intermediate_request(), now); };
  TRY_LET(CertifiedKey intermediate, read_or_make(files_, directory_, "intermediate", make_intermediate));
  if (!belong_together(intermediate)) {
    log::warn("hub", "the key of the intermediate authority is not its certificate's; both are made anew");
    TRY_LET(intermediate, make_intermediate());
    TRY(write_pair(files_, directory_, "intermediate", intermediate));
  }
  intermediate_.publish(std::move(intermediate));
  TRY_LET(auto server, read_pair(files_, directory_, "server"));
  if (server) server_.publish(*std::move(server));
  return {};
}

// -- Renewal -----------------------------------------------------------------------------------------------------------------

/// No certificate outlives its issuer: an intermediate with less than a server's life left would shorten it.
Result<> Authority::renew_intermediate() {
  const Timestamp now = clock_.now();
  TRY_LET(const auto facts, net::inspect(intermediate_.get()->certificate_pem));
  if (facts.not_after - now >= server_lifetime + renew_before) return {};
  TRY_LET(CertifiedKey next, net::issue(root_, intermediate_request(), now));
  TRY_LET(const auto made, net::inspect(next.certificate_pem));
  if (made.not_after <= facts.not_after) return {};  // the root ends before: nothing to be won
  TRY(write_pair(files_, directory_, "intermediate", next));
  intermediate_.publish(std::move(next));
  log::info("hub", "issued a new intermediate authority, valid until {}", format_iso8601(made.not_after, 0));
  return {};
}

Result<bool> Authority::renew(bool now) {
  const std::string due = reason_to_renew(*server_.get(), names_, clock_.now());
  const std::string reason = due.empty() && now ? "it was asked for" : due;
  if (!reason.empty()) {
    TRY(renew_intermediate());
    net::CertificateRequest request;
    request.common_name = names_.host;
    request.dns_names = names_.dns;
    request.ip_addresses = names_.addresses;
    request.lifetime = server_lifetime;
    TRY_LET(CertifiedKey next, net::issue(*intermediate_.get(), request, clock_.now()));
    TRY(write_pair(files_, directory_, "server", next));
    server_.publish(std::move(next));
    untold_ = true;
    log::info("hub", "issued the server certificate for {}: {}", names_.host, reason);
  }
  if (untold_ && told_) TRY(told_(*server_.get()));
  untold_ = false;
  return !reason.empty();
}

// -- Certificates for others ---------------------------------------------------------------------------------------------------

std::chrono::hours Authority::usual_lifetime(Purpose purpose) { return purpose == Purpose::edge ? edge_lifetime : server_lifetime; }

namespace {

void set_purpose(net::CertificateRequest& request, Authority::Purpose purpose) {
  request.authority = purpose == Authority::Purpose::edge;
  request.client = purpose == Authority::Purpose::device;
  request.server = !request.client;
}

}  // namespace

Result<CertifiedKey> Authority::issue(Purpose purpose, net::CertificateRequest request) const {
  set_purpose(request, purpose);
  const auto intermediate = intermediate_.get();
  return net::issue(purpose == Purpose::device ? devices_ : *intermediate, request, clock_.now());
}

Result<CertifiedKey> Authority::sign(Purpose purpose, net::CertificateRequest request, const std::string& signing_request) const {
  set_purpose(request, purpose);
  const auto intermediate = intermediate_.get();
  TRY_LET(std::string chain,
          net::sign(purpose == Purpose::device ? devices_ : *intermediate, signing_request, request, clock_.now()));
  return CertifiedKey{std::move(chain), {}};
}

Result<CertifiedKey> Authority::issue_edge_authority(const std::string& device) const {
  net::CertificateRequest request;
  // X.520 allows 64 characters in a common name.
  request.common_name = ("edge CA " + device).substr(0, 64);
  request.lifetime = edge_lifetime;
  return issue(Purpose::edge, std::move(request));
}

std::size_t Authority::warn_of_ends() const {
  const auto all = facts();
  if (!all) {
    log::error("hub", "looking at the certificates: {}", all.error().message);
    return 0;
  }
  std::size_t warned = 0;
  for (const auto& [name, facts] : *all) {
    if (name == "server" || name == "intermediate" || facts.not_after - clock_.now() >= warn_before) continue;
    log::warn("hub", "the certificate '{}' ends on {}, and it is not renewed by itself: docs/certificates.md", name,
              format_iso8601(facts.not_after, 0));
    ++warned;
  }
  return warned;
}

Result<std::vector<std::pair<std::string, net::CertificateFacts>>> Authority::facts() const {
  const auto intermediate = intermediate_.get();
  const auto server = server_.get();
  std::vector<std::pair<std::string, net::CertificateFacts>> all;
  for (const auto& [name, pair] : {std::pair<const char*, const CertifiedKey*>{"root", &root_},
                                   {"intermediate", intermediate.get()},
                                   {"devices", &devices_},
                                   {"server", server.get()}}) {
    TRY_LET(auto facts, net::inspect(pair->certificate_pem));
    all.emplace_back(name, std::move(facts));
  }
  return all;
}

}  // namespace nacelle::hub
