#pragma once
// AmqpClient: one AMQP connection as the hub sees it: what it has proved, and its links.

#include <map>

#include "service/hub/amqp_claims.h"
#include "service/hub/amqp_devices.h"
#include "service/hub/amqp_events.h"
#include "service/hub/amqp_links.h"

namespace nacelle::hub {

/// On the connection's strand.
class AmqpClient final : public net::AmqpPeer {
 public:
  AmqpClient(Services& services, AmqpEvents& events, endpoint::TwinCalls& twin_calls, net::AmqpConnectionPtr connection);

  Result<> authenticate(const std::string& user, const std::string& password) override;
  net::AmqpAttached attach(const net::AmqpLinkPtr& link) override;
  void tick() override;
  awaitable<void> ended() override { return tasks_.close(); }
  /// Ends links whose claim is no more.
  void recheck();

 private:
  /// What a link is, and who may have it.
  struct Place {
    Need need = Need::service;
    device::IdentityName target{};
    std::function<Result<std::shared_ptr<AmqpHandler>>(const net::AmqpLinkPtr&)> make;
  };
  struct Held {
    std::weak_ptr<net::AmqpLink> link;
    std::weak_ptr<AmqpHandler> handler;
    std::string address;
    Need need;
    device::IdentityName target;
  };
  class CbsLink;
  class ManagementLink;

  Result<Place> place_of(const std::string& address, bool from_peer);
  Result<Place> event_place_of(const std::string& address, bool from_peer);
  using DevicePtr = std::shared_ptr<AmqpDevice>;
  std::optional<Place> device_place_of(const std::string& address, bool from_peer);
  DevicePtr device_of(const device::IdentityName& who);
  Result<std::shared_ptr<AmqpHandler>> make_events(const net::AmqpLinkPtr& link, const DevicePtr& device);
  Result<std::shared_ptr<AmqpHandler>> make_inputs(const net::AmqpLinkPtr& link, const DevicePtr& device);
  Result<std::shared_ptr<AmqpHandler>> make_messages(const net::AmqpLinkPtr& link, const DevicePtr& device);
  Result<std::shared_ptr<AmqpHandler>> make_twin_requests(const net::AmqpLinkPtr& link, const DevicePtr& device);
  Result<std::shared_ptr<AmqpHandler>> make_twin(const net::AmqpLinkPtr& link, const DevicePtr& device);
  Result<std::shared_ptr<AmqpHandler>> make_method_replies(const net::AmqpLinkPtr& link, const DevicePtr& device);
  Result<std::shared_ptr<AmqpHandler>> make_methods(const net::AmqpLinkPtr& link, const DevicePtr& device);
  Result<> may_attach(const Place& place);
  Place partition_place(storage::Partition partition, std::string group);
  std::shared_ptr<ReplyLink> make_reply_link(std::string_view node, const net::AmqpLinkPtr& link);
  awaitable<void> answer_request(amqp::Message request);
  void put_token(const amqp::Message& request);
  void answer(const std::string& node, const std::string& reply_to, amqp::Message reply);
  void refuse(std::string_view what, const Error& why);

  Services& services_;
  AmqpEvents& events_;
  endpoint::TwinCalls& twin_calls_;
  const net::AmqpConnectionPtr connection_;
  AmqpClaims claims_;
  std::vector<Held> links_;
  std::map<device::IdentityName, std::weak_ptr<AmqpDevice>> devices_;
  /// Of `$cbs` and the like, by node and the peer's own address.
  std::map<std::pair<std::string, std::string>, std::weak_ptr<ReplyLink>> replies_;
  const Timestamp since_;
  TaskScope tasks_;
};

}  // namespace nacelle::hub
