#include "app/commands/service_queue.h"

#include <fmt/format.h>

#include "app/commands/hub_access.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct QueueSettings {
  std::string hub;
  std::string target;
  bool peek = false;
  bool json = false;
};
using Settings = std::shared_ptr<QueueSettings>;

std::string text_of(const json::Value& record) {
  std::string line;
  if (record.is_object())
    for (const auto& [name, value] : record.as_object())
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", name, value.is_string() ? value.as_string() : json::print(value));
  return line;
}

awaitable<Result<net::HttpResponse>> ask(HubClient& hub, std::string method, std::string target) {
  net::HttpRequest request;
  request.method = method;
  request.target = target;
  CO_TRY_LET(net::HttpResponse response, co_await hub.send(std::move(request)));
  if (response.status >= 300) co_return fail(endpoint::fault_of(response, method, target));
  co_return std::move(response);
}

/// A batch is completed only when it is printed: what is lost on the way comes again.
awaitable<Result<>> receive(HubClient& hub, Settings settings) {
  while (true) {
    const std::string target = settings->target;
    CO_TRY_LET(const net::HttpResponse batch, co_await ask(hub, "GET", target));
    if (batch.status == 204) co_return Result<>{};
    CO_TRY_LET(const json::Value records, json::parse(batch.body));
    if (!records.is_array()) co_return fail(Fault::unavailable, "the hub's answer is not an array");
    for (const json::Value& record : records.as_array()) print_line(settings->json ? json::print(record) : text_of(record));
    std::string lock(batch.headers.get("etag"));
    if (lock.size() >= 2 && lock.front() == '"') lock = lock.substr(1, lock.size() - 2);
    const std::string settled = settings->target + "/" + lock + (settings->peek ? "/abandon" : "");
    const std::string method = settings->peek ? "POST" : "DELETE";
    CO_TRY(co_await ask(hub, method, settled));
    if (settings->peek) co_return Result<>{};
  }
}

}  // namespace

void add_service_queue(CLI::App& command, Outcome& outcome, std::string target) {
  const auto settings = std::make_shared<QueueSettings>();
  settings->target = std::move(target);
  add_hub_option(command, settings->hub);
  command.add_flag("--peek", settings->peek, "leave them there; at most 64 are shown");
  command.add_flag("--json", settings->json, "one line of JSON each");
  run_on_hub(command, outcome, settings, receive);
}

}  // namespace nacelle::app
