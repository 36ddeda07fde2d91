// nacelle messages: to devices, and what became of them.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "app/commands/service_queue.h"
#include "codec/text/encoding.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct MessageSettings {
  std::string hub;
  std::string id;
  std::string body;
  std::string message_id;
  std::string correlation_id;
  std::string content_type;
  std::string content_encoding;
  std::string ack;
  std::vector<std::string> properties;
  std::int64_t expires_in_seconds = 0;
  bool json = false;
};
using Settings = std::shared_ptr<MessageSettings>;

Result<net::HttpRequest> message_of(const MessageSettings& settings) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = endpoint::device_path({device::DeviceId(settings.id), {}}) + "/messages/devicebound";
  request.body = settings.body;
  const std::pair<const char*, const std::string*> headers[] = {{"iothub-messageid", &settings.message_id},
                                                                {"iothub-correlationid", &settings.correlation_id},
                                                                {"iothub-contenttype", &settings.content_type},
                                                                {"iothub-contentencoding", &settings.content_encoding},
                                                                {"iothub-ack", &settings.ack}};
  for (const auto& [name, value] : headers)
    if (!value->empty()) request.headers.set(name, *value);
  if (settings.expires_in_seconds > 0)
    request.headers.set("iothub-expiry", format_iso8601(SystemClock().now() + std::chrono::seconds{settings.expires_in_seconds}));
  for (const std::string& property : settings.properties) {
    const auto equals = property.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Fault::invalid_input, fmt::format("--property: expected NAME=VALUE, found '{}'", property));
    request.headers.set("iothub-app-" + property.substr(0, equals), property.substr(equals + 1));
  }
  return request;
}

awaitable<Result<>> send(HubClient& hub, Settings settings) {
  CO_TRY_LET(net::HttpRequest request, message_of(*settings));
  const std::string target = request.target;
  CO_TRY_LET(const net::HttpResponse response, co_await hub.send(std::move(request)));
  if (response.status >= 300) co_return fail(endpoint::fault_of(response, "POST", target));
  CO_TRY_LET(const json::Value receipt, json::parse(response.body));
  CO_TRY_LET(const std::string id, json::get_string(receipt, "messageId", "the hub's answer"));
  CO_TRY_LET(const std::string expiry, json::get_string(receipt, "expiryTimeUtc", "the hub's answer"));
  print_line(settings->json ? json::print(receipt) : fmt::format("message '{}' waits for {} until {}", id, settings->id, expiry));
  co_return Result<>{};
}

awaitable<Result<>> purge(HubClient& hub, Settings settings) {
  net::HttpRequest request;
  request.method = "DELETE";
  request.target = endpoint::device_path({device::DeviceId(settings->id), {}}) + "/commands";
  const std::string target = request.target;
  CO_TRY_LET(const net::HttpResponse response, co_await hub.send(std::move(request)));
  if (response.status >= 300) co_return fail(endpoint::fault_of(response, "DELETE", target));
  CO_TRY_LET(const json::Value answer, json::parse(response.body));
  CO_TRY_LET(const std::int64_t purged, json::get_integer(answer, "totalMessagesPurged", "the hub's answer"));
  print_line(settings->json ? json::print(answer) : fmt::format("{} messages purged", purged));
  co_return Result<>{};
}

}  // namespace

void add_messages(CLI::App& root, Outcome& outcome) {
  CLI::App* messages = root.add_subcommand("messages", "Send messages to devices; feedback about them");
  messages->require_subcommand(1);
  messages->footer(
      "Example:\n  nacelle messages send Client_001 '{\"speed\":5}' --ack full\n  nacelle messages receive-feedback --json");

  CLI::App* sends = messages->add_subcommand("send", "Put a message into a device's queue");
  const auto sent = std::make_shared<MessageSettings>();
  add_hub_option(*sends, sent->hub);
  sends->add_option("id", sent->id, "the device")->required();
  sends->add_option("body", sent->body, "the message")->required();
  sends->add_option("--message-id", sent->message_id, "(default: made by the hub)");
  sends->add_option("--correlation-id", sent->correlation_id, "");
  sends->add_option("--content-type", sent->content_type, "such as application/json");
  sends->add_option("--content-encoding", sent->content_encoding, "such as utf-8");
  sends->add_option("--ack", sent->ack, "feedback: none, positive, negative or full")
      ->check(CLI::IsMember({"none", "positive", "negative", "full"}));
  sends->add_option("--expires-in", sent->expires_in_seconds, "seconds (default: an hour)")->check(CLI::Range(1, 172'800));
  sends->add_option("--property", sent->properties, "NAME=VALUE; may be given several times");
  sends->add_flag("--json", sent->json, "one line of JSON");
  run_on_hub(*sends, outcome, sent, send);
  sends->footer("Example:\n  nacelle messages send Client_001 stop --property level=high --ack full");

  CLI::App* receives = messages->add_subcommand("receive-feedback", "What became of messages that asked for feedback");
  add_service_queue(*receives, outcome, "/messages/serviceBound/feedback");
  receives->footer("Example:\n  nacelle messages receive-feedback --json");

  CLI::App* purges = messages->add_subcommand("purge", "Empty a device's queue");
  const auto purged = std::make_shared<MessageSettings>();
  add_hub_option(*purges, purged->hub);
  purges->add_option("id", purged->id, "the device")->required();
  purges->add_flag("--json", purged->json, "one line of JSON");
  run_on_hub(*purges, outcome, purged, purge);
  purges->footer("Example:\n  nacelle messages purge Client_001");
}

}  // namespace nacelle::app
