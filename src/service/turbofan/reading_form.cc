#include "service/turbofan/reading_form.h"

#include <fmt/format.h>

#include <map>

#include "storage/file/file.h"

namespace nacelle::turbofan {

const ReadingForm& ReadingForm::turbofan() {
  static const ReadingForm form{.channels = dataset::turbofan_schema()->column_names()};
  return form;
}

Result<ReadingForm> ReadingForm::of(const Variables& variable) {
  const char* told = variable("FLEET_SCHEMA");
  if (!told || !*told) return turbofan();
  Bytes text = told;
  if (!text.starts_with('{')) {
    TRY_LET(text, in(storage::read_file(storage::real_file_system(), told, 1_MiB), "FLEET_SCHEMA"));
  }
  TRY_LET(const json::Value document, in(json::parse(text), "FLEET_SCHEMA"));
  TRY_LET(const dataset::FleetSchema schema, in(dataset::FleetSchema::from_json(document), "FLEET_SCHEMA"));
  if (schema.time.iso8601)
    return fail(Fault::invalid_input, "FLEET_SCHEMA: time: expected form number: readings tell their cycle, not a time of day");
  std::map<std::string, std::string> seen;
  for (const std::string& channel : schema.column_names())
    if (const auto [at, is_new] = seen.emplace(dataset::avro_name_of(channel), channel); !is_new)
      return fail(Fault::invalid_input,
                  fmt::format("FLEET_SCHEMA: '{}' and '{}' would have one name in Avro, {}", at->second, channel, at->first));
  return ReadingForm{.time = schema.time.name, .counted = schema.time, .channels = schema.column_names()};
}

const json::Value* ReadingForm::cycle_in(const json::Value& record) const {
  const json::Value* found = record.find(time);
  return found ? found : record.find(dataset::cycle_member);
}

std::string ReadingForm::identity() const { return fmt::format("{};{};{}", time, counted.step, fmt::join(channels, ",")); }

}  // namespace nacelle::turbofan
