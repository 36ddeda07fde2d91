#include "domain/query/detail/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "codec/text/encoding.h"
#include "codec/text/nearest.h"

namespace nacelle::query {
namespace {

constexpr Field device_fields[] = {{"deviceId", FieldKind::text},
                                   {"etag", FieldKind::text},
                                   {"deviceEtag", FieldKind::text},
                                   {"status", FieldKind::text},
                                   {"statusReason", FieldKind::text},
                                   {"connectionState", FieldKind::text},
                                   {"lastActivityTime", FieldKind::text},
                                   {"authenticationType", FieldKind::text},
                                   {"generationId", FieldKind::text},
                                   {"modelId", FieldKind::text},
                                   {"version", FieldKind::number},
                                   {"tags", FieldKind::document},
                                   {"properties.desired", FieldKind::document},
                                   {"properties.reported", FieldKind::document},
                                   {"properties", FieldKind::document},
                                   {"capabilities.iotEdge", FieldKind::boolean},
                                   {"deviceScope", FieldKind::text},
                                   {"configurations", FieldKind::configurations}};

constexpr Field module_fields[] = {{"deviceId", FieldKind::text},
                                   {"moduleId", FieldKind::text},
                                   {"managedBy", FieldKind::text},
                                   {"etag", FieldKind::text},
                                   {"deviceEtag", FieldKind::text},
                                   {"status", FieldKind::text},
                                   {"connectionState", FieldKind::text},
                                   {"lastActivityTime", FieldKind::text},
                                   {"authenticationType", FieldKind::text},
                                   {"generationId", FieldKind::text},
                                   {"modelId", FieldKind::text},
                                   {"version", FieldKind::number},
                                   {"tags", FieldKind::document},
                                   {"properties.desired", FieldKind::document},
                                   {"properties.reported", FieldKind::document},
                                   {"properties", FieldKind::document},
                                   {"configurations", FieldKind::configurations}};

constexpr Field job_fields[] = {{"deviceId", FieldKind::text},
                                {"moduleId", FieldKind::text},
                                {"jobId", FieldKind::text},
                                {"jobType", FieldKind::text},
                                {"status", FieldKind::text},
                                {"startTimeUtc", FieldKind::text},
                                {"endTimeUtc", FieldKind::text},
                                {"createdDateTimeUtc", FieldKind::text},
                                {"lastUpdatedDateTimeUtc", FieldKind::text},
                                {"outcome", FieldKind::document},
                                {"error", FieldKind::document}};

/// How many segments of `segments` the name takes up, 0 if it is another.
std::size_t matched(std::string_view name, const std::vector<std::string>& segments) {
  const auto parts = text::split(name, '.');
  if (parts.size() > segments.size()) return 0;
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (!text::equal_ignoring_case(parts[i], segments[i])) return 0;
  return parts.size();
}

Failure unknown(Source source, const std::vector<std::string>& segments) {
  std::vector<std::string_view> names;
  for (const Field& field : fields_of(source)) names.push_back(field.name);
  const std::string_view near = text::nearest(segments.front(), names);
  const std::string help = near.empty() ? fmt::format("{}", fmt::join(names, ", ")) : fmt::format("did you mean '{}'?", near);
  return fail(Fault::invalid_input, fmt::format("rows of {} have no '{}'; {}", source_name(source), segments.front(), help));
}

}  // namespace

std::string_view source_name(Source source) {
  switch (source) {
    case Source::devices: return "devices";
    case Source::modules: return "devices.modules";
    case Source::jobs: return "devices.jobs";
  }
  return "devices";
}

std::span<const Field> fields_of(Source source) {
  switch (source) {
    case Source::devices: return device_fields;
    case Source::modules: return module_fields;
    case Source::jobs: return job_fields;
  }
  return device_fields;
}

Result<Path> resolve(Source source, std::string_view alias, std::vector<std::string> segments) {
  const std::string spelled = fmt::format("{}", fmt::join(segments, "."));
  std::size_t prefix = matched(source_name(source), segments);
  if (prefix == 0 && !alias.empty() && segments.front() == alias) prefix = 1;
  if (prefix == segments.size()) return fail(Fault::invalid_input, fmt::format("'{}' names no property of a row", spelled));
  segments.erase(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(prefix));
  for (const Field& field : fields_of(source)) {
    const std::size_t taken = matched(field.name, segments);
    if (taken == 0) continue;
    Path path;
    path.field = &field;
    path.spelled = spelled;
    path.below.assign(segments.begin() + static_cast<std::ptrdiff_t>(taken), segments.end());
    const bool may_go_below = field.kind == FieldKind::document || field.kind == FieldKind::configurations;
    if (!path.below.empty() && (!may_go_below || field.name == "properties"))
      return fail(Fault::invalid_input, fmt::format("'{}' has nothing called '{}'", field.name, path.below.front()));
    if (field.kind == FieldKind::configurations && (path.below.size() > 2 || (path.below.size() == 2 && path.below[1] != "status")))
      return fail(Fault::invalid_input, "expected configurations.[[id]].status");
    return path;
  }
  return unknown(source, segments);
}

}  // namespace nacelle::query
