#include "service/hub/amqp_locked_queue.h"

#include "foundation/log.h"

namespace nacelle::hub {

void LockedQueueLink::begin() {
  wanted_ = true;
  const auto link = link_.lock();
  if (sending_ || !link || link->credit() == 0) return;
  sending_ = true;
  tasks_.spawn(send_waiting(shared_from_this()));
}

awaitable<void> LockedQueueLink::send_waiting(std::shared_ptr<LockedQueueLink> self) {
  const QueuePtr queue = self->queue_;
  while (self->wanted_) {
    const auto link = self->link_.lock();
    if (!link || link->credit() == 0) break;  // credit() begins again
    self->wanted_ = false;
    auto receive = [queue] { return queue->receive(); };
    const auto locked = co_await run_on(self->services_.disk.tables(), receive);
    if (!locked) log::error("hub", "{} over AMQP: {}", queue->name(), locked.error().message);
    if (!locked || !*locked) continue;
    self->wanted_ = true;
    if (!self->send(**locked)) co_await settle(self->services_, queue, (*locked)->lock_token, net::AmqpOutcome::released);
  }
  self->sending_ = false;
}

bool LockedQueueLink::send(const LockedQueue::Locked& locked) {
  const auto link = link_.lock();
  if (!link || link->credit() == 0) return false;
  auto settled = [&tasks = tasks_, &services = services_, queue = queue_, token = locked.lock_token](net::AmqpOutcome outcome) {
    tasks.spawn(settle(services, queue, token, outcome));
  };
  link->send(locked.message, std::move(settled));
  return true;
}

awaitable<void> LockedQueueLink::settle(Services& services, QueuePtr queue, std::string lock_token, net::AmqpOutcome outcome) {
  auto work = [queue, lock_token, outcome] { return queue->settle(lock_token, outcome); };
  const auto done = co_await run_on(services.disk.tables(), work);
  if (!done && done.error().fault != Fault::conflict) log::error("hub", "{} over AMQP: {}", queue->name(), done.error().message);
}

}  // namespace nacelle::hub
