#include "service/edge/pump.h"

#include <algorithm>

#include "foundation/log.h"

namespace nacelle::edge {

namespace {
constexpr ByteCount read_ahead = 256_KiB;
}

std::shared_ptr<Pump> Pump::make(Executor core, EndpointName endpoint, std::unique_ptr<Sink> sink, const Clock& clock,
                                 Options options) {
  return std::shared_ptr<Pump>(new Pump(std::move(core), std::move(endpoint), std::move(sink), clock, options));
}

Pump::Pump(Executor core, EndpointName endpoint, std::unique_ptr<Sink> sink, const Clock& clock, Options options)
    : core_(core), endpoint_(std::move(endpoint)), sink_(std::move(sink)), clock_(clock), options_(options), retry_(core) {}

Pump::~Pump() {
  for (const auto& lane : lanes_)
    if (lane->stop_listening) lane->stop_listening();
}

void Pump::add_queue(const QueueName& name, storage::Spool& spool) {
  const auto same = [&](const auto& lane) { return lane->priority == name.priority; };
  if (std::any_of(lanes_.begin(), lanes_.end(), same)) return;
  auto lane = std::make_unique<Lane>();
  lane->priority = name.priority;
  lane->spool = &spool;
  lane->next = spool.committed();
  lane->stop_listening = spool.on_commit([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->wake();
  });
  const auto after = [&](const auto& other) { return other->priority > lane->priority; };
  const auto at = std::find_if(lanes_.begin(), lanes_.end(), after);
  lanes_.insert(at, std::move(lane));
  wake();
}

void Pump::wake() {
  if (scheduled_.exchange(true)) return;
  asio::post(core_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->scheduled_ = false;
      self->run();
    }
  });
}

void Pump::stop() {
  stopped_ = true;
  retry_.cancel();
  for (const auto& lane : lanes_)
    if (lane->stop_listening) std::exchange(lane->stop_listening, nullptr)();
}

void Pump::run() {
  if (stopped_) return;
  for (const auto& lane : lanes_) commit(*lane);
  if (failed_) {
    if (in_flight_ == 0) start_over();
    return;
  }
  if (resting_) return;
  while (in_flight_ < options_.window && in_flight_bytes_ < options_.window_bytes && sink_->ready()) {
    Lane* lane = next_lane();
    if (!lane) return;
    send_one(*lane);
  }
}

/// The best lane that has something to send, read from disk if need be.
Pump::Lane* Pump::next_lane() {
  for (const auto& lane : lanes_)
    if (!lane->read.empty() || refill(*lane)) return lane.get();
  return nullptr;
}

bool Pump::refill(Lane& lane) {
  if (lane.next >= lane.spool->head()) return false;
  auto records = lane.spool->read(lane.next, read_ahead);
  if (!records) {
    log::error("edge", "reading what waits for {}: {}", endpoint_.text(), records.error().message);
    return false;
  }
  for (storage::LogRecord& record : *records) lane.read.push_back(std::move(record));
  if (lane.read.empty()) return false;
  lane.next = lane.read.back().offset + 1;
  return true;
}

void Pump::send_one(Lane& lane) {
  const storage::LogRecord record = std::move(lane.read.front());
  lane.read.pop_front();
  lane.slots.push_back({record.offset, record.payload.size(), false});
  if (lane.received.erase(record.offset) > 0) {
    lane.slots.back().done = true;
    return commit(lane);
  }
  auto stored = decode_stored(record.payload);
  const bool too_late = stored && stored->expires_at < clock_.now();
  if (!stored) log::error("edge", "a message for {} is damaged and skipped: {}", endpoint_.text(), stored.error().message);
  if (too_late) ++expired_;
  if (!stored || too_late) {
    lane.slots.back().done = true;
    commit(lane);
    return;
  }
  ++in_flight_;
  in_flight_bytes_ += record.payload.size();
  Lane* at = &lane;  // lanes live as long as the pump
  sink_->send(std::move(stored->message), [weak = weak_from_this(), core = core_, at, offset = record.offset](Result<> outcome) {
    asio::post(core, [weak, at, offset, outcome = std::move(outcome)]() mutable {
      if (const auto self = weak.lock()) self->completed(*at, offset, std::move(outcome));
    });
  });
}

void Pump::completed(Lane& lane, storage::Offset offset, Result<> outcome) {
  const auto slot =
      std::lower_bound(lane.slots.begin(), lane.slots.end(), offset, [](const Slot& s, storage::Offset o) { return s.offset < o; });
  if (slot == lane.slots.end() || slot->offset != offset || stopped_) return;
  --in_flight_;
  in_flight_bytes_ -= slot->bytes;
  if (outcome) {
    slot->done = true;
    ++sent_;
  } else if (outcome.error().fault == Fault::invalid_input) {
    // It can never be sent (its properties fit no topic): everything behind it must not wait for ever.
    slot->done = true;
    log::error("edge", "a message for {} cannot be sent and is dropped: {}", endpoint_.text(), outcome.error().message);
  } else if (!failed_) {
    failed_ = true;
    log::debug("edge", "{}: delivery failed, to be repeated: {}", endpoint_.text(), outcome.error().message);
  }
  wake();
}

void Pump::commit(Lane& lane) {
  storage::Offset next = 0;
  while (!lane.slots.empty() && lane.slots.front().done) {
    next = lane.slots.front().offset + 1;
    lane.slots.pop_front();
  }
  if (next == 0) return;
  if (auto committed = lane.spool->commit(next); !committed)
    log::error("edge", "{}: {}", endpoint_.text(), committed.error().message);
}

/// Order is kept by beginning again at the first message that was not acknowledged; those behind it that were, are skipped.
void Pump::start_over() {
  for (const auto& lane : lanes_) {
    lane->read.clear();
    for (const Slot& slot : lane->slots)
      if (slot.done) lane->received.insert(slot.offset);
    if (!lane->slots.empty())
      lane->next = lane->slots.front().offset;
    else
      lane->next = lane->spool->committed();
    lane->slots.clear();
  }
  failed_ = false;
  resting_ = true;
  retry_.expires_after(options_.retry_after);
  retry_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!self || error) return;
    self->resting_ = false;
    self->run();
  });
}

}  // namespace nacelle::edge
