// nacelle certs: the hub's certificates, and those it issues (docs/certificates.md). Private keys go into files, never to a
// terminal.
#include "app/commands/certs.h"

#include <fmt/format.h>

#include <filesystem>

#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"
#include "codec/text/encoding.h"
#include "net/tls/certificates.h"
#include "service/endpoint/certificates.h"
#include "storage/file/file.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;
namespace fs = std::filesystem;

struct CertSettings {
  std::string hub;
  std::string file;
  std::string purpose;
  std::string name;
  std::string out = ".";
  std::string csr;
  std::vector<std::string> dns;
  std::vector<std::string> addresses;
  int days = 0;
  int within = 0;
  bool force = false;
  bool json = false;
};
using Settings = std::shared_ptr<CertSettings>;

std::int64_t days_between(Timestamp from, Timestamp to) { return (unix_seconds(to) - unix_seconds(from)) / (24 * 3600); }

// -- What the hub has --------------------------------------------------------------------------------------------------------

Result<> print_hub_certificates(const json::Value& all) {
  const SystemClock clock;
  std::vector<std::vector<std::string>> rows;
  for (const char* name : {"root", "intermediate", "devices", "server"}) {
    const json::Value* one = all.find(name);
    if (!one) continue;
    TRY_LET(const std::string subject, json::get_string(*one, "subject", name));
    TRY_LET(const std::string ends, json::get_string(*one, "notAfter", name));
    TRY_LET(const Timestamp not_after, parse_iso8601(ends));
    rows.push_back({name, subject, ends, std::to_string(days_between(clock.now(), not_after))});
  }
  print_table({"certificate", "subject", "ends", "days"}, rows);
  return {};
}

awaitable<Result<>> show(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value all, co_await hub.get("/authority"));
  if (!settings->json) co_return print_hub_certificates(all);
  print_line(json::print(all));
  co_return Result<>{};
}

awaitable<Result<>> rotate(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value all, co_await hub.post("/authority/rotate", json::Value()));
  if (!settings->json) co_return print_hub_certificates(all);
  print_line(json::print(all));
  co_return Result<>{};
}

// -- Any file ----------------------------------------------------------------------------------------------------------------

/// PEM, with whatever else stands in the file, or DER.
Result<std::vector<net::CertificateFacts>> read_facts(const std::string& path) {
  TRY_LET(const std::string text, read_text_file(path));
  if (text.find("-----BEGIN") != std::string::npos) return in(net::inspect_all(text), path);
  TRY_LET(auto facts, in(net::inspect_der(text), path));
  return std::vector{std::move(facts)};
}

void print_facts(const net::CertificateFacts& facts, Timestamp now) {
  print_line(facts.subject + (facts.authority ? "  (an authority)" : ""));
  print_line(fmt::format("  issuer  {}\n  valid   {} to {}, {} days left", facts.issuer, format_iso8601(facts.not_before, 0),
                         format_iso8601(facts.not_after, 0), days_between(now, facts.not_after)));
  std::string names;
  for (const auto* list : {&facts.dns_names, &facts.ip_addresses})
    for (const auto& name : *list) names += (names.empty() ? "" : " ") + name;
  if (!names.empty()) print_line("  names   " + names);
  print_line(fmt::format("  sha1    {}\n  sha256  {}", facts.sha1_thumbprint, facts.sha256_thumbprint));
}

Result<> inspect(const CertSettings& settings) {
  TRY_LET(const auto all, read_facts(settings.file));
  const Timestamp now = SystemClock().now();
  json::Array documents;
  for (const auto& facts : all) {
    if (settings.json)
      documents.push_back(endpoint::to_json(facts));
    else
      print_facts(facts, now);
  }
  if (settings.json) print_line(json::print(documents));
  for (const auto& facts : all) {
    if (now < facts.not_before) return fail(Fault::unavailable, fmt::format("'{}' is not valid yet", facts.subject));
    if (now + std::chrono::hours{24} * settings.within > facts.not_after)
      return fail(Fault::unavailable, fmt::format("'{}' {} {}", facts.subject, now > facts.not_after ? "ended on" : "ends on",
                                                  format_iso8601(facts.not_after, 0)));
  }
  return {};
}

// -- Issuing -----------------------------------------------------------------------------------------------------------------

bool is_address(const std::string& name) {
  return name.find(':') != std::string::npos || name.find_first_not_of("0123456789.") == std::string::npos;
}

json::Array texts(const std::vector<std::string>& list) {
  json::Array array;
  for (const auto& one : list) array.emplace_back(one);
  return array;
}

json::Value request_of(const CertSettings& settings) {
  std::vector<std::string> dns = settings.dns;
  std::vector<std::string> addresses = settings.addresses;
  if (settings.purpose == "server") (is_address(settings.name) ? addresses : dns).push_back(settings.name);
  json::Object request{{"purpose", settings.purpose},
                       {"commonName", settings.purpose == "edge" ? "edge CA " + settings.name : settings.name},
                       {"dnsNames", texts(dns)},
                       {"ipAddresses", texts(addresses)}};
  if (settings.days > 0) request.set("days", settings.days);
  return request;
}

struct Files {
  fs::path certificate;
  fs::path key;
};

Result<Files> files_of(const CertSettings& settings) {
  if (settings.name.empty() || settings.name.starts_with('.') || settings.name.find('/') != std::string::npos)
    return fail(Fault::invalid_input, fmt::format("'{}' cannot be the name of a file; no slash, no point in front", settings.name));
  const std::string stem = settings.purpose == "edge" ? settings.name + "-ca" : settings.name;
  const Files files{fs::path(settings.out) / (stem + ".pem"), fs::path(settings.out) / (stem + ".key")};
  for (const auto& file : {files.certificate, files.key}) {
    if (file == files.key && !settings.csr.empty()) continue;  // its owner has it
    TRY_LET(const bool there, storage::real_file_system().exists(file));
    if (there && !settings.force) return fail(Fault::conflict, fmt::format("{} exists; --force writes over it", file.string()));
  }
  return files;
}

