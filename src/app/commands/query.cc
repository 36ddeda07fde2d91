// nacelle query: devices, modules and jobs of a hub, asked for in its query language.
#include <fmt/format.h>

#include <algorithm>

#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct QuerySettings {
  std::string hub;
  std::string text;
  bool json = false;
};
using Settings = std::shared_ptr<QuerySettings>;

std::string cell_text(const json::Value* value) {
  if (!value) return "";
  return value->is_string() ? value->as_string() : json::print(*value);
}

/// A table of the columns that any row has; whole twins are shown by what tells them apart.
void print_rows(const json::Array& rows) {
  std::vector<std::string> header;
  const auto add = [&header](const std::string& name) {
    if (std::find(header.begin(), header.end(), name) == header.end()) header.push_back(name);
  };
  const bool twins = !rows.empty() && rows[0].find("properties") && rows[0].find("deviceEtag");
  for (const json::Value& row : rows)
    if (row.is_object())
      for (const auto& [name, value] : row.as_object())
        if (!twins || name == "deviceId" || name == "moduleId" || name == "status" || name == "connectionState" || name == "tags")
          add(name);
  std::vector<std::vector<std::string>> lines;
  for (const json::Value& row : rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (const std::string& name : header) line.push_back(cell_text(row.find(name)));
  }
  if (!header.empty()) print_table(header, lines);
}

awaitable<Result<>> ask(HubClient& hub, Settings settings) {
  const std::string body = json::print(json::Object{{"query", settings->text}});
  CO_TRY_LET(const json::Array rows, co_await all_pages(hub, "POST", "/devices/query", body));
  if (settings->json)
    print_line(json::print(rows));
  else
    print_rows(rows);
  co_return Result<>{};
}

}  // namespace

awaitable<Result<json::Array>> all_pages(HubClient& hub, std::string method, std::string target, std::string body) {
  json::Array rows;
  std::string continuation;
  do {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.headers.set("x-ms-max-item-count", "1000");
    if (!body.empty()) request.headers.set("content-type", "application/json; charset=utf-8");
    if (!continuation.empty()) request.headers.set("x-ms-continuation", continuation);
    CO_TRY_LET(const net::HttpResponse response, co_await hub.send(request));
    if (response.status >= 300) co_return fail(endpoint::fault_of(response, method, target));
    CO_TRY_LET(json::Value page, json::parse(response.body));
    if (!page.is_array())
      co_return fail(Fault::corrupt, fmt::format("{}: expected an array of rows, found {}", target, json::type_name(page)));
    rows.insert(rows.end(), std::make_move_iterator(page.as_array().begin()), std::make_move_iterator(page.as_array().end()));
    continuation = response.headers.get("x-ms-continuation");
  } while (!continuation.empty());
  co_return rows;
}

void add_query(CLI::App& root, Outcome& outcome) {
  CLI::App* query = root.add_subcommand("query", "Ask a hub about devices, modules and jobs (docs/queries.md)");
  auto settings = std::make_shared<QuerySettings>();
  add_hub_option(*query, settings->hub);
  query->add_option("text", settings->text, "the query")->required();
  query->add_flag("--json", settings->json, "the rows as one line of JSON");
  query->footer(
      "Example:\n  nacelle query \"SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site ORDER BY n DESC\"");
  query->callback(
      [&outcome, settings] { outcome.take(with_hub(settings->hub, [&](HubClient& hub) { return ask(hub, settings); })); });
}

}  // namespace nacelle::app
