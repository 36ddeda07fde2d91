#include "ml/dataset/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace nacelle::dataset {

namespace {

constexpr std::size_t max_columns = 1000;
constexpr std::size_t max_name_bytes = 100;

Result<> check_column_name(std::string_view name, std::string_view where) {
  const bool fits = !name.empty() && name.size() <= max_name_bytes && name.find_first_of(",\"\r\n\t") == std::string_view::npos &&
                    name.front() != ' ' && name.back() != ' ';
  if (!fits)
    return fail(Fault::invalid_input,
                fmt::format("{}: expected a column's name of 1 to {} bytes without comma, quote or tab, found '{}'", where,
                            max_name_bytes, name.substr(0, max_name_bytes)));
  return {};
}

Result<double> optional_positive(const json::Value& object, std::string_view key, double otherwise, std::string_view where) {
  const json::Value* found = object.find(key);
  if (!found) return otherwise;
  if (!found->is_number() || !(found->as_number() > 0) || !std::isfinite(found->as_number()))
    return fail(Fault::invalid_input, fmt::format("{}: {}: expected a number above 0", where, key));
  return found->as_number();
}

Result<> check_members(const json::Value& object, std::initializer_list<std::string_view> known, std::string_view where) {
  if (!object.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found {}", where, json::type_name(object)));
  for (const auto& [key, value] : object.as_object())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(Fault::invalid_input, fmt::format("{}: the member '{}' is unknown", where, key));
  return {};
}

/// A channel is its name, or an object with more.
Result<Channel> read_channel(const json::Value& value, const std::string& where) {
  if (value.is_string()) return Channel{.name = value.as_string()};
  TRY(check_members(value, {"name", "meaning", "unit", "tolerance"}, where));
  Channel channel;
  TRY_LET(channel.name, json::get_string(value, "name", where));
  TRY_LET(channel.meaning, json::get_string_or(value, "meaning", "", where));
  TRY_LET(channel.unit, json::get_string_or(value, "unit", "", where));
  TRY_LET(channel.tolerance, optional_positive(value, "tolerance", 0, where));
  return channel;
}

Result<std::vector<Channel>> read_channels(const json::Value& document, std::string_view key) {
  std::vector<Channel> channels;
  const json::Value* list = document.find(key);
  if (!list) return channels;
  if (!list->is_array())
    return fail(Fault::invalid_input, fmt::format("schema: {}: expected an array, found {}", key, json::type_name(*list)));
  if (list->as_array().size() > max_columns)
    return fail(Fault::invalid_input,
                fmt::format("schema: {}: expected at most {}, found {}", key, max_columns, list->as_array().size()));
  for (const json::Value& item : list->as_array()) {
    TRY_LET(Channel channel, read_channel(item, fmt::format("schema: {}[{}]", key, channels.size())));
    channels.push_back(std::move(channel));
  }
  return channels;
}

Result<TimeColumn> read_time(const json::Value& value) {
  TimeColumn time;
  if (value.is_string()) {
    time.name = value.as_string();
    return time;
  }
  constexpr std::string_view where = "schema: time";
  TRY(check_members(value, {"name", "form", "step"}, where));
  TRY_LET(time.name, json::get_string(value, "name", where));
  TRY_LET(const std::string form, json::get_string_or(value, "form", "number", where));
  if (form != "number" && form != "iso8601")
    return fail(Fault::invalid_input, fmt::format("{}: form: expected number or iso8601, found '{}'", where, form));
  time.iso8601 = form == "iso8601";
  TRY_LET(time.step, optional_positive(value, "step", 1, where));
  return time;
}

Result<> read_id(const json::Value& document, FleetSchema& schema) {
  const json::Value* id = document.find("id");
  if (!id || !id->is_object()) {
    TRY_LET(schema.id, json::get_string(document, "id", "schema"));
    return {};
  }
  TRY(check_members(*id, {"name", "form"}, "schema: id"));
  TRY_LET(schema.id, json::get_string(*id, "name", "schema: id"));
  TRY_LET(const std::string form, json::get_string_or(*id, "form", "number", "schema: id"));
  if (form != "number" && form != "text")
    return fail(Fault::invalid_input, fmt::format("schema: id: form: expected number or text, found '{}'", form));
  schema.id_is_text = form == "text";
  return {};
}

Result<> check(const FleetSchema& schema) {
  if (schema.sensors.empty()) return fail(Fault::invalid_input, "schema: sensors: expected one at least, found none");
  if (schema.column_count() > max_columns)
    return fail(Fault::invalid_input,
                fmt::format("schema: expected at most {} columns, found {}", max_columns, schema.column_count()));
  std::set<std::string, std::less<>> seen;
  std::vector<std::string> names = schema.column_names();
  names.insert(names.end(), {schema.id, schema.time.name});
  if (!schema.label.empty()) names.push_back(schema.label);
  for (const std::string& name : names) {
    TRY(check_column_name(name, "schema"));
    if (!seen.insert(name).second) return fail(Fault::invalid_input, fmt::format("schema: the column '{}' is there twice", name));
  }
  return {};
}

json::Value to_json(const Channel& channel) {
  json::Object object{{"name", channel.name}};
  if (!channel.meaning.empty()) object.set("meaning", channel.meaning);
  if (!channel.unit.empty()) object.set("unit", channel.unit);
  if (channel.tolerance > 0) object.set("tolerance", channel.tolerance);
  return object;
}

FleetSchema make_turbofan_schema() {
  FleetSchema schema;
  schema.settings = {{"OperationalSetting1", "altitude", "kft"},
                     {"OperationalSetting2", "flight Mach number", ""},
                     {"OperationalSetting3", "throttle resolver angle", ""}};
  const std::pair<const char*, const char*> sensors[] = {{"T2, temperature at fan inlet", "°R"},
                                                         {"T24, temperature at LPC outlet", "°R"},
                                                         {"T30, temperature at HPC outlet", "°R"},
                                                         {"T50, temperature at LPT outlet", "°R"},
                                                         {"P2, pressure at fan inlet", "psia"},
                                                         {"P15, pressure in bypass duct", "psia"},
                                                         {"P30, pressure at HPC outlet", "psia"},
                                                         {"Nf, physical fan speed", "rpm"},
                                                         {"Nc, physical core speed", "rpm"},
                                                         {"epr, engine pressure ratio", ""},
                                                         {"Ps30, static pressure at HPC outlet", "psia"},
                                                         {"phi, fuel flow to Ps30", "pps/psi"},
                                                         {"NRf, corrected fan speed", "rpm"},
                                                         {"NRc, corrected core speed", "rpm"},
                                                         {"BPR, bypass ratio", ""},
                                                         {"farB, burner fuel-air ratio", ""},
                                                         {"htBleed, bleed enthalpy", ""},
                                                         {"Nf_dmd, demanded fan speed", "rpm"},
                                                         {"PCNfR_dmd, demanded corrected fan speed", "rpm"},
                                                         {"W31, HPT coolant bleed", "lbm/s"},
                                                         {"W32, LPT coolant bleed", "lbm/s"}};
  for (const auto& [meaning, unit] : sensors)
    schema.sensors.push_back({fmt::format("Sensor{}", schema.sensors.size() + 1), meaning, unit});
  return schema;
}

}  // namespace

std::vector<std::string> FleetSchema::column_names() const {
  std::vector<std::string> names;
  for (const Channel& channel : settings) names.push_back(channel.name);
  for (const Channel& channel : sensors) names.push_back(channel.name);
  return names;
}

const Channel& FleetSchema::column(std::size_t index) const {
  return index < settings.size() ? settings[index] : sensors[index - settings.size()];
}

std::optional<std::size_t> FleetSchema::find_column(std::string_view name) const {
  for (std::size_t c = 0; c < column_count(); ++c)
    if (column(c).name == name) return c;
  return std::nullopt;
}

std::string FleetSchema::describe(std::size_t index) const {
  const Channel& channel = column(index);
  return channel.unit.empty() ? channel.meaning
                              : fmt::format("{}{}({})", channel.meaning, channel.meaning.empty() ? "" : " ", channel.unit);
}

Result<FleetSchema> FleetSchema::from_json(const json::Value& document) {
  TRY(check_members(document, {"machine", "id", "time", "settings", "sensors", "label", "events"}, "schema"));
  FleetSchema schema;
  TRY_LET(schema.machine, json::get_string_or(document, "machine", "machine", "schema"));
  TRY(read_id(document, schema));
  const json::Value* time = document.find("time");
  if (!time) return fail(Fault::invalid_input, "schema: time: expected the column that tells the cycle, found none");
  TRY_LET(schema.time, read_time(*time));
  TRY_LET(schema.settings, read_channels(document, "settings"));
  TRY_LET(schema.sensors, read_channels(document, "sensors"));
  TRY_LET(schema.label, json::get_string_or(document, "label", "", "schema"));
  if (const json::Value* events = document.find("events")) {
    TRY(check_members(*events, {"id", "time"}, "schema: events"));
    TRY_LET(schema.event_id, json::get_string_or(*events, "id", "", "schema: events"));
    TRY_LET(schema.event_time, json::get_string_or(*events, "time", "", "schema: events"));
  }
  if (schema.event_id.empty()) schema.event_id = schema.id;
  if (schema.event_time.empty()) schema.event_time = schema.time.name;
  TRY(check(schema));
  return schema;
}

json::Value FleetSchema::to_json() const {
  json::Array setting_list, sensor_list;
  for (const Channel& channel : settings) setting_list.push_back(dataset::to_json(channel));
  for (const Channel& channel : sensors) sensor_list.push_back(dataset::to_json(channel));
  json::Object object{
      {"machine", machine},
      {"id", json::Object{{"name", id}, {"form", id_is_text ? "text" : "number"}}},
      {"time", json::Object{{"name", time.name}, {"form", time.iso8601 ? "iso8601" : "number"}, {"step", time.step}}},
      {"settings", std::move(setting_list)},
      {"sensors", std::move(sensor_list)}};
  if (!label.empty()) object.set("label", label);
  if (!event_id.empty()) object.set("events", json::Object{{"id", event_id}, {"time", event_time}});
  return object;
}

std::string avro_name_of(std::string_view column) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::string name;
  for (const char c : column) name += letter(c) || digit(c) ? c : '_';
  if (name.empty() || digit(name.front())) name.insert(0, 1, '_');
  return name;
}

std::shared_ptr<const FleetSchema> turbofan_schema() {
  static const auto schema = std::make_shared<const FleetSchema>(make_turbofan_schema());
  return schema;
}

}  // namespace nacelle::dataset
