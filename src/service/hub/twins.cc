#include "service/hub/twins.h"

#include <functional>
#include <future>

namespace nacelle::hub {
namespace {

using Document = std::shared_ptr<const json::Value>;

constexpr ByteCount shard_bytes = 1_MiB;

/// Nobody's, if the sender has no name a device may have.
std::optional<device::IdentityName> sender_of(const telemetry::Message& message) {
  auto device = device::parse_device_id(message.device_id());
  if (!device) return std::nullopt;
  if (message.module_id().empty()) return device::IdentityName{*std::move(device), {}};
  auto module = device::parse_module_id(message.module_id());
  if (!module) return std::nullopt;
  return device::IdentityName{*std::move(device), *std::move(module)};
}

Document read(const Registry& registry, const device::IdentityName& name) {
  const auto twin = registry.twin(name);
  if (!twin) return nullptr;
  return std::make_shared<const json::Value>(twin::routing_document(*twin, name.device.str(), name.module.str()));
}

}  // namespace

Snapshot<Twins::Shard>& Twins::shard(const device::IdentityName& name) const {
  return shards_[std::hash<std::string>()(name.device.str()) % shards_.size()];
}

Document Twins::twin_of(const telemetry::Message& message) const {
  const auto name = sender_of(message);
  if (!name || !registry_.identities().find(*name)) return nullptr;
  const auto known = shard(*name).get();
  if (const auto at = known->twins.find(*name); at != known->twins.end()) return at->second.document;
  std::promise<Document> loaded;
  asio::post(tables_, [&] { loaded.set_value(load(*name)); });
  return loaded.get_future().get();
}

Document Twins::load(const device::IdentityName& name) const {
  Snapshot<Shard>& place = shard(name);
  Shard next = *place.get();
  if (const auto at = next.twins.find(name); at != next.twins.end()) return at->second.document;  // another thread asked first
  Document document = read(registry_, name);
  if (!document) return nullptr;
  const ByteCount bytes = json::print(*document).size() * 4;  // a document takes several times its text
  if (next.bytes + bytes > shard_bytes) next = {};            // begins anew: simple, and rare
  next.twins.emplace(name, Kept{document, bytes});
  next.bytes += bytes;
  place.publish(std::move(next));
  return document;
}

void Twins::changed(const device::IdentityName& name) {
  Snapshot<Shard>& place = shard(name);
  const auto known = place.get();
  const auto at = known->twins.find(name);
  if (at == known->twins.end()) return;
  Shard next = *known;
  next.bytes -= at->second.bytes;
  next.twins.erase(name);
  place.publish(std::move(next));
}

Document TwinsOnStrand::twin_of(const telemetry::Message& message) const {
  const auto name = sender_of(message);
  return name ? read(registry_, *name) : nullptr;
}

}  // namespace nacelle::hub
