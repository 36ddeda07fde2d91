// Links of devices and modules: where they are, and for whom.
#include "codec/text/encoding.h"
#include "service/hub/amqp_client.h"
#include "service/hub/amqp_device_links.h"
#include "service/hub/ingest.h"
#include "service/hub/reach.h"

namespace nacelle::hub {
namespace {

using Made = Result<std::shared_ptr<AmqpHandler>>;

std::string decoded(std::string_view segment) { return text::percent_decode(segment).value_or(std::string(segment)); }

}  // namespace

/// `devices/D[/modules/M]/` and what is there; nothing for all else.
std::optional<AmqpClient::Place> AmqpClient::device_place_of(const std::string& address, bool from_peer) {
  std::vector<std::string_view> parts = text::split(address, '/');
  if (parts.size() < 3 || !text::equal_ignoring_case(parts[0], "devices") || parts[1].empty()) return std::nullopt;
  device::IdentityName who{device::DeviceId(decoded(parts[1])), {}};
  std::size_t rest = 2;
  if (parts.size() > 4 && text::equal_ignoring_case(parts[2], "modules")) {
    if (parts[3].empty()) return std::nullopt;
    who.module = device::ModuleId(decoded(parts[3]));
    rest = 4;
  }
  const auto is = [&](std::string_view first, std::string_view second) {
    const std::size_t count = second.empty() ? 1 : 2;
    return parts.size() == rest + count && text::equal_ignoring_case(parts[rest], first) &&
           (second.empty() || text::equal_ignoring_case(parts[rest + 1], second));
  };
  const auto place = [&](Made (AmqpClient::*make)(const net::AmqpLinkPtr&, const DevicePtr&)) {
    return Place{Need::identity, who, [this, who, make](const net::AmqpLinkPtr& link) -> Made {
                   const DevicePtr device = device_of(who);
                   TRY_LET(auto made, (this->*make)(link, device));
                   device->add(link);
                   return made;
                 }};
  };
  if (is("messages", "events") && from_peer) return place(&AmqpClient::make_events);
  if (is("messages", "events") && who.is_module()) return place(&AmqpClient::make_inputs);
  if (is("messages", "devicebound") && !from_peer && !who.is_module()) return place(&AmqpClient::make_messages);
  if (is("twin", "")) return place(from_peer ? &AmqpClient::make_twin_requests : &AmqpClient::make_twin);
  if (is("methods", "devicebound")) return place(from_peer ? &AmqpClient::make_method_replies : &AmqpClient::make_methods);
  return std::nullopt;
}

AmqpClient::DevicePtr AmqpClient::device_of(const device::IdentityName& who) {
  std::erase_if(devices_, [](const auto& each) { return each.second.expired(); });
  // One that another connection has taken over, or that was ended, is on its way out.
  if (const auto at = devices_.find(who); at != devices_.end())
    if (auto there = at->second.lock(); there && !there->ended() && services_.reach.amqp().find(who) == there) return there;
  const auto standing = claims_.standing(who);
  auto device = AmqpDevice::make(services_, twin_calls_, who,
                                 {services_.ingest.generation_id(who), standing.certificate ? "x509" : "sas", standing.by_policy},
                                 connection_->executor());
  devices_[who] = device;
  return device;
}

Made AmqpClient::make_events(const net::AmqpLinkPtr&, const DevicePtr& device) {
  return std::shared_ptr<AmqpHandler>(std::make_shared<DeviceEventsLink>(device));
}

Made AmqpClient::make_inputs(const net::AmqpLinkPtr&, const DevicePtr& device) {
  return std::shared_ptr<AmqpHandler>(std::make_shared<ModuleInputsLink>(device));
}

Made AmqpClient::make_messages(const net::AmqpLinkPtr& link, const DevicePtr& device) {
  auto made = std::make_shared<DeviceMessagesLink>(device, tasks_, link);
  device->receive_messages(made, link);
  services_.ingest.subscriptions_changed(device->who());
  return std::shared_ptr<AmqpHandler>(std::move(made));
}

Made AmqpClient::make_twin_requests(const net::AmqpLinkPtr& link, const DevicePtr& device) {
  std::string channel(amqp::text_at(link->asked().properties, "com.microsoft:channel-correlation-id"));
  return std::shared_ptr<AmqpHandler>(std::make_shared<TwinRequestsLink>(device, std::move(channel)));
}

Made AmqpClient::make_twin(const net::AmqpLinkPtr& link, const DevicePtr& device) {
  auto made = std::make_shared<DeviceOutLink>(device, link);
  device->receive_twin(made);
  return std::shared_ptr<AmqpHandler>(std::move(made));
}

Made AmqpClient::make_method_replies(const net::AmqpLinkPtr&, const DevicePtr& device) {
  return std::shared_ptr<AmqpHandler>(std::make_shared<MethodRepliesLink>(device));
}

Made AmqpClient::make_methods(const net::AmqpLinkPtr& link, const DevicePtr& device) {
  auto made = std::make_shared<DeviceOutLink>(device, link);
  device->receive_methods(made, link);
  services_.ingest.subscriptions_changed(device->who());
  return std::shared_ptr<AmqpHandler>(std::move(made));
}

}  // namespace nacelle::hub
