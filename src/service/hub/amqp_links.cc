#include "service/hub/amqp_links.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/random.h"
#include "service/hub/amqp_messages.h"

namespace nacelle::hub {
namespace {

constexpr const char* feedback_type = "application/vnd.microsoft.iothub.feedback.json";
constexpr const char* json_type = "application/json";

/// `/devices/{id}/messages/devicebound`.
Result<device::DeviceId> addressee_of(std::string_view to) {
  while (to.starts_with('/')) to.remove_prefix(1);
  const auto parts = text::split(to, '/');
  const bool right = parts.size() == 4 && text::equal_ignoring_case(parts[0], "devices") &&
                     text::equal_ignoring_case(parts[2], "messages") && text::equal_ignoring_case(parts[3], "devicebound");
  if (!right) return fail(Fault::invalid_input, "to: expected /devices/ID/messages/devicebound");
  TRY_LET(const std::string id, in(text::percent_decode(parts[1]), "to"));
  return in(device::parse_device_id(id), "to");
}

/// On the tables strand.
std::optional<net::AmqpCondition> queue_for(Services& services, const device::DeviceId& device, const telemetry::Message& message) {
  if (!services.registry.identities().find({device, {}}))
    return net::AmqpCondition{conditions::not_found, fmt::format("E2E: Device {} not registered", device.str())};
  if (message.size_in_bytes() > telemetry::max_message_bytes) return too_large();
  const auto receipt = services.cloud_to_device.send(device, message);
  if (receipt) return std::nullopt;
  return condition_of(receipt.error());
}

awaitable<void> send_to(Services& services, device::DeviceId device, telemetry::Message message, net::AmqpLinkHandler::Done done) {
  auto work = [&services, device, message = std::move(message)] { return queue_for(services, device, message); };
  auto refused = co_await run_on(services.disk.tables(), work);
  done(std::move(refused));
}

class RecordsForServices final : public LockedQueue {
 public:
  RecordsForServices(ServiceQueue& from, std::string queue, bool together)
      : from_(from), queue_(std::move(queue)), together_(together) {}
  std::string name() const override { return queue_; }

  Result<std::optional<Locked>> receive() override {
    TRY_LET(const auto batch, from_.receive(queue_, together_ ? ServiceQueue::batch_size : 1));
    if (!batch) return std::optional<Locked>();
    Locked locked{batch->lock_token, {}};
    locked.message.message_id = random_uuid();
    locked.message.content_type = together_ ? feedback_type : json_type;
    locked.message.content_encoding = "utf-8";
    locked.message.data = together_ ? json::print(batch->records) : json::print(batch->records.at(0));
    return std::optional(std::move(locked));
  }

  Result<> settle(const std::string& lock_token, net::AmqpOutcome outcome) override {
    const bool complete = outcome == net::AmqpOutcome::accepted || outcome == net::AmqpOutcome::rejected;
    return complete ? from_.complete(queue_, lock_token) : from_.abandon(queue_, lock_token);
  }

 private:
  ServiceQueue& from_;
  const std::string queue_;
  const bool together_;
};

}  // namespace

void DeviceboundLink::transfer(amqp::Message message, Done done) {
  const auto device = addressee_of(message.to);
  if (!device) return done(condition_of(device.error()));
  auto ours = message_of(message);
  if (!ours) return done(condition_of(ours.error()));
  tasks_.spawn(send_to(services_, *device, *std::move(ours), std::move(done)));
}

ServiceQueueLink::ServiceQueueLink(Services& services, TaskScope& tasks, net::AmqpLinkPtr link, std::string queue, bool together)
    : LockedQueueLink(services, tasks, std::move(link),
                      std::make_shared<RecordsForServices>(services.service_queue, std::move(queue), together)) {}

void ReplyLink::send(amqp::Message message) {
  if (waiting_.size() >= most_waiting) waiting_.pop_front();
  waiting_.push_back(std::move(message));
  credit();
}

void ReplyLink::credit() {
  const auto link = link_.lock();
  while (link && !waiting_.empty() && link->credit() > 0) {
    link->send(waiting_.front(), {});
    waiting_.pop_front();
  }
}

}  // namespace nacelle::hub
