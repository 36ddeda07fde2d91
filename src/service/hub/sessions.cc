#include "service/hub/sessions.h"

#include "codec/json/value.h"

namespace nacelle::hub {

using mqtt::Subscription;

Result<std::vector<Subscription>> Sessions::load(const std::string& client_id) {
  TRY_LET(const auto rows, tables_.query("SELECT subscriptions FROM session WHERE client = ?", client_id));
  std::vector<Subscription> subscriptions;
  if (rows.empty()) return subscriptions;
  TRY_LET(const json::Value kept, json::parse(storage::text(rows[0][0])));
  if (!kept.is_array()) return fail(Fault::corrupt, "the kept session of '" + client_id + "' is not an array");
  for (const auto& one : kept.as_array()) {
    TRY_LET(std::string filter, json::get_string(one, "filter", "session"));
    TRY_LET(const std::int64_t qos, json::get_integer(one, "qos", "session"));
    subscriptions.push_back({std::move(filter), qos == 0 ? mqtt::QoS::at_most_once : mqtt::QoS::at_least_once});
  }
  return subscriptions;
}

Result<bool> Sessions::exists(const std::string& client_id) {
  TRY_LET(const auto rows, tables_.query("SELECT 1 FROM session WHERE client = ?", client_id));
  return !rows.empty();
}

Result<> Sessions::save(const std::string& client_id, const std::vector<Subscription>& subscriptions) {
  json::Array kept;
  for (const auto& one : subscriptions) kept.push_back(json::Object{{"filter", one.filter}, {"qos", static_cast<int>(one.qos)}});
  // A client that comes back with the session it left changes nothing: no write, no sync.
  const std::string text = json::print(kept);
  TRY(
      tables_.run("INSERT INTO session VALUES (?, ?) ON CONFLICT (client) DO UPDATE SET subscriptions = excluded.subscriptions "
                  "WHERE subscriptions <> excluded.subscriptions",
                  client_id, text));
  return {};
}

Result<> Sessions::forget(const std::string& client_id) {
  TRY(tables_.run("DELETE FROM session WHERE client = ?", client_id));
  return {};
}

}  // namespace nacelle::hub
