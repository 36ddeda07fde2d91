// nacelle policies: shared access policies: whom the hub lets in as a service, and what for.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"
#include "codec/sas/connection_string.h"
#include "codec/text/encoding.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct PolicySettings {
  std::string hub;
  std::string name;
  std::vector<std::string> rights;
  std::string key;
  bool secondary = false;
  bool json = false;
};
using Settings = std::shared_ptr<PolicySettings>;

std::string path_of(const PolicySettings& settings) { return "/policies/" + text::percent_encode(settings.name); }

std::string rights_of(const json::Value& policy) {
  std::string text;
  if (const json::Value* rights = policy.find("rights"); rights && rights->is_array())
    for (const json::Value& right : rights->as_array())
      if (right.is_string()) text += (text.empty() ? "" : ", ") + right.as_string();
  return text;
}

void print_policies(const json::Array& policies) {
  std::vector<std::vector<std::string>> rows;
  for (const json::Value& policy : policies) {
    const json::Value* name = policy.find("name");
    rows.push_back({name && name->is_string() ? name->as_string() : "-", rights_of(policy)});
  }
  print_table({"policy", "rights"}, rows);
}

void print_policy(const json::Value& policy, bool as_json) {
  if (as_json)
    print_line(json::print(policy));
  else
    print_policies({policy});
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value policies, co_await hub.get("/policies"));
  if (!policies.is_array()) co_return fail(Fault::unavailable, "the hub's list of policies is not an array");
  if (settings->json)
    print_line(json::print(policies));
  else
    print_policies(policies.as_array());
  co_return Result<>{};
}

awaitable<Result<>> show(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings);
  CO_TRY_LET(const json::Value policy, co_await hub.get(path));
  print_policy(policy, settings->json);
  co_return Result<>{};
}

awaitable<Result<>> write(HubClient& hub, Settings settings, std::string if_match) {
  json::Array rights;
  for (const auto& right : settings->rights) rights.emplace_back(right);
  const std::string path = path_of(*settings);
  json::Value body = json::Object{{"rights", std::move(rights)}};
  CO_TRY_LET(const json::Value policy, co_await hub.put(path, std::move(body), if_match));
  print_policy(policy, settings->json);
  co_return Result<>{};
}
awaitable<Result<>> create(HubClient& hub, Settings settings) { return write(hub, std::move(settings), ""); }
awaitable<Result<>> update(HubClient& hub, Settings settings) { return write(hub, std::move(settings), "*"); }

awaitable<Result<>> remove(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings);
  CO_TRY(co_await hub.remove(path));
  if (settings->json)
    print_line(json::print(json::Object{{"deleted", settings->name}}));
  else
    print_line(fmt::format("deleted {}", settings->name));
  co_return Result<>{};
}

awaitable<Result<>> regenerate(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings) + "/keys/regenerate";
  json::Value body = json::Object{{"key", settings->key}};
  CO_TRY(co_await hub.post(path, std::move(body)));
  if (settings->json)
    print_line(json::print(json::Object{{"name", settings->name}, {"regenerated", settings->key}}));
  else
    print_line(fmt::format("{}: {}", settings->name, settings->key == "swap" ? "keys exchanged" : settings->key + " key is new"));
  co_return Result<>{};
}

awaitable<Result<>> connection_string(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings) + "/keys";
  CO_TRY_LET(const json::Value policy, co_await hub.get(path));
  sas::ConnectionString parts;
  parts.host_name = hub.host_name();
  parts.policy_name = settings->name;
  CO_TRY_LET(parts.shared_access_key,
             json::get_string(policy, settings->secondary ? "secondaryKey" : "primaryKey", "the hub's answer"));
  const std::string text = sas::print_connection_string(parts);
  print_line(settings->json ? json::print(json::Object{{"connectionString", text}}) : text);
  co_return Result<>{};
}

Settings add_common(CLI::App& command, bool with_name) {
  auto settings = std::make_shared<PolicySettings>();
  add_hub_option(command, settings->hub);
  if (with_name) command.add_option("name", settings->name, "the policy")->required();
  command.add_flag("--json", settings->json, "one line of JSON");
  return settings;
}

void add_rights(CLI::App& command, const Settings& settings) {
  command
      .add_option("--rights", settings->rights,
                  "some of RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect, EnrollmentRead, EnrollmentWrite, "
                  "RegistrationStatusRead, RegistrationStatusWrite")
      ->delimiter(',');
}

}  // namespace

void add_policies(CLI::App& root, Outcome& outcome) {
  CLI::App* policies = root.add_subcommand("policies", "Shared access policies: names, rights and keys of services");
  policies->require_subcommand(1);
  policies->footer(
      "Example:\n  nacelle policies create line-a --rights RegistryRead,ServiceConnect\n"
      "  nacelle policies connection-string line-a");

  CLI::App* lists = policies->add_subcommand("list", "All policies");
  run_on_hub(*lists, outcome, add_common(*lists, false), list);
  lists->footer("Example:\n  nacelle policies list --json");

  CLI::App* shows = policies->add_subcommand("show", "One policy, without its keys");
  run_on_hub(*shows, outcome, add_common(*shows, true), show);
  shows->footer("Example:\n  nacelle policies show service");

  CLI::App* creates = policies->add_subcommand("create", "A new policy, with random keys");
  const Settings created = add_common(*creates, true);
  add_rights(*creates, created);
  run_on_hub(*creates, outcome, created, create);
  creates->footer("Example:\n  nacelle policies create line-a --rights RegistryRead,ServiceConnect");

  CLI::App* updates = policies->add_subcommand("update", "Give a policy other rights; ends connections that needed the old ones");
  const Settings updated = add_common(*updates, true);
  add_rights(*updates, updated);
  run_on_hub(*updates, outcome, updated, update);
  updates->footer("Example:\n  nacelle policies update line-a --rights RegistryRead");

  CLI::App* removes = policies->add_subcommand("delete", "Delete a policy; ends connections made with it");
  run_on_hub(*removes, outcome, add_common(*removes, true), remove);
  removes->footer("Example:\n  nacelle policies delete line-a");

  CLI::App* regenerates =
      policies->add_subcommand("regenerate-key", "A new random key, or the two exchanged; ends connections made with the old one");
  const Settings regenerated = add_common(*regenerates, true);
  regenerates->add_option("--key", regenerated->key, "primary, secondary or swap")
      ->required()
      ->check(CLI::IsMember({"primary", "secondary", "swap"}));
  run_on_hub(*regenerates, outcome, regenerated, regenerate);
  regenerates->footer("Example:\n  nacelle policies regenerate-key line-a --key secondary");

  CLI::App* tells = policies->add_subcommand("connection-string", "Print a policy's connection string: a secret");
  const Settings told = add_common(*tells, true);
  tells->add_flag("--secondary", told->secondary, "with the secondary key");
  run_on_hub(*tells, outcome, told, connection_string);
  tells->footer("Example:\n  nacelle policies connection-string service");
}

}  // namespace nacelle::app
