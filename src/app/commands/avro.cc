// nacelle avro: shows what Avro files hold, captured ones in the capture's own form, also those that are lines of JSON.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "app/commands/hub_access.h"
#include "codec/avro/container.h"
#include "codec/avro/schema.h"
#include "domain/telemetry/capture.h"
#include "ml/dataset/line_reader.h"

namespace nacelle::app {
namespace {

namespace fs = std::filesystem;

struct AvroSettings {
  std::string path;
  bool json = false;
  bool count = false;
};

Result<std::vector<fs::path>> files_at(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return fail(Fault::not_found, fmt::format("{} is not there", path.string()));
  if (!fs::is_directory(path, error)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  for (auto at = fs::recursive_directory_iterator(path, error); !error && at != fs::recursive_directory_iterator();
       at.increment(error))
    if (at->is_regular_file() && (at->path().extension() == ".avro" || at->path().extension() == ".json"))
      files.push_back(at->path());
  if (error) return fail(Fault::unavailable, fmt::format("{}: {}", path.string(), error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

/// The same document with the members of every object in the order of their names: two prints can be compared.
json::Value sorted(const json::Value& value) {
  if (value.is_array()) {
    json::Array items;
    for (const json::Value& item : value.as_array()) items.push_back(sorted(item));
    return items;
  }
  if (!value.is_object()) return value;
  std::vector<json::Object::Member> members;
  for (const auto& [name, member] : value.as_object()) members.emplace_back(name, sorted(member));
  std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return json::Object::from_members(std::move(members));
}

/// As the JSON encoding of capture has it: the body embedded if it is JSON, else base64 text.
void print_json(const telemetry::Message& message) {
  const std::string line = telemetry::print_capture_line(message);
  const auto document = json::parse(line);
  print_line(document ? json::print(sorted(*document)) : line);  // deeper than parse() goes: as it stands
}

void print_message(const telemetry::Message& message, bool as_json) {
  if (as_json) return print_json(message);
  std::string sender(message.device_id());
  if (!message.module_id().empty()) sender += "/" + std::string(message.module_id());
  print_line(fmt::format("{} {} {}", format_iso8601(message.enqueued_at), sender, message.body));
}

/// A file of captured messages as lines of JSON. Errors name the line.
Result<std::uint64_t> read_lines(std::istream& in, const std::string& name, const AvroSettings& settings) {
  dataset::LineReader lines(in, name, telemetry::max_capture_line_bytes);
  std::string_view line;
  while (true) {
    TRY_LET(const bool more, lines.next(line));
    if (!more) return lines.line_number();
    auto message = telemetry::read_capture_line(line);
    if (!message) return fail(Fault::corrupt, fmt::format("{}: {}", lines.here(), message.error().message));
    if (!settings.count) print_message(*message, settings.json);
  }
}

bool holds_lines(std::istream& in) {
  std::string beginning(64, '\0');
  in.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(in.gcount()));
  in.clear();
  in.seekg(0);
  return telemetry::looks_like_capture_lines(beginning);
}

/// Prints every record of the file, or only counts them; how many there were.
Result<std::uint64_t> read_file(const fs::path& path, const AvroSettings& settings) {
  auto stream = std::make_shared<std::ifstream>(path, std::ios::binary);
  if (!*stream) return fail(Fault::not_found, path.string() + ": cannot be read");
  if (holds_lines(*stream)) return read_lines(*stream, path.string(), settings);
  const auto source = [stream](char* to, std::size_t room) -> Result<std::size_t> {
    stream->read(to, static_cast<std::streamsize>(room));
    if (stream->bad()) return fail(Fault::unavailable, "reading failed");
    return static_cast<std::size_t>(stream->gcount());
  };
  const std::string name = path.string();
  TRY_LET(auto reader, in(avro::ContainerReader::open(source), name));
  std::uint64_t records = 0;
  const bool captured = reader.header().schema == telemetry::capture_schema;
  if (captured) {
    TRY(in(reader.each_record([&](avro::Decoder& decoder) -> Result<> {
      TRY_LET(const telemetry::Message message, telemetry::read_capture_record(decoder));
      ++records;
      if (!settings.count) print_message(message, settings.json);
      return {};
    }),
           name));
    return records;
  }
  TRY_LET(const avro::Schema schema, in(avro::Schema::parse(reader.header().schema), name));
  TRY(in(reader.each_record([&](avro::Decoder& decoder) -> Result<> {
    TRY_LET(const json::Value value, avro::decode(schema.root(), decoder));
    ++records;
    if (!settings.count) print_line(json::print(sorted(value)));
    return {};
  }),
         name));
  return records;
}

Result<> cat(const AvroSettings& settings) {
  TRY_LET(const auto files, files_at(settings.path));
  std::uint64_t records = 0;
  for (const auto& file : files) {
    TRY_LET(const std::uint64_t found, read_file(file, settings));
    records += found;
  }
  if (!settings.count) return {};
  const auto number_of_files = static_cast<std::uint64_t>(files.size());
  if (settings.json)
    print_line(json::print(json::Object{{"files", number_of_files}, {"records", records}}));
  else
    print_line(fmt::format("{} records in {} files", records, number_of_files));
  return {};
}

}  // namespace

void add_avro(CLI::App& root, Outcome& outcome) {
  CLI::App* avro = root.add_subcommand("avro", "Look into Avro files, and captures as lines of JSON");
  avro->require_subcommand(1);
  avro->footer("Example:\n  nacelle avro cat nacelle-data/objects/capture/devicedata --json");
  CLI::App* cats = avro->add_subcommand("cat", "Print the records of a file, or of all *.avro and *.json files below a folder");
  const auto settings = std::make_shared<AvroSettings>();
  cats->add_option("path", settings->path, "file or folder")->required();
  cats->add_flag("--json", settings->json, "one line of JSON a record, bodies decoded, members by name");
  cats->add_flag("--count", settings->count, "only count them");
  cats->footer("Example:\n  nacelle avro cat nacelle-data/objects/capture/devicedata --count");
  cats->callback([&outcome, settings] { outcome.take(cat(*settings)); });
}

}  // namespace nacelle::app
