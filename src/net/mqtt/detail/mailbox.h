#pragma once
// Mailbox: how other threads reach a connection: answers about its publishes, messages for its client, the order to
// close. Whatever arrives together is collected with one visit to the strand. Private to net/mqtt.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "foundation/async.h"
#include "net/mqtt/message.h"

namespace nacelle::net {

class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  enum class Answer : std::uint8_t { pending, acknowledge, withhold };
  struct Completion {
    std::uint64_t ticket;  // the first
    std::size_t count;
    Answer answer;
  };
  /// Why a publish was not taken: what MQTT 5 tells its sender.
  struct Refusal {
    std::uint64_t ticket;
    std::size_t count;
    Error error;
  };
  struct Delivery {
    MqttMessagePtr message;
    mqtt::QoS qos = mqtt::QoS::at_most_once;
    /// Made by the server for a subscription: it waits for the client. Else it is one client's, and refused if it cannot go.
    bool for_subscription = false;
    bool retain = false;
    std::vector<std::uint32_t> subscription_ids;
    std::function<void(Result<>)> done;  ///< may be empty with `for_subscription`
    std::uint64_t kept_id = 0;           ///< its number in the MqttMessageStore; 0: it is not kept

    void answer(Result<> result) const {
      if (done) done(std::move(result));
    }
    ByteCount bytes() const { return sizeof(Delivery) + message->bytes(); }
  };
  struct Close {
    std::string why;
    mqtt::Reason reason;
  };
  struct Mail {
    std::vector<Completion> completions;
    std::vector<Refusal> refusals;  // of completions with `withhold`
    std::vector<Delivery> deliveries;
    std::vector<std::function<void()>> calls;
    std::optional<Close> close;
  };

  /// `collect` is called on `strand` when there is mail.
  Mailbox(Executor strand, ByteCount max_bytes, std::function<void()> collect)
      : strand_(std::move(strand)), max_bytes_(max_bytes), collect_(std::move(collect)) {}

  /// What the policy calls once about the publish with this ticket. It costs no allocation, and may outlive everybody
  /// but the executor.
  std::function<void(Result<>)> promise(std::uint64_t ticket);
  /// The same about `count` publishes from `ticket` on.
  std::function<void(Result<>)> promise(std::uint64_t ticket, std::size_t count);
  void poke();  ///< `collect` is called soon. Any thread.
  /// Fault::exhausted or unavailable, and then `delivery` is untouched. Any thread.
  Result<> deliver(Delivery& delivery);
  /// `call` is called on the strand while the connection lives. Any thread.
  void call(std::function<void()> call);
  void close(std::string why, mqtt::Reason reason);  ///< Any thread.
  /// A client of MQTT 5 is told why its publish was not taken; one of 3.1.1 can only be closed. Before the first promise.
  void tell_refusals() { tells_refusals_ = true; }

  /// What has arrived since; `mail` is reused. On the strand.
  void take(Mail& mail);
  /// The last mail; from now on nothing is delivered and nobody is called. On the strand.
  Mail shut();

 private:
  void keep_alive();
  void complete(std::uint64_t ticket, std::size_t count, Result<> result);
  void schedule();  // with the mutex held

  const Executor strand_;
  const ByteCount max_bytes_;
  std::function<void()> collect_;  // on the strand only
  std::mutex mutex_;
  Mail mail_;               // guarded by mutex_
  ByteCount bytes_ = 0;     // of deliveries; guarded by mutex_
  bool scheduled_ = false;  // guarded by mutex_
  bool tells_refusals_ = false;
  bool shut_ = false;              // guarded by mutex_
  std::size_t promised_ = 0;       // guarded by mutex_
  std::shared_ptr<Mailbox> self_;  // while a promise is out; guarded by mutex_
};

}  // namespace nacelle::net
