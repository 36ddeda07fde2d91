#include "service/hub/amqp_devices.h"

#include "service/hub/amqp_device_links.h"
#include "service/hub/amqp_messages.h"
#include "service/hub/ingest.h"
#include "service/hub/reach.h"

namespace nacelle::hub {

using device::IdentityName;

// -- Who is there

bool AmqpDevices::connected(const IdentityName& who) const {
  const std::lock_guard lock(mutex_);
  return there_.contains(who);
}

std::shared_ptr<AmqpDevice> AmqpDevices::find(const IdentityName& who) const {
  const std::lock_guard lock(mutex_);
  const auto at = there_.find(who);
  return at == there_.end() ? nullptr : at->second.held.lock();
}

void AmqpDevices::enter(const std::shared_ptr<AmqpDevice>& device) {
  std::shared_ptr<AmqpDevice> older;  // let go of without the lock
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = there_[device->who()];
    older = entry.held.lock();
    entry = {device.get(), device};
  }
  if (older) older->end({conditions::stolen, "the device has connected again"});
}

bool AmqpDevices::leave(const AmqpDevice& device) {
  const std::lock_guard lock(mutex_);
  const auto at = there_.find(device.who());
  if (at == there_.end() || at->second.device != &device) return false;
  there_.erase(at);
  return true;
}

// -- One of them

AmqpDevice::AmqpDevice(Services& services, endpoint::TwinCalls& twin_calls, IdentityName who, Established established,
                       Executor strand)
    : services_(services),
      twin_calls_(twin_calls),
      who_(std::move(who)),
      established_(std::move(established)),
      strand_(std::move(strand)),
      caller_(std::make_shared<endpoint::TwinCaller>(who_)) {}

std::shared_ptr<AmqpDevice> AmqpDevice::make(Services& services, endpoint::TwinCalls& twin_calls, IdentityName who,
                                             Established established, Executor strand) {
  std::shared_ptr<AmqpDevice> device(
      new AmqpDevice(services, twin_calls, std::move(who), std::move(established), std::move(strand)));
  services.reach.amqp().enter(device);
  services.ingest.came(device->who_, Protocol::amqp);
  return device;
}

AmqpDevice::~AmqpDevice() {
  endpoint::TwinCalls::end(*caller_);
  if (services_.reach.amqp().leave(*this)) services_.ingest.left(who_, Protocol::amqp);
}

void AmqpDevice::on_strand(std::function<void(AmqpDevice&)> work) {
  asio::post(strand_, [weak = weak_from_this(), work = std::move(work)] {
    if (const auto self = weak.lock()) work(*self);
  });
}

void AmqpDevice::wake() {
  on_strand([](AmqpDevice& self) {
    if (const auto link = self.messages_.lock()) link->begin();
  });
}

void AmqpDevice::call_method(const std::string& method, const std::string& request_id, Bytes payload) {
  amqp::Message request;
  request.correlation_id = request_id;
  request.application = {{"IoThub-methodname", method}};
  request.data = std::move(payload);
  on_strand([request = std::move(request)](AmqpDevice& self) {
    if (const auto link = self.methods_.lock()) link->send(request);
  });
}

void AmqpDevice::notify_desired(Bytes notification, std::int64_t version) {
  amqp::Message change;  // one without a correlation id is no answer
  change.annotations = {{amqp::Symbol{"resource"}, "/notifications/twin/properties/desired"}, {amqp::Symbol{"version"}, version}};
  change.data = std::move(notification);
  on_strand([change = std::move(change)](AmqpDevice& self) {
    for (const auto& each : self.twins_)
      if (const auto link = each.lock(); link && link->wants_changes) link->send(change);
  });
}

void AmqpDevice::end(net::AmqpCondition why) {
  on_strand([why = std::move(why)](AmqpDevice& self) {
    self.ended_ = true;
    for (const auto& each : std::exchange(self.links_, {}))
      if (const auto link = each.lock()) link->detach(why);
  });
}

void AmqpDevice::add(const net::AmqpLinkPtr& link) {
  std::erase_if(links_, [](const auto& each) { return each.expired(); });
  links_.push_back(link);
}

/// Not at once: its handler may be what calls.
void AmqpDevice::replace(std::weak_ptr<net::AmqpLink>& held, const net::AmqpLinkPtr& with) {
  asio::post(strand_, [older = std::exchange(held, with)] {
    if (const auto link = older.lock()) link->detach({conditions::stolen, "the device has attached another such link"});
  });
}

void AmqpDevice::receive_messages(const std::shared_ptr<DeviceMessagesLink>& link, const net::AmqpLinkPtr& engine) {
  replace(messages_engine_, engine);
  messages_ = link;
  takes_messages_ = true;
}

void AmqpDevice::receive_methods(const std::shared_ptr<DeviceOutLink>& link, const net::AmqpLinkPtr& engine) {
  replace(methods_engine_, engine);
  methods_ = link;
  takes_methods_ = true;
}

std::shared_ptr<DeviceOutLink> AmqpDevice::twin_link(const std::string& channel) {
  std::erase_if(twins_, [](const auto& each) { return each.expired(); });
  for (const auto& each : twins_)
    if (auto link = each.lock(); link && link->channel == channel) return link;
  return nullptr;
}

void AmqpDevice::gone(const AmqpHandler* link) {
  if (messages_.lock().get() == link) takes_messages_ = false;
  if (methods_.lock().get() == link) takes_methods_ = false;
  std::erase_if(twins_, [link](const auto& each) { return each.lock().get() == link; });
}

// -- To it

DeviceOutLink::DeviceOutLink(std::shared_ptr<AmqpDevice> device, const net::AmqpLinkPtr& link)
    : channel(amqp::text_at(link->asked().properties, "com.microsoft:channel-correlation-id")),
      device_(std::move(device)),
      out_(link) {}

void DeviceOutLink::detached() { device_->gone(this); }

}  // namespace nacelle::hub
