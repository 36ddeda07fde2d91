#include "ml/dataset/captured.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "codec/avro/container.h"
#include "codec/avro/schema.h"
#include "ml/dataset/detail/reading.h"
#include "ml/dataset/line_reader.h"

namespace nacelle::dataset {

namespace {

using detail::BodyReader;
using detail::Found;
using detail::Members;

// The longest message, each byte of it escaped by six (domain/telemetry: max_capture_line_bytes).
constexpr std::size_t max_capture_line = 2 << 20;

/// The branch of a union that is there, or the node itself.
Result<const avro::Node*> resolve(const avro::Node& node, avro::Decoder& in) {
  if (node.type != avro::Type::union_type) return &node;
  TRY_LET(const std::size_t branch, in.read_index(node.branches.size()));
  return node.branches[branch];
}

Result<std::optional<double>> read_number(const avro::Node& declared, avro::Decoder& in) {
  TRY_LET(const avro::Node* node, resolve(declared, in));
  switch (node->type) {
    case avro::Type::int_type:
    case avro::Type::long_type: {
      TRY_LET(const std::int64_t value, in.read_long());
      return std::optional(static_cast<double>(value));
    }
    case avro::Type::float_type: {
      TRY_LET(const float value, in.read_float());
      return std::optional(static_cast<double>(value));
    }
    case avro::Type::double_type: {
      TRY_LET(const double value, in.read_double());
      return std::optional(value);
    }
    default: TRY(avro::skip(*node, in)); return std::optional<double>();
  }
}

/// Bytes or a string, or nothing.
Result<std::optional<BytesView>> read_bytes(const avro::Node& declared, avro::Decoder& in) {
  TRY_LET(const avro::Node* node, resolve(declared, in));
  if (node->type == avro::Type::bytes || node->type == avro::Type::string) {
    TRY_LET(const BytesView bytes, in.read_bytes());
    return std::optional(bytes);
  }
  TRY(avro::skip(*node, in));
  return std::optional<BytesView>();
}

/// Which field of the envelope is which, found once a file.
enum class Part { other, system, body };

std::vector<Part> parts_of(const avro::Node& record) {
  std::vector<Part> parts;
  for (const avro::Field& field : record.fields) {
    const bool texts = field.type->type == avro::Type::map && field.type->items->type == avro::Type::string;
    parts.push_back(field.name == "SystemProperties" && texts ? Part::system : field.name == "Body" ? Part::body : Part::other);
  }
  return parts;
}

/// connectionDeviceId of a map of strings. The others are stepped over: nobody looks whether they are UTF-8.
Result<> read_device(avro::Decoder& in, Found& found) {
  while (true) {
    TRY_LET(const std::uint64_t count, in.read_count());
    if (count == 0) return {};
    for (std::uint64_t i = 0; i < count; ++i) {
      TRY_LET(const BytesView key, in.read_bytes());
      TRY_LET(const BytesView value, in.read_bytes());
      if (key == "connectionDeviceId") found.unit = unit_of_device(value);
    }
  }
}

/// The hub's envelope: EnqueuedTimeUtc, Properties, SystemProperties, Body.
Result<> read_message(const avro::Node& record, const std::vector<Part>& parts, avro::Decoder& in, BodyReader& bodies,
                      Found& found) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const avro::Field& field = record.fields[i];
    if (parts[i] == Part::system) {
      TRY(read_device(in, found));
    } else if (parts[i] == Part::body) {
      TRY_LET(const std::optional<BytesView> body, read_bytes(*field.type, in));
      if (body && !bodies.read(*body, found)) found.clear();
    } else {
      TRY(avro::skip(*field.type, in));
    }
  }
  return {};
}

/// The edge writer's record: ConnectionDeviceId and the readings in Body, a record of numbers.
Result<> read_engine_data(const avro::Node& record, const Members& members, avro::Decoder& in, Found& found) {
  for (const avro::Field& field : record.fields) {
    if (field.name == "ConnectionDeviceId") {
      TRY_LET(const std::optional<BytesView> id, read_bytes(*field.type, in));
      if (id) found.unit = unit_of_device(*id);
      continue;
    }
    if (field.name != "Body") {
      TRY(avro::skip(*field.type, in));
      continue;
    }
    TRY_LET(const avro::Node* body, resolve(*field.type, in));
    if (body->type != avro::Type::record) {
      TRY(avro::skip(*body, in));
      continue;
    }
    for (const avro::Field& member : body->fields) {
      const int target = members.target_of(member.name);
      if (target == Members::none) {
        TRY(avro::skip(*member.type, in));
        continue;
      }
      TRY_LET(const std::optional<double> value, read_number(*member.type, in));
      if (value) found.set(members, target, *value);
    }
  }
  return {};
}

bool has_field(const avro::Node& record, std::string_view name) {
  return std::any_of(record.fields.begin(), record.fields.end(), [name](const avro::Field& field) { return field.name == name; });
}

}  // namespace

std::int64_t unit_of_device(std::string_view device_id) {
  const std::size_t last_other = device_id.find_last_not_of("0123456789");
  const std::string_view digits = device_id.substr(last_other == std::string_view::npos ? 0 : last_other + 1);
  std::int64_t unit = -1;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), unit);
  return code == std::errc{} && unit >= 1 && unit <= 1'000'000'000 ? unit : -1;
}

Result<> read_avro(std::istream& in, std::string_view name, TableBuilder& rows, ImportCounts& counts) {
  const auto source = [&in](char* to, std::size_t room) -> Result<std::size_t> {
    in.read(to, static_cast<std::streamsize>(room));
    if (in.bad()) return fail(Fault::unavailable, "cannot be read");
    return static_cast<std::size_t>(in.gcount());
  };
  TRY_LET(auto reader, nacelle::in(avro::ContainerReader::open(source), name));
  TRY_LET(const avro::Schema schema, nacelle::in(avro::Schema::parse(reader.header().schema), name));
  const avro::Node& root = schema.root();
  const bool message = root.type == avro::Type::record && has_field(root, "SystemProperties") && has_field(root, "Body");
  const bool engine_data = root.type == avro::Type::record && has_field(root, "ConnectionDeviceId") && has_field(root, "Body");
  if (!message && !engine_data)
    return fail(Fault::invalid_input, fmt::format("{}: expected captured messages or records of engine data, found the schema '{}'",
                                                  name, root.name.empty() ? avro::type_name(root.type) : root.name));
  const Members members(rows.schema());
  BodyReader bodies(members);
  const std::vector<Part> parts = parts_of(root);
  ImportCounts of_file;
  Found found(members);  // one for all: it is large
  const Result<> read = reader.each_record([&](avro::Decoder& decoder) -> Result<> {
    found.clear();
    TRY(message ? read_message(root, parts, decoder, bodies, found) : read_engine_data(root, members, decoder, found));
    detail::take(found, name, rows, of_file);
    return {};
  });
  counts.add(of_file);
  return nacelle::in(read, name);
}

Result<> read_json_capture(std::istream& in, std::string_view name, TableBuilder& rows, ImportCounts& counts) {
  LineReader lines(in, name, max_capture_line);
  const Members members(rows.schema());
  BodyReader bodies(members);
  ImportCounts of_file;
  std::string_view line;
  Found found(members);
  while (true) {
    TRY_LET(const bool more, lines.next(line));
    if (!more) break;
    found.clear();
    if (const auto read = bodies.read_line(line, found); !read)
      return fail(Fault::corrupt, fmt::format("{}: {}", lines.here(), read.error().message));
    detail::take(found, name, rows, of_file);
  }
  counts.add(of_file);
  return {};
}

}  // namespace nacelle::dataset
