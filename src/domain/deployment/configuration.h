#pragma once
// Configurations: content for all devices or modules that match a condition (wire facts 2.9), and how several of them
// make up one twin. Pure rules; the hub says who matches.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "domain/query/query.h"
#include "foundation/clock.h"

namespace nacelle::deployment {

enum class ContentKind {
  edge,    ///< modulesContent: the modules of edge devices
  device,  ///< deviceContent: device twins
  module   ///< moduleContent: module twins
};

struct Configuration {
  std::string id;
  std::string schema_version = "1.0";
  json::Value labels = json::Object{};
  std::string target_condition;
  query::Selection target;  ///< target_condition, parsed
  std::int64_t priority = 0;
  ContentKind kind = ContentKind::device;
  json::Value content = json::Object{};        ///< as it came, `{"modulesContent":{..}}`
  std::map<std::string, std::string> metrics;  ///< name -> query
  Timestamp created_at{};
  Timestamp updated_at{};
  std::int64_t etag = 1;

  /// The content without the member that says its kind.
  const json::Object& sections() const;
  /// An edge content that is laid over another: none of its keys is a whole `properties.desired`.
  bool layered() const;
};

/// Lower-case letters, digits and `-+%_*!'`, at most 128. Fault::invalid_input.
Result<> check_configuration_id(std::string_view id);

/// Reads and checks a document: condition and metric queries parse, exactly one content of the right shape, a base deployment is a
/// whole manifest. Fault::invalid_input names the member.
Result<Configuration> parse_configuration(const json::Value& document, const std::string& id);
/// What a service reads, without metric results.
json::Object to_json(const Configuration& configuration);

/// Whether `a` gives way to `b`: a lower priority, or the same and made earlier.
bool weaker(const Configuration& a, const Configuration& b);

/// `desired` with the keys of one section put in: `properties.desired` replaces it, `properties.desired.a.b` sets one node.
json::Value with_section(json::Value desired, const json::Object& section);

/// What applies of the configurations (weakest first) that match one device or module.
struct Effect {
  json::Value content;          ///< edge: `{"modulesContent":{..}}` with whole sections; else the desired properties. Null: nothing
  std::vector<bool> in_effect;  ///< of each configuration: not wholly covered by stronger ones
};
/// Device or module twins: all keys, the stronger over the weaker, on top of `desired`.
Effect effect_on_twin(const std::vector<const Configuration*>& matching, json::Value desired);
/// Edge: the strongest base, and over it the layers that are stronger than it.
Effect effect_on_edge(const std::vector<const Configuration*>& matching);

/// The merge patch (RFC 7396) that makes `to` of `from`; empty if they are equal.
json::Object difference(const json::Object& from, const json::Object& to);

}  // namespace nacelle::deployment
