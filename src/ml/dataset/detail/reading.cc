#include "ml/dataset/detail/reading.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "codec/json/value.h"
#include "codec/text/encoding.h"
#include "ml/dataset/captured.h"

namespace nacelle::dataset::detail {

namespace {

constexpr double max_cycle = 1e9;
constexpr std::size_t most_members = 64;

/// application/json in UTF-8: then a captured line has the body embedded.
struct SaysJson {
  bool type = false;
  bool encoding = false;

  void see(std::string_view name, std::string_view value) {
    if (text::equal_ignoring_case(name, "contentType"))
      type = text::equal_ignoring_case(text::trim(value.substr(0, value.find(';'))), "application/json");
    if (text::equal_ignoring_case(name, "contentEncoding")) encoding = text::equal_ignoring_case(text::trim(value), "utf-8");
  }
};

Failure expected(std::string_view member, std::string_view what) {
  return fail(Fault::invalid_input, fmt::format("{}: expected {}", member, what));
}

}  // namespace

Members::Members(const FleetSchema& schema)
    : columns_(schema.column_count()), settings_(schema.settings.size()), time_(schema.time) {
  const auto columns = schema.column_names();
  for (std::size_t c = 0; c < columns.size(); ++c) targets_[avro_name_of(columns[c])] = static_cast<int>(c);
  for (std::size_t c = 0; c < columns.size(); ++c) targets_[columns[c]] = static_cast<int>(c);
  if (columns != turbofan_columns() && !time_.iso8601) targets_[time_.name] = time;
  targets_[std::string(cycle_member)] = cycle;
}

int Members::target_of(std::string_view member) const {
  const auto found = targets_.find(member);
  return found == targets_.end() ? none : found->second;
}

void Found::set(const Members& members, int target, double value) {
  if (target == Members::cycle || target == Members::time) {
    cycle = target == Members::time ? members.cycle_of(value) : value;
    return;
  }
  values[static_cast<std::size_t>(target)] = value;
  if (members.is_sensor(target)) ++sensors;
}

void Found::clear() {
  unit = -1;
  cycle = std::numeric_limits<double>::quiet_NaN();
  std::fill(values.begin(), values.end(), cycle);
  sensors = 0;
  complaint.clear();
}

/// simdjson's DOM, not its on-demand form: the library of a distribution picks the processor's best instructions at run time only
/// there.
struct BodyReader::State {
  struct Member {
    std::string name;
    int target = Members::none;
  };
  explicit State(const Members& known) : members(known) {}

  const Members& members;
  std::vector<Member> seen;  // by place
  simdjson::dom::parser bodies;
  simdjson::dom::parser lines;
  std::string padded_body;
  std::string padded_line;

  static bool parse(simdjson::dom::parser& parser, std::string& padded, std::string_view text, simdjson::dom::object& object) {
    padded.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    padded.assign(text);
    return parser.parse(padded.data(), text.size(), false).get(object) == simdjson::SUCCESS;
  }

  /// What Members::target_of says, remembered by place: a fleet's messages have their members in one order, and comparing a name
  /// costs a tenth of looking it up.
  int target_at(std::size_t place, std::string_view name) {
    if (place < seen.size() && seen[place].name == name) return seen[place].target;
    const int target = members.target_of(name);
    if (place < most_members) {
      if (place >= seen.size()) seen.resize(place + 1);
      seen[place] = {std::string(name), target};
    }
    return target;
  }

  void read_members(const simdjson::dom::object& body, Found& found) {
    std::size_t place = 0;
    for (const auto field : body) {
      const int target = target_at(place++, field.key);
      if (target == Members::none) continue;
      double number = 0;
      if (!field.value.get(number))
        found.set(members, target, number);
      else if (!field.value.is_null())
        found.complaint = fmt::format("{}: expected a number", field.key);
    }
  }

  Result<> read_system(const simdjson::dom::element& value, Found& found, SaysJson& says) {
    simdjson::dom::object properties;
    if (value.is_null()) return {};
    if (value.get(properties)) return expected("SystemProperties", "an object");
    for (const auto field : properties) {
      std::string_view text;
      if (field.value.get(text)) return expected("SystemProperties", fmt::format("a string as '{}'", field.key));
      if (field.key == "connectionDeviceId") found.unit = unit_of_device(text);
      says.see(field.key, text);
    }
    return {};
  }
};

BodyReader::BodyReader(const Members& members) : state_(std::make_unique<State>(members)) {}
BodyReader::~BodyReader() = default;

bool BodyReader::read(BytesView body, Found& found) {
  simdjson::dom::object object;
  if (!State::parse(state_->bodies, state_->padded_body, body, object)) return false;
  state_->read_members(object, found);
  return true;
}

/// As telemetry::read_capture_line has it, for what becomes of a body (floors keep the two apart; a test holds them together).
Result<> BodyReader::read_line(std::string_view line, Found& found) {
  simdjson::dom::object message;
  if (!State::parse(state_->lines, state_->padded_line, line, message))
    return fail(Fault::invalid_input, "expected a captured message, a JSON object");
  SaysJson says;
  std::string_view enqueued_at;
  if (message.at_key("EnqueuedTimeUtc").get(enqueued_at)) return expected("EnqueuedTimeUtc", "a string");
  simdjson::dom::element member;
  if (!message.at_key("SystemProperties").get(member)) TRY(state_->read_system(member, found, says));
  if (message.at_key("Body").get(member) || member.is_null()) return {};
  const bool says_json = says.type && says.encoding;
  const std::int64_t unit = found.unit;
  std::string_view text;
  if (member.get(text)) {
    if (!says_json) return expected("Body", "base64 text, since the message does not say that it is JSON in UTF-8");
    simdjson::dom::object body;
    if (member.get(body))
      found.clear();
    else
      state_->read_members(body, found);
    return {};
  }
  const auto decoded = text::base64_decode(text);
  if (!decoded && !says_json) return expected("Body", "base64 text");
  // What says that it is JSON, and is, would have been embedded: then this body is one text, and no reading.
  const bool one_text = says_json && (!decoded || json::parse(*decoded));
  found.unit = unit;
  if (one_text || !read(*decoded, found)) found.clear();
  return {};
}

void take(const Found& found, std::string_view name, TableBuilder& rows, ImportCounts& counts) {
  ++counts.records;
  const bool is_reading =
      found.unit > 0 && (found.sensors > 0 || !found.complaint.empty()) && (!std::isnan(found.cycle) || !found.complaint.empty());
  if (!is_reading) {
    ++counts.skipped;
    return;
  }
  std::string complaint = found.complaint;
  if (complaint.empty() && !(found.cycle >= 1 && found.cycle <= max_cycle && found.cycle == std::floor(found.cycle)))
    complaint = fmt::format("CycleTime: expected a whole number from 1 up, found {}", found.cycle);
  if (!complaint.empty()) {
    ++counts.unreadable;
    if (counts.first_complaint.empty())
      counts.first_complaint = fmt::format("{}, record {} (engine {}): {}", name, counts.records, found.unit, complaint);
    return;
  }
  rows.add(found.unit, static_cast<std::int64_t>(found.cycle), found.values);
}

}  // namespace nacelle::dataset::detail
