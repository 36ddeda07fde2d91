#pragma once
// Pump: takes one endpoint's messages out of the store and sends them, best priority first, in order within a queue, with
// a window of messages on their way. What the receiver did not acknowledge is sent again: at least once.
// Belongs to the edge's strand; only wake() may be called from any thread.

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "foundation/async.h"
#include "foundation/clock.h"
#include "service/edge/message_store.h"

namespace nacelle::edge {

/// The receiving side of a pump.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual bool ready() = 0;
  /// `done` once, from any thread; success: the receiver has it for good.
  virtual void send(telemetry::Message message, std::function<void(Result<>)> done) = 0;
};

class Pump : public std::enable_shared_from_this<Pump> {
 public:
  struct Options {
    std::size_t window = 100;
    ByteCount window_bytes = 4_MiB;
    std::chrono::milliseconds retry_after{500};  ///< after a failed delivery, if nobody wakes the pump before
  };
  /// `clock` and every spool given to it outlive the pump's stop().
  static std::shared_ptr<Pump> make(Executor core, EndpointName endpoint, std::unique_ptr<Sink> sink, const Clock& clock,
                                    Options options);
  ~Pump();

  /// A queue it has already is left as it is.
  void add_queue(const QueueName& name, storage::Spool& spool);
  /// Something may have become possible: a message, a connection.
  void wake();
  /// No further sends; answers still on their way are forgotten (their messages go again next time).
  void stop();

  std::uint64_t sent() const { return sent_; }
  std::uint64_t expired() const { return expired_; }

 private:
  struct Slot {
    storage::Offset offset;
    ByteCount bytes;
    bool done;
  };
  struct Lane {
    std::uint32_t priority;
    storage::Spool* spool;
    std::function<void()> stop_listening;
    storage::Offset next = 0;             // first offset not read yet
    std::deque<storage::LogRecord> read;  // read and not sent
    std::deque<Slot> slots;               // sent, oldest first, until committed
    std::set<storage::Offset> received;   // acknowledged behind a failed one: not to be sent again
  };

  Pump(Executor core, EndpointName endpoint, std::unique_ptr<Sink> sink, const Clock& clock, Options options);
  void run();
  bool refill(Lane& lane);
  Lane* next_lane();
  void send_one(Lane& lane);
  void completed(Lane& lane, storage::Offset offset, Result<> outcome);
  void commit(Lane& lane);
  void start_over();

  Executor core_;
  EndpointName endpoint_;
  std::unique_ptr<Sink> sink_;
  const Clock& clock_;
  Options options_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<bool> scheduled_ = false;
  std::size_t in_flight_ = 0;
  ByteCount in_flight_bytes_ = 0;
  bool failed_ = false;   // a delivery failed: let the window run dry, then begin at the committed place again
  bool resting_ = false;  // waiting for retry_after
  bool stopped_ = false;
  asio::steady_timer retry_;
  std::uint64_t sent_ = 0;
  std::uint64_t expired_ = 0;
};

}  // namespace nacelle::edge
