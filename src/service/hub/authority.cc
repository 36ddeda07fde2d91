#include "service/hub/authority.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "foundation/log.h"

namespace nacelle::hub {
namespace {

using net::CertifiedKey;
using storage::fs::path;

constexpr std::chrono::hours year{24 * 365};
constexpr std::chrono::hours root_lifetime = 20 * year;
constexpr std::chrono::hours intermediate_lifetime = 10 * year;
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

/// Why the server certificate has to be issued again; empty if it does not.
std::string reason_to_renew(const CertifiedKey& server, const Authority::Names& names, Timestamp now) {
  const auto facts = net::inspect(server.certificate_pem);
  if (!facts) return "it cannot be read";
  if (facts->not_after - now < Authority::renew_before) return "it ends soon";
  if (sorted(facts->dns_names) != sorted(names.dns) ||
      canonical_addresses(facts->ip_addresses) != canonical_addresses(names.addresses))
    return "the host's names have changed";
  return {};
}

}  // namespace

Authority::Names server_names(const std::string& host) {
  Authority::Names names{host, {"localhost"}, {"127.0.0.1", "::1"}};
  unsigned char raw[16];
  const bool address = ::inet_pton(AF_INET, host.c_str(), raw) == 1 || ::inet_pton(AF_INET6, host.c_str(), raw) == 1;
  (address ? names.addresses : names.dns).push_back(host);
  char machine[256] = {};
  if (::gethostname(machine, sizeof machine - 1) == 0 && machine[0] != '\0') names.dns.emplace_back(machine);
  names.dns = sorted(std::move(names.dns));
  names.addresses = sorted(std::move(names.addresses));
  return names;
}

Result<Authority> Authority::open(const path& directory, const Names& names, const Clock& clock, storage::FileSystem& files) {
  TRY(files.make_directories(directory));
  Authority authority(clock);
  authority.root_path_ = directory / "ca.pem";
  const Timestamp now = clock.now();

  const Make make_root = [&] { return net::make_root("Nacelle root CA", root_lifetime, now); };
  TRY_LET(authority.root_, read_or_make(files, directory, "ca", make_root));

  const Make make_intermediate = [&] {
    net::CertificateRequest request;
    request.common_name = "Nacelle intermediate CA";
    request.authority = true;
    request.lifetime = intermediate_lifetime;
    return net::issue(authority.root_, request, now);
  };
  TRY_LET(authority.intermediate_, read_or_make(files, directory, "intermediate", make_intermediate));

  TRY_LET(auto server, read_pair(files, directory, "server"));
  const std::string reason = server ? reason_to_renew(*server, names, now) : "there is none yet";
  if (!reason.empty()) {
    net::CertificateRequest request;
    request.common_name = names.host;
    request.dns_names = names.dns;
    request.ip_addresses = names.addresses;
    request.lifetime = server_lifetime;
    TRY_LET(server, net::issue(authority.intermediate_, request, now));
    TRY(write_pair(files, directory, "server", *server));
    log::info("hub", "issued the server certificate for {}: {}", names.host, reason);
  }
  authority.server_ = *std::move(server);
  return authority;
}

Result<CertifiedKey> Authority::issue_edge_authority(const std::string& device) const {
  net::CertificateRequest request;
  // X.520 allows 64 characters in a common name.
  request.common_name = ("edge CA " + device).substr(0, 64);
  request.authority = true;
  request.lifetime = edge_lifetime;
  return net::issue(intermediate_, request, clock_->now());
}

}  // namespace nacelle::hub
