#pragma once
// Two streams joined in memory: a scripted peer for protocol tests, without sockets or real time.
//
//   auto pipe = make_memory_pipe(strand);
//   tasks.spawn(server->serve(std::move(pipe.left)));
//   co_await pipe.right->write_all(connect_packet);

#include "net/socket/stream.h"

namespace nacelle::net {

/// A test's hold on one end: deadlines are recorded, and pass only when the test says so.
class DeadlineProbe {
 public:
  virtual ~DeadlineProbe() = default;
  virtual std::optional<std::chrono::steady_clock::duration> deadline() const = 0;  ///< as last set
  virtual void expire() = 0;  ///< the deadline passes now: waiting reads and writes fail with timed_out
};

struct MemoryPipe {
  StreamPtr left;
  StreamPtr right;
  std::shared_ptr<DeadlineProbe> left_deadline;
  std::shared_ptr<DeadlineProbe> right_deadline;
};

/// Both ends live on `strand`. A writer waits while more than `capacity` bytes are unread.
MemoryPipe make_memory_pipe(Executor strand, std::size_t capacity = 64 * 1024);

}  // namespace nacelle::net
