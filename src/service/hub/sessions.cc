#include "service/hub/sessions.h"

#include "codec/json/value.h"

namespace nacelle::hub {

using mqtt::Subscription;
using net::MqttKeptSession;

namespace {

Result<bool> flag(const json::Value& from, std::string_view name) {
  const json::Value* value = from.find(name);
  if (value == nullptr) return false;
  if (!value->is_bool()) return fail(Fault::corrupt, "a kept session's " + std::string(name) + " is not a boolean");
  return value->as_bool();
}

Result<std::int64_t> number(const json::Value& from, std::string_view name, std::int64_t most) {
  if (from.find(name) == nullptr) return 0;
  TRY_LET(const std::int64_t value, json::get_integer(from, name, "session"));
  if (value < 0 || value > most) return fail(Fault::corrupt, "a kept session's " + std::string(name) + " is out of its range");
  return value;
}

Result<Subscription> read_subscription(const json::Value& one) {
  Subscription subscription;
  TRY_LET(subscription.filter, json::get_string(one, "filter", "session"));
  TRY_LET(const std::int64_t qos, number(one, "qos", 2));
  subscription.qos = static_cast<mqtt::QoS>(qos);
  TRY_LET(subscription.options.no_local, flag(one, "noLocal"));
  TRY_LET(subscription.options.retain_as_published, flag(one, "retainAsPublished"));
  TRY_LET(const std::int64_t handling, number(one, "retainHandling", 2));
  subscription.options.retain_handling = static_cast<mqtt::RetainHandling>(handling);
  TRY_LET(const std::int64_t id, number(one, "id", mqtt::max_varint));
  subscription.options.id = static_cast<std::uint32_t>(id);
  return subscription;
}

/// What only MQTT 5 asks for stands there only if it was asked for.
json::Value print_subscription(const Subscription& one) {
  json::Object kept{{"filter", one.filter}, {"qos", static_cast<int>(one.qos)}};
  if (one.options.no_local) kept.set("noLocal", true);
  if (one.options.retain_as_published) kept.set("retainAsPublished", true);
  if (one.options.retain_handling != mqtt::RetainHandling::send)
    kept.set("retainHandling", static_cast<int>(one.options.retain_handling));
  if (one.options.id != 0) kept.set("id", static_cast<std::int64_t>(one.options.id));
  return kept;
}

}  // namespace

/// docs/formats/hub-tables.md: an object; an array is what earlier versions wrote for a session that never expires.
Result<std::optional<MqttKeptSession>> Sessions::load(const std::string& client_id) {
  TRY_LET(const auto rows, tables_.query("SELECT subscriptions FROM session WHERE client = ?", client_id));
  if (rows.empty()) return std::optional<MqttKeptSession>{};
  TRY_LET(const json::Value kept, json::parse(storage::text(rows[0][0])));
  MqttKeptSession session;
  const json::Value* subscriptions = &kept;
  if (kept.is_object()) {
    if (kept.find("expirySeconds") != nullptr) {
      TRY_LET(const std::int64_t expiry, number(kept, "expirySeconds", mqtt::never_expires));
      session.expiry_seconds = static_cast<std::uint32_t>(expiry);
    }
    if (kept.find("beganAt") != nullptr) {
      TRY_LET(const std::string began_at, json::get_string(kept, "beganAt", "session"));
      TRY_LET(session.began_at, parse_iso8601(began_at));
    }
    if (kept.find("leftAt") != nullptr) {
      TRY_LET(const std::string left_at, json::get_string(kept, "leftAt", "session"));
      TRY_LET(session.left_at, parse_iso8601(left_at));
    }
    subscriptions = kept.find("subscriptions");
  }
  if (subscriptions == nullptr || !subscriptions->is_array())
    return fail(Fault::corrupt, "the kept session of '" + client_id + "' has no array of subscriptions");
  for (const auto& one : subscriptions->as_array()) {
    TRY_LET(Subscription subscription, read_subscription(one));
    session.subscriptions.push_back(std::move(subscription));
  }
  return std::optional(std::move(session));
}

Result<> Sessions::save(const std::string& client_id, const MqttKeptSession& session) {
  json::Array subscriptions;
  for (const auto& one : session.subscriptions) subscriptions.push_back(print_subscription(one));
  json::Object kept{{"subscriptions", std::move(subscriptions)}, {"beganAt", format_iso8601(session.began_at, 6)}};
  if (session.expiry_seconds != mqtt::never_expires) {
    kept.set("expirySeconds", static_cast<std::int64_t>(session.expiry_seconds));
    if (session.left_at) kept.set("leftAt", format_iso8601(*session.left_at, 6));
  }
  // A client that comes back with the session it left changes nothing: no write, no sync.
  const std::string text = json::print(json::Value(std::move(kept)));
  TRY(
      tables_.run("INSERT INTO session VALUES (?, ?) ON CONFLICT (client) DO UPDATE SET subscriptions = excluded.subscriptions "
                  "WHERE subscriptions <> excluded.subscriptions",
                  client_id, text));
  return {};
}

Result<std::vector<std::string>> Sessions::clients() {
  TRY_LET(const auto rows, tables_.query("SELECT client FROM session"));
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.emplace_back(storage::text(row[0]));
  return ids;
}

Result<> Sessions::forget(const std::string& client_id) {
  TRY(tables_.run("DELETE FROM session WHERE client = ?", client_id));
  return {};
}

}  // namespace nacelle::hub