awaitable<Result<>> issue(HubClient& hub, Settings settings) {
  CO_TRY_LET(const Files files, files_of(*settings));
  json::Value request = request_of(*settings);
  const bool own_key = !settings->csr.empty();
  if (own_key) {
    CO_TRY_LET(const std::string signing_request, read_text_file(settings->csr));
    request.as_object().set("csr", signing_request);
  }
  CO_TRY_LET(const json::Value issued, co_await hub.post("/authority/issue", std::move(request)));
  CO_TRY_LET(const std::string chain, json::get_string(issued, "certificate", "the hub's answer"));
  storage::FileSystem& disk = storage::real_file_system();
  CO_TRY(disk.make_directories(settings->out));
  if (!own_key) {
    CO_TRY_LET(const std::string key, json::get_string(issued, "privateKey", "the hub's answer"));
    CO_TRY(storage::write_file_atomic(disk, files.key, key, 0600));
  }
  CO_TRY(storage::write_file_atomic(disk, files.certificate, chain, 0644));
  CO_TRY_LET(const auto facts, net::inspect(chain));
  const std::string ends = format_iso8601(facts.not_after, 0);
  if (settings->json) {
    json::Object told{{"certificate", files.certificate.string()}};
    if (!own_key) told.set("privateKey", files.key.string());
    told.set("subject", facts.subject);
    told.set("notAfter", ends);
    told.set("sha256Thumbprint", facts.sha256_thumbprint);
    print_line(json::print(told));
  } else {
    print_line(fmt::format("{}: {} until {}", files.certificate.string(), facts.subject, ends));
    if (!own_key) print_line(files.key.string() + ": its private key");
  }
  co_return Result<>{};
}

Settings add_common(CLI::App& command, bool with_hub) {
  auto settings = std::make_shared<CertSettings>();
  if (with_hub) add_hub_option(command, settings->hub);
  command.add_flag("--json", settings->json, "one line of JSON");
  return settings;
}

struct Kind {
  const char* purpose;
  const char* help;
  const char* name_help;
  const char* example;
};
constexpr Kind kinds[] = {{"device", "A client certificate, with which a device of authentication certificateAuthority gets in",
                           "the device's id", "nacelle certs issue device press-7 --out /etc/press"},
                          {"edge", "An authority for an edge device, which signs its server certificate with it",
                           "the edge device's id", "nacelle certs issue edge edge-1"},
                          {"server", "A certificate for another server of yours", "its host name or address",
                           "nacelle certs issue server score.example --ip 10.0.0.5"}};

void add_issue(CLI::App& certs, Outcome& outcome) {
  CLI::App* issues = certs.add_subcommand("issue", "A new key and certificate, with the chain up to what clients trust");
  issues->require_subcommand(1);
  issues->footer("Example:\n  nacelle certs issue device press-7");
  for (const Kind& kind : kinds) {
    CLI::App* command = issues->add_subcommand(kind.purpose, kind.help);
    const Settings settings = add_common(*command, true);
    settings->purpose = kind.purpose;
    command->add_option("name", settings->name, kind.name_help)->required();
    command->add_option("--out", settings->out, "folder for NAME.pem and NAME.key (mode 0600)")->capture_default_str();
    command->add_option("--days", settings->days, "how long it lives (default: 365; an edge's 1825)")->check(CLI::Range(1, 3650));
    command
        ->add_option("--csr", settings->csr, "sign this request (PKCS #10, PEM) instead of making a key: the key stays where it is")
        ->type_name("FILE");
    command->add_flag("--force", settings->force, "write over files that are there");
    if (settings->purpose == "server") {
      command->add_option("--dns", settings->dns, "further names");
      command->add_option("--ip", settings->addresses, "further addresses");
    }
    run_on_hub(*command, outcome, settings, issue);
    command->footer(fmt::format("Example:\n  {}", kind.example));
  }
}

}  // namespace

void add_certs(CLI::App& root, Outcome& outcome) {
  CLI::App* certs = root.add_subcommand("certs", "Certificates: the hub's own, those it issues, those it trusts");
  certs->require_subcommand(1);
  certs->footer(
      "Example:\n  nacelle certs show\n  nacelle certs issue device press-7\n  nacelle certs authorities add plant --file ca.pem");

  CLI::App* shows = certs->add_subcommand("show", "The hub's own certificates, and when they end");
  run_on_hub(*shows, outcome, add_common(*shows, true), show);
  shows->footer("Example:\n  nacelle certs show --json");

  CLI::App* inspects = certs->add_subcommand("inspect", "What the certificates in a file (PEM or DER) say");
  const Settings settings = add_common(*inspects, false);
  inspects->add_option("file", settings->file, "the file")->required();
  inspects->add_option("--within", settings->within, "also fail if one ends within so many days")->check(CLI::Range(0, 36500));
  inspects->callback([&outcome, settings] { outcome.take(inspect(*settings)); });
  inspects->footer("Ends with 1 if one of them is not valid now.\n\nExample:\n  nacelle certs inspect press-7.pem --within 30");

  add_issue(*certs, outcome);

  CLI::App* rotates = certs->add_subcommand("rotate", "A new server certificate for the hub, now; connections go on");
  run_on_hub(*rotates, outcome, add_common(*rotates, true), rotate);
  rotates->footer("Example:\n  nacelle certs rotate");

  add_cert_authorities(*certs, outcome);
}

}  // namespace nacelle::app
