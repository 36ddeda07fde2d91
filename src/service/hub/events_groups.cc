// Consumer groups: what each has read, and how far it is behind.
#include <fmt/format.h>

#include <algorithm>

#include "service/hub/events.h"

namespace nacelle::hub {

using storage::Offset;
using storage::Partition;

json::Value Events::group_document(const std::string& name, const Positions& checkpoint) const {
  json::Array partitions;
  std::uint64_t all = 0;
  for (Partition partition = 0; partition < log_.partitions(); ++partition) {
    const auto at = checkpoint.find(partition);
    // Without a checkpoint a group begins with the oldest; one that is older than what is kept goes on there.
    const Offset next = std::max(at == checkpoint.end() ? 0 : at->second, log_.oldest(partition));
    const Offset head = log_.head(partition);
    const std::uint64_t behind = head > next ? head - next : 0;
    all += behind;
    partitions.push_back(json::Object{{"partition", partition}, {"next", next}, {"behind", behind}});
  }
  return json::Object{{"name", name}, {"behind", all}, {"partitions", std::move(partitions)}};
}

Result<json::Value> Events::consumer_groups() const {
  TRY_LET(const auto rows, tables_.query("SELECT DISTINCT consumer_group FROM checkpoint ORDER BY consumer_group"));
  json::Array groups;
  for (const auto& row : rows) {
    const std::string name = storage::text(row[0]);
    TRY_LET(const Positions checkpoint, checkpoint_of(name));
    groups.push_back(group_document(name, checkpoint));
  }
  return json::Value(json::Object{{"consumerGroups", std::move(groups)}});
}

Result<json::Value> Events::consumer_group(const std::string& name) const {
  TRY_LET(const Positions checkpoint, checkpoint_of(name));
  if (checkpoint.empty()) return fail(Fault::not_found, fmt::format("consumer group '{}' has no checkpoint", name));
  return group_document(name, checkpoint);
}

Result<> Events::forget(const std::string& consumer_group) {
  TRY_LET(const auto gone, tables_.run("DELETE FROM checkpoint WHERE consumer_group = ?", consumer_group));
  if (gone == 0) return fail(Fault::not_found, fmt::format("consumer group '{}' has no checkpoint", consumer_group));
  return {};
}

json::Value Events::partitions() const {
  json::Array partitions;
  for (Partition partition = 0; partition < log_.partitions(); ++partition)
    partitions.push_back(json::Object{{"partition", partition},
                                      {"oldest", log_.oldest(partition)},
                                      {"head", log_.head(partition)},
                                      {"next", log_.next(partition)}});
  return json::Object{{"partitions", std::move(partitions)}};
}

}  // namespace nacelle::hub
