#pragma once
// Budget: how much all connections of a server may have in flight together, so that a slow disk slows the senders instead of
// filling the memory. Private to net/mqtt.

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "net/mqtt/detail/mailbox.h"

namespace nacelle::net {

/// Any thread. A connection asks before it takes the next packet, so that each may overdraw by one packet.
class Budget {
 public:
  explicit Budget(ByteCount most) : most_(most) {}

  bool has_room() const { return used_ < most_; }
  void take(ByteCount bytes) { used_ += bytes; }
  void give(ByteCount bytes);
  /// `mailbox` is poked once when there is room again; perhaps at once.
  void wait(std::weak_ptr<Mailbox> mailbox);

 private:
  void wake_all();

  const ByteCount most_;
  std::atomic<ByteCount> used_{0};
  std::atomic<bool> waited_for_{false};
  std::mutex mutex_;
  std::vector<std::weak_ptr<Mailbox>> waiting_;  // guarded by mutex_
};

}  // namespace nacelle::net
