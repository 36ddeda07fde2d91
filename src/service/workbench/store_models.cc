// The registry's half of WorkbenchStore: models, versions, aliases, where they are deployed.

#include <fmt/format.h>

#include <algorithm>

#include "service/workbench/store.h"

namespace nacelle::workbench {

namespace fs = std::filesystem;

namespace {

using storage::Row;

constexpr std::string_view version_columns =
    "name, version, artifact_sha256, run_id, stage, created_at, description, parent, notes FROM model_version";

ModelVersion version_of(const Row& row) {
  return {.name = text(row[0]),
          .version = integer(row[1]),
          .artifact_sha256 = text(row[2]),
          .run_id = text(row[3]),
          .stage = text(row[4]),
          .created_at = text(row[5]),
          .description = text(row[6]),
          .parent = text(row[7]),
          .notes = text(row[8]),
          .aliases = {},
          .deployed_to = {}};
}

}  // namespace

json::Value to_json(const ModelVersion& version) {
  json::Array aliases;
  for (const std::string& alias : version.aliases) aliases.emplace_back(alias);
  json::Array deployed;
  for (const std::string& place : version.deployed_to) deployed.emplace_back(place);
  return json::Object{{"name", version.name},
                      {"version", version.version},
                      {"sha256", version.artifact_sha256},
                      {"run", version.run_id},
                      {"stage", version.stage},
                      {"aliases", std::move(aliases)},
                      {"created", version.created_at},
                      {"description", version.description},
                      {"parent", version.parent},
                      {"notes", version.notes},
                      {"deployedTo", std::move(deployed)}};
}

Result<ModelVersion> WorkbenchStore::register_model(const std::string& name, const std::string& artifact_sha256,
                                                    const std::string& run_id, const std::string& description) {
  TRY(registry::check_name(name, "model"));
  std::int64_t version = 0;
  const auto add = [&]() -> Result<> {
    TRY_LET(const auto newest, database_.query("SELECT COALESCE(MAX(last), 0) FROM model_counter WHERE name = ?", name));
    version = storage::integer(newest.at(0).at(0)) + 1;
    TRY(database_.run("INSERT OR REPLACE INTO model_counter VALUES (?, ?)", name, version));
    TRY_LET(const auto champion, database_.query("SELECT version FROM model_alias WHERE name = ? AND alias = 'champion'", name));
    const std::string parent = champion.empty() ? std::string() : fmt::format("{}:{}", name, storage::integer(champion[0][0]));
    TRY(
        database_.run("INSERT INTO model_version (name, version, artifact_sha256, run_id, stage, created_at, description, parent)"
                      " VALUES (?, ?, ?, ?, 'none', ?, ?, ?)",
                      name, version, artifact_sha256, run_id, now(), description, parent));
    TRY(database_.run("INSERT OR REPLACE INTO model_alias VALUES (?, ?, ?)", name, version == 1 ? "champion" : "challenger",
                      version));
    return {};
  };
  TRY(database_.transaction(add));
  return resolve({.name = name, .version = version, .alias = std::nullopt, .bare = false});
}

Result<std::vector<ModelVersion>> WorkbenchStore::models() const {
  TRY_LET(const auto rows, database_.query(fmt::format("SELECT {} ORDER BY name, version DESC", version_columns)));
  TRY_LET(const auto aliases, database_.query("SELECT name, alias, version FROM model_alias ORDER BY alias"));
  TRY_LET(const auto deployments,
          database_.query("SELECT artifact_sha256, device, module FROM model_deployment ORDER BY device, module"));
  std::vector<ModelVersion> all;
  for (const Row& row : rows) {
    ModelVersion version = version_of(row);
    for (const Row& alias : aliases)
      if (storage::text(alias[0]) == version.name && storage::integer(alias[2]) == version.version)
        version.aliases.push_back(storage::text(alias[1]));
    for (const Row& place : deployments)
      if (storage::text(place[0]) == version.artifact_sha256)
        version.deployed_to.push_back(fmt::format("{}/{}", storage::text(place[1]), storage::text(place[2])));
    all.push_back(std::move(version));
  }
  return all;
}

Result<ModelVersion> WorkbenchStore::resolve(const registry::ModelReference& reference) const {
  TRY_LET(const auto all, models());
  const auto has_alias = [](const ModelVersion& model, std::string_view alias) {
    return std::find(model.aliases.begin(), model.aliases.end(), alias) != model.aliases.end();
  };
  const ModelVersion* newest = nullptr;
  std::vector<const ModelVersion*> by_alias;
  for (const ModelVersion& model : all) {
    if (reference.bare && has_alias(model, reference.name)) by_alias.push_back(&model);
    if (model.name != reference.name) continue;
    if (reference.version && model.version == *reference.version) return model;
    if (reference.alias && has_alias(model, *reference.alias)) return model;
    if (reference.bare && has_alias(model, registry::champion)) return model;
    if (!newest) newest = &model;
  }
  if (reference.bare && newest) return *newest;
  if (by_alias.size() == 1) return *by_alias.front();
  if (by_alias.size() > 1)
    return fail(Fault::invalid_input,
                fmt::format("alias '{}' is used by several models; say NAME@{}", reference.name, reference.name));
  std::string known;
  for (const ModelVersion& model : all)
    known += fmt::format("{}{}:{}", known.empty() ? "there are: " : ", ", model.name, model.version);
  std::string asked = reference.name;
  if (reference.version) asked += fmt::format(":{}", *reference.version);
  if (reference.alias) asked += "@" + *reference.alias;
  return fail(Fault::not_found, fmt::format("model '{}' is unknown; {}", asked, known.empty() ? "none is registered yet" : known));
}

Result<> WorkbenchStore::set_alias(const std::string& name, const std::string& alias, std::int64_t version) {
  TRY(registry::check_name(alias, "alias"));
  TRY(resolve({.name = name, .version = version, .alias = std::nullopt, .bare = false}));
  TRY(database_.run("INSERT OR REPLACE INTO model_alias VALUES (?, ?, ?)", name, alias, version));
  return {};
}

Result<> WorkbenchStore::drop_alias(const std::string& name, const std::string& alias) {
  TRY_LET(const std::int64_t changed, database_.run("DELETE FROM model_alias WHERE name = ? AND alias = ?", name, alias));
  if (changed == 0) return fail(Fault::not_found, fmt::format("model '{}' has no alias '{}'", name, alias));
  return {};
}

Result<> WorkbenchStore::set_stage(const std::string& name, std::int64_t version, const std::string& stage) {
  TRY(registry::check_stage(stage));
  TRY_LET(const std::int64_t changed,
          database_.run("UPDATE model_version SET stage = ? WHERE name = ? AND version = ?", stage, name, version));
  if (changed == 0) return fail(Fault::not_found, fmt::format("model '{}:{}' is unknown", name, version));
  return {};
}

Result<> WorkbenchStore::set_notes(const std::string& name, std::int64_t version, const std::string& notes) {
  constexpr std::size_t most_bytes = 64 << 10;
  if (notes.size() > most_bytes)
    return fail(Fault::invalid_input, fmt::format("notes: expected at most {} bytes, found {}", most_bytes, notes.size()));
  TRY_LET(const std::int64_t changed,
          database_.run("UPDATE model_version SET notes = ? WHERE name = ? AND version = ?", notes, name, version));
  if (changed == 0) return fail(Fault::not_found, fmt::format("model '{}:{}' is unknown", name, version));
  return {};
}

Result<> WorkbenchStore::mark_deployed(const std::string& artifact_sha256, const std::string& device, const std::string& module) {
  TRY(database_.run("INSERT OR REPLACE INTO model_deployment VALUES (?, ?, ?, ?)", device, module, artifact_sha256, now()));
  return {};
}

Result<> WorkbenchStore::unmark_deployed(const std::string& device) {
  TRY_LET(const std::int64_t changed, database_.run("DELETE FROM model_deployment WHERE device = ?", device));
  if (changed == 0) return fail(Fault::not_found, fmt::format("no model is marked as deployed to device '{}'", device));
  return {};
}

Result<> WorkbenchStore::delete_version(const std::string& name, std::int64_t version) {
  TRY_LET(const ModelVersion found, resolve({.name = name, .version = version, .alias = std::nullopt, .bare = false}));
  const auto listed = [](const std::vector<std::string>& items) {
    std::string all;
    for (const std::string& item : items) all += (all.empty() ? "" : ", ") + item;
    return all;
  };
  if (!found.deployed_to.empty())
    return fail(Fault::conflict,
                fmt::format("model {}:{} is deployed to {}; deploy another model there first, or say that the device is "
                            "gone with 'nacelle models retire DEVICE'",
                            name, version, listed(found.deployed_to)));
  if (!found.aliases.empty())
    return fail(Fault::conflict,
                fmt::format("model {}:{} is the {}; move or remove the alias first", name, version, listed(found.aliases)));
  TRY(database_.run("DELETE FROM model_version WHERE name = ? AND version = ?", name, version));
  TRY_LET(const auto others,
          database_.query("SELECT 1 FROM model_version WHERE artifact_sha256 = ? LIMIT 1", found.artifact_sha256));
  if (!others.empty()) return {};
  TRY(database_.run("UPDATE run SET artifact_sha256 = '' WHERE artifact_sha256 = ?", found.artifact_sha256));
  std::error_code code;
  fs::remove(artifact_path(found.artifact_sha256), code);
  if (code) return fail(Fault::unavailable, fmt::format("{}: {}", artifact_path(found.artifact_sha256).string(), code.message()));
  return {};
}

}  // namespace nacelle::workbench
