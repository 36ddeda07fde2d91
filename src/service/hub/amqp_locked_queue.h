#pragma once
// A link that sends what waits in a queue of the hub's while its receiver has credit, each message locked until it is settled.

#include <memory>
#include <optional>
#include <string>

#include "foundation/task_scope.h"
#include "service/hub/amqp_handler.h"
#include "service/hub/api.h"

namespace nacelle::hub {

/// A queue whose messages are locked and then settled. On the tables strand.
class LockedQueue {
 public:
  struct Locked {
    std::string lock_token;
    amqp::Message message;
  };
  virtual ~LockedQueue() = default;
  virtual std::string name() const = 0;  ///< for the log
  virtual Result<std::optional<Locked>> receive() = 0;
  /// Fault::conflict: the lock was lost, so the message is nobody's any more and comes again.
  virtual Result<> settle(const std::string& lock_token, net::AmqpOutcome outcome) = 0;
};

/// On the connection's strand.
class LockedQueueLink : public AmqpHandler, public std::enable_shared_from_this<LockedQueueLink> {
 public:
  /// `tasks`: the connection's.
  LockedQueueLink(Services& services, TaskScope& tasks, net::AmqpLinkPtr link, std::shared_ptr<LockedQueue> queue)
      : services_(services), tasks_(tasks), link_(std::move(link)), queue_(std::move(queue)) {}
  /// There may be something in the queue.
  void begin();
  void credit() final { begin(); }

 private:
  using QueuePtr = std::shared_ptr<LockedQueue>;
  static awaitable<void> send_waiting(std::shared_ptr<LockedQueueLink> self);
  /// Holds no link: one whose device has left does not keep it here until the disk is done.
  static awaitable<void> settle(Services& services, QueuePtr queue, std::string lock_token, net::AmqpOutcome outcome);
  bool send(const LockedQueue::Locked& locked);

  Services& services_;
  TaskScope& tasks_;
  const std::weak_ptr<net::AmqpLink> link_;
  const QueuePtr queue_;
  bool sending_ = false;
  bool wanted_ = false;  // there may be something new since the queue was asked
};

}  // namespace nacelle::hub
