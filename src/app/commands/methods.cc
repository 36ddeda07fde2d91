// nacelle methods: calls direct methods of devices and modules.
#include <fmt/format.h>

#include "app/commands/hub_access.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct MethodSettings {
  std::string hub;
  std::string id;
  std::string method;
  std::string module;
  std::string payload;
  int timeout_seconds = 30;
  int connect_seconds = 0;
  bool json = false;
};
using Settings = std::shared_ptr<MethodSettings>;

/// What a failed call says: its own form is a JSON text inside `Message` (wire facts 2.10). A device that is not there is no
/// mistake of who asks.
Error failure_of(const net::HttpResponse& response, const std::string& target) {
  Error error = endpoint::fault_of(response, "POST", target);
  if (response.headers.get("iothub-errorcode") == "DeviceNotOnline") error.fault = Fault::unavailable;
  const auto body = json::parse(response.body);
  const json::Value* text = body ? body->find("Message") : nullptr;
  const auto inner = text && text->is_string() ? json::parse(text->as_string()) : Result<json::Value>(json::Value());
  if (const json::Value* message = inner ? inner->find("message") : nullptr; message && message->is_string())
    error.message = message->as_string();
  return error;
}

/// The device's own status decides the exit code: 2xx is well.
awaitable<Result<>> call_method(HubClient& hub, Settings settings) {
  json::Object request{{"methodName", settings->method},
                       {"responseTimeoutInSeconds", settings->timeout_seconds},
                       {"connectTimeoutInSeconds", settings->connect_seconds}};
  if (!settings->payload.empty()) {
    CO_TRY_LET(json::Value payload, in(json::parse(settings->payload), "--payload"));
    request.set("payload", std::move(payload));
  }
  const std::string path = endpoint::twin_path({device::DeviceId(settings->id), device::ModuleId(settings->module)}) + "/methods";
  net::HttpRequest call;
  call.method = "POST";
  call.target = path;
  call.headers.set("content-type", "application/json; charset=utf-8");
  call.body = json::print(request);
  CO_TRY_LET(const net::HttpResponse response, co_await hub.send(std::move(call)));
  if (response.status >= 300) co_return fail(failure_of(response, path));
  CO_TRY_LET(const json::Value answer, json::parse(response.body));
  CO_TRY_LET(const std::int64_t status, json::get_integer(answer, "status", "the hub's answer"));
  const json::Value* payload = answer.find("payload");
  if (settings->json)
    print_line(json::print(answer));
  else
    print_line(fmt::format("{} {}", status, payload ? json::print(*payload) : "null"));
  if (status < 200 || status > 299)
    co_return fail(Fault::unavailable, fmt::format("the method '{}' answered with status {}", settings->method, status));
  co_return Result<>{};
}

}  // namespace

void add_methods(CLI::App& root, Outcome& outcome) {
  CLI::App* methods = root.add_subcommand("methods", "Call methods of devices and modules");
  methods->require_subcommand(1);
  methods->footer("Example:\n  nacelle methods call Client_001 reboot --payload '{\"delay\":5}'");
  CLI::App* calls = methods->add_subcommand("call", "Call a direct method and print the device's status and payload");
  const auto settings = std::make_shared<MethodSettings>();
  add_hub_option(*calls, settings->hub);
  calls->add_option("id", settings->id, "the device")->required();
  calls->add_option("method", settings->method, "the method's name")->required();
  calls->add_option("--module", settings->module, "one of the device's modules");
  calls->add_option("--payload", settings->payload, "JSON");
  calls->add_option("--timeout", settings->timeout_seconds, "seconds to wait for the answer, 5 to 300")->capture_default_str();
  calls->add_option("--connect-timeout", settings->connect_seconds, "seconds to wait for the device to connect, 0 to 300")
      ->capture_default_str();
  calls->add_flag("--json", settings->json, "one line of JSON");
  run_on_hub(*calls, outcome, settings, call_method);
  calls->footer(
      "Ends with 1 if the device cannot be reached or its status is not 2xx.\n\n"
      "Example:\n  nacelle methods call edge-1 ping --module '$edgeAgent' --timeout 10");
}

}  // namespace nacelle::app
