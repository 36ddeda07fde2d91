// Queries over REST (wire facts 2.5).
#include "codec/text/encoding.h"
#include "service/hub/api.h"
#include "service/hub/fleet.h"

namespace nacelle::hub {
namespace {

constexpr std::size_t default_page = 100;

}  // namespace

Result<std::size_t> page_size_of(const Call& call) {
  const std::string_view header = call.request.headers.get("x-ms-max-item-count");
  if (header.empty()) return default_page;
  TRY_LET(const std::int64_t wanted, text::parse_integer(header, "x-ms-max-item-count"));
  if (wanted < 1) return fail(Fault::invalid_input, "x-ms-max-item-count: expected a number above 0");
  return std::min<std::size_t>(static_cast<std::size_t>(wanted), Queries::largest_page);
}

net::HttpResponse page_answer(json::Array rows, std::string_view item_type, std::string_view continuation) {
  net::HttpResponse response = json_answer(200, std::move(rows));
  response.headers.set("x-ms-item-type", item_type);
  if (!continuation.empty()) response.headers.set("x-ms-continuation", continuation);
  return response;
}

net::HttpResponse query_devices(Services& services, const Call& call) {
  const auto body = call.json();
  if (!body) return services.error(body.error());
  const auto text = json::get_string(*body, "query", "request body");
  if (!text) return services.error(text.error());
  const auto size = page_size_of(call);
  if (!size) return services.error(size.error());
  auto page = services.fleet.queries.page(*text, *size, call.request.headers.get("x-ms-continuation"));
  if (!page) return services.error(page.error());
  return page_answer(std::move(page->rows), page->item_type, page->continuation);
}

namespace {

/// Thumbprints are no secret: without them a device that comes with a certificate would be another one after an import.
json::Value authentication_of(const json::Value& document, bool keys) {
  json::Object authentication = document.find("authentication")->as_object();
  if (!keys) authentication.erase("symmetricKey");
  return authentication;
}

std::string export_line(const Services& services, const device::IdentityName& name, bool keys) {
  const IdentityPtr identity = services.registry.identities().find(name);
  const auto twin = services.registry.twin(name);
  if (!identity || !twin) return {};
  const json::Value document = device::to_json(*identity);
  json::Object item{{"id", name.device.str()}};
  if (name.is_module()) item.set("moduleId", name.module.str());
  item.set("importMode", "createOrUpdate");
  item.set("eTag", *document.find("etag"));
  for (const char* member : {"managedBy", "status", "statusReason", "capabilities", "deviceScope", "parentScopes"})
    if (const json::Value* value = document.find(member)) item.set(member, *value);
  if (keys || identity->authentication != device::Authentication::sas)
    item.set("authentication", authentication_of(document, keys));
  item.set("twinETag", twin::etag_text(twin->etag));
  item.set("tags", twin->tags);
  item.set("properties", json::Object{{"desired", twin->desired.values}});
  return json::print(item) + "\n";
}

}  // namespace

std::string export_lines(const Services& services, const device::IdentityName& device, bool keys) {
  std::string lines;
  for (const auto& name : with_modules(services, device)) lines += export_line(services, name, keys);
  return lines;
}

/// Lines of JSON, one a device or module, as POST /devices takes them back: identity, tags, desired properties; keys when asked
/// for.
net::HttpResponse export_devices(Services& services, const Call& call) {
  const bool keys = call.request.query("keys") == "true";
  const auto size = page_size_of(call);
  if (!size) return services.error(size.error());
  if (keys && !call.caller.rights.registry_write) {
    const Error why{Fault::denied, "keys are exported to callers with the right to write the registry only"};
    note_refusal(services, Way::https, call.request, "policy " + call.caller.policy, why);
    return services.error(why);
  }
  const std::string after = call.request.query("after");
  const auto names = services.registry.names_after(after, *size);
  if (!names) return services.error(names.error());
  std::string lines;
  for (const auto& name : *names) lines += export_lines(services, name, keys);
  net::HttpResponse response = net::text_response(200, std::move(lines), "application/x-ndjson");
  if (names->size() == *size) response.headers.set("x-ms-continuation", names->back().device.str());
  return response;
}

}  // namespace nacelle::hub
