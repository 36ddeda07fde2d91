// nacelle enrollments: which devices may register themselves with the hub (docs/provisioning.md).
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"
#include "codec/sas/token.h"
#include "codec/text/encoding.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct EnrollmentSettings {
  std::string hub;
  std::string id;
  std::string device;
  std::string file;
  std::string certificate;
  std::string authority;
  std::string registration;
  bool group = false;
  bool edge = false;
  bool json = false;
};
using Settings = std::shared_ptr<EnrollmentSettings>;

std::string path_of(const EnrollmentSettings& settings) {
  return (settings.group ? "/enrollmentGroups/" : "/enrollments/") + text::percent_encode(settings.id);
}

std::string text_at(const json::Value& document, std::initializer_list<std::string_view> path) {
  const json::Value* found = document.at_path(path);
  return found && found->is_string() ? found->as_string() : std::string();
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  json::Array all;
  for (const bool group : {true, false}) {
    const std::string target = group ? "/enrollmentGroups/query" : "/enrollments/query";
    CO_TRY_LET(const json::Array some, co_await all_pages(hub, "POST", target, R"({"query":"SELECT *"})"));
    all.insert(all.end(), some.begin(), some.end());
  }
  if (settings->json) {
    print_line(json::print(all));
    co_return Result<>{};
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::Value& one : all) {
    const std::string group = text_at(one, {"enrollmentGroupId"});
    rows.push_back({group.empty() ? text_at(one, {"registrationId"}) : group, group.empty() ? "one" : "group",
                    text_at(one, {"attestation", "type"}), text_at(one, {"provisioningStatus"})});
  }
  print_table({"enrollment", "for", "attestation", "status"}, rows);
  co_return Result<>{};
}

Result<json::Value> read_enrollment(const EnrollmentSettings& settings) {
  json::Value document = json::Object{};
  if (!settings.file.empty()) {
    TRY_LET(document, read_json_file(settings.file));
    if (!document.is_object())
      return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", settings.file, json::type_name(document)));
  }
  json::Object& object = document.as_object();
  object.set(settings.group ? "enrollmentGroupId" : "registrationId", settings.id);
  if (!settings.device.empty()) object.set("deviceId", settings.device);
  if (settings.edge) object.set("capabilities", json::Object{{"iotEdge", true}});
  if (!settings.certificate.empty()) {
    TRY_LET(const std::string pem, read_text_file(settings.certificate));
    const char* slot = settings.group ? "signingCertificates" : "clientCertificates";
    object.set("attestation",
               json::Object{{"type", "x509"},
                            {"x509", json::Object{{slot, json::Object{{"primary", json::Object{{"certificate", pem}}}}}}}});
  }
  if (!settings.authority.empty()) {
    if (!settings.group) return fail(Fault::invalid_input, "--authority: only a group registers by authority; add --group");
    const json::Object references{{"caReferences", json::Object{{"primary", settings.authority}}}};
    object.set("attestation", json::Object{{"type", "x509"}, {"x509", references}});
  }
  if (!object.contains("attestation")) object.set("attestation", json::Object{{"type", "symmetricKey"}});
  return document;
}

awaitable<Result<>> create(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value document, read_enrollment(*settings));
  const std::string path = path_of(*settings);
  CO_TRY_LET(const json::Value made, co_await hub.put(path, document));
  print_line(settings->json ? json::print(made) : fmt::format("{} may register", settings->id));
  co_return Result<>{};
}

awaitable<Result<>> show(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings);
  CO_TRY_LET(const json::Value found, co_await hub.get(path));
  print_line(settings->json ? json::print(found) : json::print_pretty(found));
  co_return Result<>{};
}

awaitable<Result<>> remove(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings);
  CO_TRY(co_await hub.remove(path));
  co_return Result<>{};
}

/// What a device needs: id scope, registration id, key. A secret.
awaitable<Result<>> key(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings) + "/attestationmechanism";
  CO_TRY_LET(const json::Value mechanism, co_await hub.post(path, json::Value()));
  CO_TRY_LET(const json::Value facts, co_await hub.get("/provisioning"));
  std::string key = text_at(mechanism, {"symmetricKey", "primaryKey"});
  if (key.empty()) co_return fail(Fault::invalid_input, fmt::format("'{}' attests by certificate and has no key", settings->id));
  const std::string registration = settings->registration.empty() ? settings->id : settings->registration;
  if (settings->group && settings->registration.empty())
    co_return fail(Fault::invalid_input, "of a group: name the device with --registration");
  if (settings->group) {
    CO_TRY_LET(key, sas::derive_key(key, registration));
  }
  const std::string scope = text_at(facts, {"idScope"});
  if (settings->json)
    print_line(json::print(json::Object{{"idScope", scope}, {"registrationId", registration}, {"key", key}}));
  else
    print_line(fmt::format("id scope {}\nregistration {}\nkey {}", scope, registration, key));
  co_return Result<>{};
}

Settings add_common(CLI::App& command, bool with_id) {
  auto settings = std::make_shared<EnrollmentSettings>();
  add_hub_option(command, settings->hub);
  if (with_id) {
    command.add_option("id", settings->id, "the registration, or with --group the group")->required();
    command.add_flag("--group", settings->group, "a group of devices");
  }
  command.add_flag("--json", settings->json, "one line of JSON");
  return settings;
}

}  // namespace

void add_enrollments(CLI::App& root, Outcome& outcome) {
  CLI::App* enrollments = root.add_subcommand("enrollments", "Which devices may register themselves");
  enrollments->require_subcommand(1);
  enrollments->footer(
      "Example:\n  nacelle enrollments create line-a --group\n  nacelle enrollments key line-a --group --registration machine-7");

  CLI::App* lists = enrollments->add_subcommand("list", "All enrolments");
  run_on_hub(*lists, outcome, add_common(*lists, false), list);
  lists->footer("Example:\n  nacelle enrollments list");

  CLI::App* creates = enrollments->add_subcommand("create", "Let a device, or a group of them, register");
  const Settings settings = add_common(*creates, true);
  creates->add_option("--device", settings->device, "the device id it gets (default: the registration id)");
  creates
      ->add_option("--certificate", settings->certificate,
                   "PEM: the device's own certificate, or a group's authority (default: keys, made by the hub)")
      ->excludes(creates->add_option("--authority", settings->authority, "of a group: an authority the hub has (nacelle certs)"));
  creates->add_option("--file", settings->file, "the rest as JSON: initialTwin, reprovisionPolicy, ..");
  creates->add_flag("--edge", settings->edge, "it becomes an edge device");
  run_on_hub(*creates, outcome, settings, create);
  creates->footer("Example:\n  nacelle enrollments create machine-7 --device press-7");

  CLI::App* shows = enrollments->add_subcommand("show", "One enrolment, without its keys");
  run_on_hub(*shows, outcome, add_common(*shows, true), show);
  shows->footer("Example:\n  nacelle enrollments show line-a --group");

  CLI::App* removes = enrollments->add_subcommand("remove", "Let it register no longer; devices that have stay");
  run_on_hub(*removes, outcome, add_common(*removes, true), remove);
  removes->footer("Example:\n  nacelle enrollments remove machine-7");

  CLI::App* keys = enrollments->add_subcommand("key", "Print what a device registers with: a secret");
  const Settings keyed = add_common(*keys, true);
  keys->add_option("--registration", keyed->registration, "of a group: the device whose key is derived");
  run_on_hub(*keys, outcome, keyed, key);
  keys->footer("Example:\n  nacelle enrollments key line-a --group --registration machine-7 --json");
}

}  // namespace nacelle::app
