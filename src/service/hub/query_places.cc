// Where the fields of rows are in the hub's tables (docs/formats/hub-tables.md).
#include <fmt/format.h>

#include <span>

#include "service/hub/query_sql.h"

namespace nacelle::hub {
namespace {

/// base64 of the number's eight bytes, as twin::etag_text makes it: eleven digits of six bits and a pad.
std::string etag_sql(const std::string& number) {
  std::string sql = "(";
  for (int shift = 58; shift >= -2; shift -= 6) {
    const std::string bits = shift >= 0 ? fmt::format("({} >> {})", number, shift) : fmt::format("({} << {})", number, -shift);
    sql += fmt::format("substr('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', ({} & 63) + 1, 1) || ", bits);
  }
  return sql + "'=')";
}

constexpr std::string_view device_authentication = "i.authentication";

/// A text that may be empty, which documents show as null.
std::string or_null(std::string_view column) { return fmt::format("CASE WHEN {0} = '' THEN x'6e' ELSE {0} END", column); }

/// The SQL of a text field, and whether it is a plain column.
struct TextField {
  std::string_view name;
  std::string_view sql;
  bool column = false;
  bool nullable = false;
};
constexpr TextField twin_texts[] = {{"deviceId", "t.device", true},
                                    {"moduleId", "t.module", true},
                                    {"status", "CASE WHEN i.enabled THEN 'enabled' ELSE 'disabled' END"},
                                    {"statusReason", "i.status_reason", true, true},
                                    {"connectionState", "CASE WHEN p.connected THEN 'Connected' ELSE 'Disconnected' END"},
                                    {"lastActivityTime", "coalesce(p.last_activity, '0001-01-01T00:00:00Z')"},
                                    {"authenticationType", device_authentication, true},
                                    {"generationId", "i.generation", true},
                                    {"modelId", "i.model", true},
                                    {"managedBy", "i.managed_by", true, true},
                                    {"deviceScope", "i.scope", true, true}};
constexpr TextField job_texts[] = {{"deviceId", "j.device", true},
                                   {"moduleId", "j.module", true, true},
                                   {"jobId", "j.job", true},
                                   {"jobType", "b.type", true},
                                   {"status", "j.status", true},
                                   {"startTimeUtc", "j.started_at", true, true},
                                   {"endTimeUtc", "j.ended_at", true, true},
                                   {"createdDateTimeUtc", "j.created_at", true},
                                   {"lastUpdatedDateTimeUtc", "max(j.created_at, j.started_at, j.ended_at)"}};

/// `$."a"."b"` for SQLite. A name with a quotation mark cannot be written in it.
Result<std::string> json_path(const std::string& root, const std::vector<std::string>& below) {
  std::string path = root;
  for (const std::string& segment : below) {
    if (segment.find('"') != std::string::npos)
      return fail(Fault::invalid_input, "query: a property whose name holds a quotation mark cannot be asked for");
    path += '.';
    json::append_quoted(path, segment);
  }
  return path;
}

/// A section of a twin as services see it: the values with $metadata and $version.
std::string whole_section(const std::string& section) {
  return fmt::format(
      R"(json_set(t.document -> '$.{0}.values', '$."$metadata"', t.document -> '$.{0}.metadata', '$."$version"', t.document -> '$.{0}.version'))",
      section);
}

}  // namespace

Result<std::string> QuerySql::bind_path(const std::string& root, const std::vector<std::string>& below) {
  TRY_LET(const std::string path, json_path(root, below));
  auto& parameter = bound_paths_[path];
  if (parameter.empty()) parameter = bind(path);
  return parameter;
}

Result<QuerySql::Place> QuerySql::in_document(const std::string& document, const std::string& root,
                                              const std::vector<std::string>& below) {
  TRY_LET(const std::string path, bind_path(root, below));
  Place place;
  place.type = fmt::format("json_type({}, {})", document, path);
  place.json = fmt::format("{} -> {}", document, path);
  place.value = fmt::format(
      "(CASE {} WHEN 'true' THEN x'01' WHEN 'false' THEN x'00' WHEN 'null' THEN x'6e' WHEN 'object' THEN NULL WHEN 'array' THEN "
      "NULL ELSE "
      "json_extract({}, {}) END)",
      place.type, document, path);
  return place;
}

Result<QuerySql::Place> QuerySql::in_section(const std::string& section, const std::vector<std::string>& below) {
  if (below.empty()) return Place{"NULL", "'object'", whole_section(section), {}};
  const std::vector<std::string> rest(below.begin() + 1, below.end());
  if (below.front() == "$version") return in_document("t.document", "$." + section + ".version", rest);
  if (below.front() == "$metadata") return in_document("t.document", "$." + section + ".metadata", rest);
  return in_document("t.document", "$." + section + ".values", below);
}

QuerySql::Place QuerySql::configuration(const std::vector<std::string>& below) {
  const std::string mine = "FROM configuration_target c WHERE c.device = t.device AND c.module = t.module";
  if (below.empty())
    return {"NULL",
            "'object'",
            fmt::format("(SELECT json_group_object(c.configuration, json_object('status', c.status)) {})", mine),
            {}};
  const std::string status = fmt::format("(SELECT c.status {} AND c.configuration = {})", mine, bind(below.front()));
  if (below.size() == 1)
    return {"NULL",
            fmt::format("(SELECT 'object' WHERE {} IS NOT NULL)", status),
            fmt::format("(SELECT json_object('status', {0}) WHERE {0} IS NOT NULL)", status),
            {}};
  return {status,
          fmt::format("(SELECT 'text' WHERE {} IS NOT NULL)", status),
          fmt::format("(SELECT json_quote({0}) WHERE {0} IS NOT NULL)", status),
          {}};
}

Result<QuerySql::Place> QuerySql::place(const query::Path& path) {
  const std::string_view name = path.field->name;
  if (name == "connectionState" || name == "lastActivityTime") needs_presence_ = true;
  const auto texts =
      source_ == query::Source::jobs ? std::span<const TextField>(job_texts) : std::span<const TextField>(twin_texts);
  for (const TextField& field : texts) {
    if (field.name != name) continue;
    const std::string sql(field.sql);
    if (field.nullable)
      return Place{fmt::format("({})", or_null(sql)),
                   fmt::format("CASE WHEN {} = '' THEN 'null' ELSE 'text' END", sql),
                   fmt::format("CASE WHEN {0} = '' THEN 'null' ELSE json_quote({0}) END", sql),
                   {}};
    // The plus takes away the column's affinity, by which SQL would compare '5' with 5 as equals.
    return Place{fmt::format("(+({}))", sql), "'text'", fmt::format("json_quote({})", sql), field.column ? sql : std::string()};
  }
  if (name == "etag" || name == "deviceEtag") {
    const std::string text = etag_sql(name == "etag" ? "(t.document ->> '$.etag')" : "i.etag");
    return Place{text, "'text'", fmt::format("json_quote({})", text), {}};
  }
  if (name == "version") return Place{"(t.document ->> '$.version')", "'integer'", "t.document -> '$.version'", {}};
  if (name == "capabilities.iotEdge")
    return Place{"(CASE WHEN i.edge THEN x'01' ELSE x'00' END)", "'true'", "CASE WHEN i.edge THEN 'true' ELSE 'false' END", {}};
  if (name == "configurations") return configuration(path.below);
  if (name == "tags") return in_document("t.document", "$.tags", path.below);
  if (name == "properties.desired") return in_section("desired", path.below);
  if (name == "properties.reported") return in_section("reported", path.below);
  if (name == "outcome" || name == "error") return in_document(fmt::format("nullif(j.{}, '')", name), "$", path.below);
  return Place{"NULL",
               "'object'",
               fmt::format("json_object('desired', {}, 'reported', {})", whole_section("desired"), whole_section("reported")),
               {}};
}

std::string QuerySql::rows() const {
  if (source_ == query::Source::jobs) return " FROM device_job j JOIN job b ON b.id = j.job WHERE 1";
  const std::string presence = needs_presence_ ? " LEFT JOIN temp.presence p ON p.device = t.device AND p.module = t.module" : "";
  const std::string_view kind = source_ == query::Source::modules ? "t.module <> ''" : "t.module = ''";
  return fmt::format(" FROM twin t JOIN identity i ON i.device = t.device AND i.module = t.module{} WHERE {}", presence, kind);
}

}  // namespace nacelle::hub
