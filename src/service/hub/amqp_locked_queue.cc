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
  while (self->wanted_) {
    const auto link = self->link_.lock();
    if (!link || link->credit() == 0) break;  // credit() begins again
    self->wanted_ = false;
    auto receive = [self] { return self->receive(); };
    const auto locked = co_await run_on(self->services_.disk.tables(), receive);
    if (!locked) log::error("hub", "{} over AMQP: {}", self->queue_, locked.error().message);
    if (!locked || !*locked) continue;
    self->wanted_ = true;
    if (!self->send(**locked)) co_await settle_on_disk(self, (*locked)->lock_token, net::AmqpOutcome::released);
  }
  self->sending_ = false;
}

bool LockedQueueLink::send(const Locked& locked) {
  const auto link = link_.lock();
  if (!link || link->credit() == 0) return false;
  link->send(locked.message, [self = shared_from_this(), lock_token = locked.lock_token](net::AmqpOutcome outcome) {
    self->tasks_.spawn(settle_on_disk(self, lock_token, outcome));
  });
  return true;
}

awaitable<void> LockedQueueLink::settle_on_disk(std::shared_ptr<LockedQueueLink> self, std::string lock_token,
                                                net::AmqpOutcome outcome) {
  auto work = [self, lock_token, outcome] { return self->settle(lock_token, outcome); };
  const auto done = co_await run_on(self->services_.disk.tables(), work);
  if (!done && done.error().fault != Fault::conflict) log::error("hub", "{} over AMQP: {}", self->queue_, done.error().message);
}

}  // namespace nacelle::hub
