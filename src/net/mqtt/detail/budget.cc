#include "net/mqtt/detail/budget.h"

namespace nacelle::net {

void Budget::give(ByteCount bytes) {
  // Half empty first: else every answer would wake everyone for a packet each.
  const ByteCount before = used_.fetch_sub(bytes);
  if (before - bytes <= most_ / 2 && waited_for_) wake_all();
}

void Budget::wait(std::weak_ptr<Mailbox> mailbox) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(mailbox));
    waited_for_ = true;
  }
  if (used_ <= most_ / 2) wake_all();  // given back between the question and this
}

void Budget::wake_all() {
  std::vector<std::weak_ptr<Mailbox>> woken;
  {
    const std::lock_guard lock(mutex_);
    woken.swap(waiting_);
    waited_for_ = false;
  }
  for (const auto& weak : woken)
    if (const auto mailbox = weak.lock()) mailbox->poke();
}

}  // namespace nacelle::net
