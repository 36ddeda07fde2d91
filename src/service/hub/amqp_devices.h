#pragma once
// Devices and modules that are there over AMQP (wire facts 7.3): each is there while one of its links is attached.

#include <atomic>
#include <map>
#include <mutex>

#include "service/endpoint/sender.h"
#include "service/endpoint/twin_calls.h"
#include "service/hub/amqp_links.h"

namespace nacelle::hub {

class AmqpDevice;
class DeviceMessagesLink;

/// Who is there, one connection for each. Any thread.
class AmqpDevices {
 public:
  bool connected(const device::IdentityName& who) const;
  std::shared_ptr<AmqpDevice> find(const device::IdentityName& who) const;  ///< null: not there
  /// The links of one that was there before, over another connection, are ended: the later one takes over.
  void enter(const std::shared_ptr<AmqpDevice>& device);
  /// Whether `device` was still the one that is there.
  bool leave(const AmqpDevice& device);

 private:
  struct Entry {
    const AmqpDevice* device = nullptr;
    std::weak_ptr<AmqpDevice> held;
  };
  mutable std::mutex mutex_;
  std::map<device::IdentityName, Entry> there_;  // guarded by mutex_
};

/// A link on which the hub sends to a device: method requests, or answers and changes of its twin.
class DeviceOutLink final : public AmqpHandler {
 public:
  DeviceOutLink(std::shared_ptr<AmqpDevice> device, const net::AmqpLinkPtr& link);
  void send(amqp::Message message) { out_.send(std::move(message)); }
  void credit() override { out_.credit(); }
  void detached() override;

  const std::string channel;   ///< `com.microsoft:channel-correlation-id`: which links are a pair
  bool wants_changes = false;  ///< of the desired properties

 private:
  const std::shared_ptr<AmqpDevice> device_;
  ReplyLink out_;
};

/// One device or module over one connection: what its links have in common. They keep it alive; with the last of them it has left.
/// On the connection's strand, but for what any thread may call.
class AmqpDevice : public std::enable_shared_from_this<AmqpDevice> {
 public:
  /// What the hub established of it when its first link came.
  struct Established {
    std::string generation_id;
    std::string_view authentication = "sas";
    bool by_policy = false;
  };
  /// The device has come. `services` and `twin_calls` outlive it.
  static std::shared_ptr<AmqpDevice> make(Services& services, endpoint::TwinCalls& twin_calls, device::IdentityName who,
                                          Established established, Executor strand);
  ~AmqpDevice();
  AmqpDevice(const AmqpDevice&) = delete;
  AmqpDevice& operator=(const AmqpDevice&) = delete;

  // Any thread.
  const device::IdentityName& who() const { return who_; }
  bool takes_messages() const { return takes_messages_; }
  bool takes_methods() const { return takes_methods_; }
  void wake();  ///< messages wait for it
  void call_method(const std::string& method, const std::string& request_id, Bytes payload);
  void notify_desired(Bytes notification, std::int64_t version);
  void end(net::AmqpCondition why);  ///< all of its links

  // The strand.
  Services& services() { return services_; }
  endpoint::Sender sender() const {
    return {who_, established_.generation_id, established_.authentication, established_.by_policy};
  }
  void add(const net::AmqpLinkPtr& link);
  /// A device has one of these each; an older one is ended.
  void receive_messages(const std::shared_ptr<DeviceMessagesLink>& link, const net::AmqpLinkPtr& engine);
  void receive_methods(const std::shared_ptr<DeviceOutLink>& link, const net::AmqpLinkPtr& engine);
  void receive_twin(const std::shared_ptr<DeviceOutLink>& link) { twins_.push_back(link); }
  /// Where answers to requests of `channel` go; null: nowhere.
  std::shared_ptr<DeviceOutLink> twin_link(const std::string& channel);
  void call_twin(endpoint::TwinCallPtr call) { twin_calls_.begin(caller_, std::move(call)); }
  const Executor& strand() const { return strand_; }
  void gone(const AmqpHandler* link);
  bool ended() const { return ended_; }  ///< by end(): a new link makes the device come anew

 private:
  AmqpDevice(Services& services, endpoint::TwinCalls& twin_calls, device::IdentityName who, Established established,
             Executor strand);
  void on_strand(std::function<void(AmqpDevice&)> work);
  void replace(std::weak_ptr<net::AmqpLink>& held, const net::AmqpLinkPtr& with);

  Services& services_;
  endpoint::TwinCalls& twin_calls_;
  const device::IdentityName who_;
  const Established established_;
  const Executor strand_;
  const endpoint::TwinCallerPtr caller_;
  std::atomic<bool> takes_messages_ = false;
  std::atomic<bool> takes_methods_ = false;
  bool ended_ = false;
  std::vector<std::weak_ptr<net::AmqpLink>> links_;
  std::weak_ptr<DeviceMessagesLink> messages_;
  std::weak_ptr<DeviceOutLink> methods_;
  std::weak_ptr<net::AmqpLink> messages_engine_, methods_engine_;
  std::vector<std::weak_ptr<DeviceOutLink>> twins_;
};

}  // namespace nacelle::hub
