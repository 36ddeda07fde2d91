#pragma once
// A link that sends what waits in a queue of the hub's while its receiver has credit, each message locked until it is settled.

#include <optional>
#include <string>

#include "foundation/task_scope.h"
#include "service/hub/amqp_handler.h"
#include "service/hub/api.h"

namespace nacelle::hub {

/// The connection's strand, but for receive() and settle(), which run on the tables strand.
class LockedQueueLink : public AmqpHandler, public std::enable_shared_from_this<LockedQueueLink> {
 public:
  /// `tasks`: the connection's. `queue`: for the log.
  LockedQueueLink(Services& services, TaskScope& tasks, net::AmqpLinkPtr link, std::string queue)
      : services_(services), tasks_(tasks), link_(std::move(link)), queue_(std::move(queue)) {}
  /// There may be something in the queue.
  void begin();
  void credit() final { begin(); }

 protected:
  struct Locked {
    std::string lock_token;
    amqp::Message message;
  };
  virtual Result<std::optional<Locked>> receive() = 0;
  /// Fault::conflict: the lock was lost, so it is nobody's any more and comes again.
  virtual Result<> settle(const std::string& lock_token, net::AmqpOutcome outcome) = 0;

  Services& services_;

 private:
  static awaitable<void> send_waiting(std::shared_ptr<LockedQueueLink> self);
  static awaitable<void> settle_on_disk(std::shared_ptr<LockedQueueLink> self, std::string lock_token, net::AmqpOutcome outcome);
  bool send(const Locked& locked);

  TaskScope& tasks_;
  const std::weak_ptr<net::AmqpLink> link_;
  const std::string queue_;
  bool sending_ = false;
  bool wanted_ = false;  // there may be something new since the queue was asked
};

}  // namespace nacelle::hub
