#include "service/hub/amqp_device_links.h"

#include <fmt/format.h>

#include <limits>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/hub/amqp_messages.h"
#include "service/hub/ingest.h"

namespace nacelle::hub {

using endpoint::TwinAnswer;

// -- Telemetry

void DeviceEventsLink::transfer(amqp::Message message, Done done) {
  Services& services = device_->services();
  auto ours = device_message_of(message);
  if (!ours) return refuse(ours.error(), condition_of(ours.error()), done);
  if (ours->size_in_bytes() > telemetry::max_message_bytes)
    return refuse({Fault::invalid_input, too_large().description}, too_large(), done);
  endpoint::stamp(*ours, device_->sender(), services.clock.now());
  services.ingest.telemetry(*std::move(ours), [done = std::move(done)](const Result<>& stored) {
    done(stored ? std::nullopt : std::optional(net::AmqpCondition{conditions::unavailable, stored.error().message}));
  });
}

void DeviceEventsLink::refuse(const Error& why, net::AmqpCondition condition, const Done& done) {
  device_->services().ingest.refused(endpoint::DeviceBackend::Attempt::publish, why);
  if (!std::exchange(logged_, true))
    log::warn("hub", "refused telemetry of {} over AMQP: {}", device_->who().client_id(), why.message);
  done(std::move(condition));
}

// -- Messages to it

namespace {

class MessagesForDevice final : public LockedQueue {
 public:
  MessagesForDevice(Services& services, device::IdentityName who) : services_(services), who_(std::move(who)) {}
  std::string name() const override { return fmt::format("messages for '{}'", who_.device.str()); }

  Result<std::optional<Locked>> receive() override {
    services_.registry.note_activity(who_);
    TRY_LET(const auto next, services_.cloud_to_device.receive(who_.device));
    if (!next) return std::optional<Locked>();
    Locked locked{next->lock_token, devicebound_message(next->message)};
    locked.message.annotations.push_back({amqp::Symbol{"x-opt-sequence-number"}, next->sequence});
    locked.message.annotations.push_back({amqp::Symbol{"iothub-deliverycount"}, next->delivery_count});
    return std::optional(std::move(locked));
  }

  Result<> settle(const std::string& lock_token, net::AmqpOutcome outcome) override {
    using How = CloudToDevice::Settlement;
    const bool ended = outcome == net::AmqpOutcome::accepted || outcome == net::AmqpOutcome::rejected;
    const How how = !ended ? How::abandon : outcome == net::AmqpOutcome::accepted ? How::complete : How::reject;
    return services_.cloud_to_device.settle(who_.device, lock_token, how);
  }

 private:
  Services& services_;
  const device::IdentityName who_;
};

}  // namespace

DeviceMessagesLink::DeviceMessagesLink(const std::shared_ptr<AmqpDevice>& device, TaskScope& tasks, net::AmqpLinkPtr link)
    : LockedQueueLink(device->services(), tasks, std::move(link),
                      std::make_shared<MessagesForDevice>(device->services(), device->who())),
      device_(device) {}

// -- Its twin

namespace {

constexpr std::string_view reported = "/properties/reported";
constexpr std::string_view changes = "/notifications/twin/properties/desired";

amqp::Message twin_reply(const amqp::Value& correlation_id, const TwinAnswer& answer) {
  amqp::Message reply;
  reply.correlation_id = correlation_id;
  reply.annotations = {{amqp::Symbol{"status"}, static_cast<std::int32_t>(answer.status)}};
  if (answer.version) reply.annotations.push_back({amqp::Symbol{"version"}, *answer.version});
  reply.data = answer.body;
  return reply;
}

}  // namespace

void TwinRequestsLink::transfer(amqp::Message message, Done done) {
  const auto out = device_->twin_link(channel_);
  if (!out) return done(net::AmqpCondition{"amqp:not-allowed", "no link of the same channel receives the answer"});
  if (message.correlation_id.is_null())
    return done(net::AmqpCondition{conditions::argument, "a twin request has a correlation-id"});
  const std::string_view operation = amqp::text_at(message.annotations, "operation");
  const std::string_view resource = amqp::text_at(message.annotations, "resource");
  const auto answer = [strand = device_->strand(), to = std::weak_ptr(out), id = message.correlation_id](const TwinAnswer& said) {
    asio::post(strand, [to, reply = twin_reply(id, said)] {
      if (const auto link = to.lock()) link->send(reply);
    });
  };
  const bool on_changes = text::equal_ignoring_case(resource, changes);
  if (on_changes && (operation == "PUT" || operation == "DELETE")) {
    out->wants_changes = operation == "PUT";
    answer(TwinAnswer{200, std::nullopt, {}});
    return done(std::nullopt);
  }
  const bool patch = operation == "PATCH" && text::equal_ignoring_case(resource, reported);
  auto body = body_of(message);
  if ((!patch && (operation != "GET" || !resource.empty())) || !body) {
    const Error why = body ? Error{Fault::invalid_input,
                                   fmt::format("twin: expected GET, PATCH of {}, or PUT or DELETE of {}", reported, changes)}
                           : body.error();
    answer(endpoint::error_answer(why, device_->services().clock.now()));
    return done(std::nullopt);
  }
  auto call = std::make_shared<endpoint::TwinCall>();
  if (patch) call->patch = *std::move(body);
  if (const amqp::Value* version = amqp::find(message.annotations, "version"); patch && version)
    call->base_version = text_of(*version).value_or("");
  call->answer = answer;
  call->done = [done = std::move(done)](const Result<>&) { done(std::nullopt); };
  device_->call_twin(std::move(call));
}

// -- Its replies

void MethodRepliesLink::transfer(amqp::Message message, Done done) {
  const amqp::Value* said = amqp::find(message.application, "IoThub-status");
  const auto status = text::parse_integer(said ? text_of(*said).value_or("") : "", "IoThub-status");
  const std::string id = amqp::id_text(message.correlation_id);
  auto body = body_of(message);
  constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();
  if (!status || *status < -largest || *status > largest || id.empty() || !body)
    return done(net::AmqpCondition{conditions::argument,
                                   "a method's reply has a correlation-id, a number as IoThub-status, and a body of JSON"});
  device_->services().ingest.method_response(device_->who(), id, static_cast<int>(*status), *std::move(body));
  done(std::nullopt);
}

}  // namespace nacelle::hub
