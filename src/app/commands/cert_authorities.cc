// nacelle certs authorities: whose certificates let devices in (docs/certificates.md).
#include <fmt/format.h>

#include "app/commands/certs.h"
#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"
#include "codec/text/encoding.h"
#include "net/tls/certificates.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct AuthoritySettings {
  std::string hub;
  std::string name;
  std::string file;
  std::string proof;
  std::string key;
  bool replace = false;
  bool json = false;
};
using Settings = std::shared_ptr<AuthoritySettings>;

std::string path_of(const AuthoritySettings& settings) { return "/certificates/" + text::percent_encode(settings.name); }

std::string property(const json::Value& document, std::string_view key) {
  const json::Value* found = document.at_path({"properties", key});
  return found && found->is_string() ? found->as_string() : std::string();
}
bool verified(const json::Value& document) {
  const json::Value* found = document.at_path({"properties", "isVerified"});
  return found && found->is_bool() && found->as_bool();
}
std::string name_of(const json::Value& document) {
  const json::Value* found = document.find("name");
  return found && found->is_string() ? found->as_string() : std::string();
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value answer, co_await hub.get("/certificates"));
  const json::Value* value = answer.find("value");
  if (!value || !value->is_array()) co_return fail(Fault::unavailable, "the hub's list of certificates is not an array");
  if (settings->json) {
    print_line(json::print(*value));
    co_return Result<>{};
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::Value& one : value->as_array())
    rows.push_back({name_of(one), property(one, "subject"), property(one, "expiry"), verified(one) ? "verified" : "not verified"});
  print_table({"authority", "subject", "ends", "possession"}, rows);
  co_return Result<>{};
}

/// Uploads, and asks for the code at once: without it the certificate is of no use.
awaitable<Result<>> add(HubClient& hub, Settings settings) {
  CO_TRY_LET(const std::string text, read_text_file(settings->file));
  CO_TRY_LET(const std::string pem, in(net::read_one(text), settings->file));
  const std::string path = path_of(*settings);
  const json::Value body = json::Object{{"properties", json::Object{{"certificate", text::base64_encode(pem)}}}};
  const std::string if_match = settings->replace ? "*" : "";
  CO_TRY(co_await hub.put(path, body, if_match));
  const std::string ask = path + "/generateVerificationCode";
  CO_TRY_LET(const json::Value made, co_await hub.post(ask, json::Value()));
  if (settings->json)
    print_line(json::print(made));
  else
    print_line(
        fmt::format("verification code {}\nSign a certificate of this common name with the authority's key and give it to\n"
                    "  nacelle certs authorities verify {} --proof FILE\nor, if the key is at hand,\n"
                    "  nacelle certs authorities verify {} --key FILE",
                    property(made, "verificationCode"), settings->name, settings->name));
  co_return Result<>{};
}

/// With the authority's key, which stays here.
awaitable<Result<std::string>> make_proof(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings);
  CO_TRY_LET(const std::string key, read_text_file(settings->key));
  const std::string ask = path + "/generateVerificationCode";
  CO_TRY_LET(const json::Value asked, co_await hub.post(ask, json::Value()));
  CO_TRY_LET(const Bytes pem, text::base64_decode(property(asked, "certificate")));
  net::CertificateRequest request;
  request.common_name = property(asked, "verificationCode");
  request.client = true;
  request.lifetime = std::chrono::hours{24};
  CO_TRY_LET(const net::CertifiedKey issued, in(net::issue({pem, key}, request, SystemClock().now()), settings->key));
  const std::string end = "-----END CERTIFICATE-----\n";  // the first of the chain only
  co_return issued.certificate_pem.substr(0, issued.certificate_pem.find(end) + end.size());
}

awaitable<Result<>> verify(HubClient& hub, Settings settings) {
  std::string proof;
  if (!settings->key.empty()) {
    CO_TRY_LET(proof, co_await make_proof(hub, settings));
  } else {
    CO_TRY_LET(const std::string text, read_text_file(settings->proof));
    CO_TRY_LET(proof, in(net::read_one(text), settings->proof));
  }
  const std::string path = path_of(*settings) + "/verify";
  json::Value body = json::Object{{"certificate", proof}};
  CO_TRY_LET(const json::Value done, co_await hub.post(path, std::move(body)));
  print_line(settings->json ? json::print(done) : fmt::format("{} lets devices in", settings->name));
  co_return Result<>{};
}

awaitable<Result<>> remove(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings);
  CO_TRY(co_await hub.remove(path));
  print_line(settings->json ? json::print(json::Object{{"deleted", settings->name}})
                            : fmt::format("deleted {}; its devices are cut off", settings->name));
  co_return Result<>{};
}

Settings add_common(CLI::App& command, bool with_name) {
  auto settings = std::make_shared<AuthoritySettings>();
  add_hub_option(command, settings->hub);
  if (with_name) command.add_option("name", settings->name, "what the authority is called at the hub")->required();
  command.add_flag("--json", settings->json, "one line of JSON");
  return settings;
}

}  // namespace

void add_cert_authorities(CLI::App& certs, Outcome& outcome) {
  CLI::App* authorities = certs.add_subcommand("authorities", "Authorities of yours, whose certificates let devices in");
  authorities->require_subcommand(1);
  authorities->footer(
      "Example:\n  nacelle certs authorities add plant --file ca.pem\n  nacelle certs authorities verify plant --proof proof.pem");

  CLI::App* lists = authorities->add_subcommand("list", "All of them, and whether possession is proved");
  run_on_hub(*lists, outcome, add_common(*lists, false), list);
  lists->footer("Example:\n  nacelle certs authorities list --json");

  CLI::App* adds = authorities->add_subcommand("add", "Upload one, and get the code to prove possession with");
  const Settings added = add_common(*adds, true);
  adds->add_option("--file", added->file, "its certificate, PEM or base64")->required();
  adds->add_flag("--replace", added->replace, "in place of the one of this name; it is then not verified");
  run_on_hub(*adds, outcome, added, add);
  adds->footer("Example:\n  nacelle certs authorities add plant --file ca.pem");

  CLI::App* verifies = authorities->add_subcommand("verify", "Prove possession: from then on its devices get in");
  const Settings proved = add_common(*verifies, true);
  CLI::Option* proof = verifies->add_option("--proof", proved->proof, "a certificate signed by it, with the code as common name");
  CLI::Option* key =
      verifies->add_option("--key", proved->key, "or the authority's private key (PEM): the proof is made here, with a new code");
  proof->excludes(key);
  verifies->callback([&outcome, proved] {
    if (proved->proof.empty() && proved->key.empty())
      return outcome.take(fail(Fault::invalid_input, "expected --proof FILE or --key FILE"));
    outcome.take(with_hub(proved->hub, [&](HubClient& hub) { return verify(hub, proved); }));
  });
  verifies->footer("Example:\n  nacelle certs authorities verify plant --proof proof.pem");

  CLI::App* deletes = authorities->add_subcommand("delete", "Trust it no longer: connections of its devices are closed");
  run_on_hub(*deletes, outcome, add_common(*deletes, true), remove);
  deletes->footer("Example:\n  nacelle certs authorities delete plant");
}

}  // namespace nacelle::app
