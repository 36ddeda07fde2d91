#pragma once
// Links of the service side: messages to devices, feedback and file notifications (wire facts 7.3), and answers to requests.

#include <deque>

#include "service/hub/amqp_locked_queue.h"

namespace nacelle::hub {

/// `/messages/devicebound`: each message is accepted when it is in its device's queue, on disk.
class DeviceboundLink final : public AmqpHandler {
 public:
  /// `tasks`: the connection's.
  DeviceboundLink(Services& services, TaskScope& tasks) : services_(services), tasks_(tasks) {}
  void transfer(amqp::Message message, Done done) override;

 private:
  Services& services_;
  TaskScope& tasks_;
};

/// A queue of ServiceQueue: what is sent is locked, and goes when the receiver accepts or rejects it.
class ServiceQueueLink final : public LockedQueueLink {
 public:
  /// `together`: a message carries an array of what there is (feedback), else one record.
  ServiceQueueLink(Services& services, TaskScope& tasks, net::AmqpLinkPtr link, std::string queue, bool together);
  void tick() override { begin(); }
};

/// Answers on a link of the peer's choice, which wait for its credit.
class ReplyLink final : public AmqpHandler {
 public:
  explicit ReplyLink(net::AmqpLinkPtr link) : link_(std::move(link)) {}
  void send(amqp::Message message);  ///< beyond most_waiting the oldest is dropped
  void credit() override;

  static constexpr std::size_t most_waiting = 64;

 private:
  const std::weak_ptr<net::AmqpLink> link_;
  std::deque<amqp::Message> waiting_;
};

}  // namespace nacelle::hub
