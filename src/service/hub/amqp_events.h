#pragma once
// Reading events as Event Hubs clients do (wire facts 7.4): what `$management` answers, and a link for each partition.

#include <map>
#include <mutex>

#include "foundation/task_scope.h"
#include "net/socket/wake.h"
#include "service/hub/amqp_handler.h"
#include "service/hub/api.h"
#include "service/hub/event_reader.h"

namespace nacelle::hub {

/// Who reads a partition for a consumer group as its only reader (`com.microsoft:epoch`). Any thread.
class EpochBook {
 public:
  struct Owner {
    std::int64_t epoch = 0;
    std::weak_ptr<net::AmqpLink> link;
    Executor strand;  ///< of its connection
  };
  /// The link may read. A reader of a lower epoch is detached. Fault::conflict: one of a higher epoch reads, or, without an epoch,
  /// one with any.
  Result<> enter(const std::string& place, std::optional<std::int64_t> epoch, const net::AmqpLinkPtr& link, Executor strand);

 private:
  std::mutex mutex_;
  std::map<std::string, Owner> owners_;  // guarded by mutex_; by group and partition
};

/// What readers over AMQP share.
struct AmqpEvents {
  const storage::EventLog& log;
  CommitSignal& commits;
  Disk& disk;
  Events::Routing routing;
  Timestamp since{};  ///< what is told as the time of creation
  EpochBook epochs{};
};

/// Where a reader begins, out of the selector a client attaches with.
struct EventSelector {
  enum class By { start, end, offset, time };
  By by = By::start;
  storage::Offset offset = 0;  ///< the first one wanted
  Timestamp since{};           ///< enqueued then or later

  /// `amqp.annotation.x-opt-offset > '12'` and the like. Fault::invalid_input says what was expected.
  static Result<EventSelector> parse(std::string_view text);
  /// That of the link, or the start.
  static Result<EventSelector> of(const amqp::Map& filters);
};

/// A message of the log as Event Hubs clients expect it.
amqp::Message event_message(storage::Offset offset, const telemetry::Message& message);

/// One partition, from a place on, as there is credit.
class PartitionLink final : public AmqpHandler, public std::enable_shared_from_this<PartitionLink> {
 public:
  PartitionLink(AmqpEvents& events, TaskScope& tasks, net::AmqpLinkPtr link, storage::Partition partition, EventSelector from)
      : events_(events), tasks_(tasks), link_(std::move(link)), partition_(partition), from_(from) {}
  void credit() override { begin(); }
  void tick() override { begin(); }
  void detached() override { ended_ = true; }

 private:
  struct Read {
    std::vector<EventReader::Found> events;
    storage::Offset next = 0;
    bool at_head = false;
  };
  void begin();
  static awaitable<void> run(std::shared_ptr<PartitionLink> self);
  storage::Offset start() const;
  Result<Read> read(storage::Offset from, std::size_t most) const;
  bool send(const Read& read);

  AmqpEvents& events_;
  TaskScope& tasks_;
  const std::weak_ptr<net::AmqpLink> link_;
  const storage::Partition partition_;
  const EventSelector from_;
  std::optional<storage::Offset> next_;
  bool running_ = false;
  bool ended_ = false;
};

/// Answers a request of `$management`; blocks on the disk.
amqp::Message answer_management(const AmqpEvents& events, const amqp::Message& request);

}  // namespace nacelle::hub
