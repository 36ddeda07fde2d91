#include "service/hub/event_reader.h"

#include <algorithm>

#include "foundation/log.h"

namespace nacelle::hub {
namespace {

constexpr ByteCount chunk_bytes = 64_KiB;

}  // namespace

EventReader::EventReader(const storage::EventLog& log, const Events::Routing& routing)
    : log_(log), routing_(routing), routes_(routing.routes.get()), enrichments_(routes_->enrichments_of("events")) {
  asks_ = std::any_of(enrichments_.begin(), enrichments_.end(), [](const auto& one) { return one.uses_twin(); });
}

bool EventReader::has(const telemetry::Message& message) const {
  route::Evaluation evaluation(message, &routing_.twins);
  return routes_->events_have(evaluation);
}

void EventReader::enrich(telemetry::Message& message) const {
  if (enrichments_.empty()) return;
  const auto twin = asks_ ? routing_.twins.twin_of(message) : nullptr;
  route::enrich(message, enrichments_, twin.get(), routing_.hub);
}

Result<std::size_t> EventReader::look(storage::Partition partition, storage::Offset& offset, const std::string& device,
                                      const std::function<bool()>& before, const std::function<void(Found)>& take) {
  TRY_LET(const auto records, log_.read(partition, offset, chunk_bytes));
  std::size_t count = 0;
  for (const auto& record : records) {
    if (!before()) break;
    ++count;
    offset = record.offset + 1;
    looked_ += record.payload.size();
    auto message = telemetry::decode_record(record.payload);
    if (!message) {
      log::error("hub", "event log, partition {}, offset {}: {}; passed over", partition, record.offset, message.error().message);
      continue;
    }
    if (!device.empty() && message->device_id() != device) continue;
    if (!has(*message)) continue;
    enrich(*message);
    take({record.offset, record.payload.size(), *std::move(message)});
  }
  return count;
}

}  // namespace nacelle::hub
