// What the broker must not forget, under power cuts: a server with its clients lives and dies again and again over one log and
// one table, and at the end every client has what it was promised.
#include <fmt/format.h>

#include <random>
#include <set>

#include "service/hub/kept_messages_fixture.h"

namespace nacelle::hub::testing {
namespace {

/// A publisher and a subscriber that keep the rules of QoS 1 and 2 whatever the server does, and count.
class Story {
 public:
  Story(std::uint64_t seed, storage::FaultFileSystem& disk) : seed_(seed), random_(seed), disk_(disk) {}

  awaitable<void> live(Life& life) {
    auto subscriber = co_await life.join(kept_session("subscriber"));
    if (!std::exchange(subscribed_, true)) {
      co_await subscriber->send(net::test::subscribe_to("t/#", QoS::exactly_once));
      co_await subscriber->expect<mqtt::Suback>();
    }
    auto publisher = co_await life.join(kept_session("publisher"));
    disk_.cut_power_after(random_() % 40);
    for (int step = 0; step < 30 && !disk_.power_is_out(); ++step) {
      co_await send_one(*publisher);
      if (random_() % 3 != 0) continue;
      co_await drain(*subscriber, random_() % 4 == 0);
      if (random_() % 5 == 0) {
        subscriber->drop();
        subscriber = co_await life.join(kept_session("subscriber"));
      }
    }
  }

  /// Everything that was acknowledged arrives.
  awaitable<void> end(Life& life) {
    auto publisher = co_await life.join(kept_session("publisher"));
    while (!pending_.empty()) co_await send_one(*publisher);
    auto subscriber = co_await life.join(kept_session("subscriber"));
    const auto all_there = [this] {
      return std::all_of(acked_.begin(), acked_.end(), [this](const auto& each) { return seen_.contains(each); });
    };
    for (int round = 0; round < 100'000 && !all_there(); ++round) co_await drain(*subscriber, false);
    EXPECT_TRUE(all_there());
  }

  std::set<std::string> acked_;
  std::map<std::string, int> seen_;
  std::map<std::string, std::string> last_retained_;  // by topic: the last acknowledged

 private:
  struct Sent {
    std::string topic;
    std::string payload;
    QoS qos;
    bool released = false;
  };

  /// What is pending first; an answer that comes when the power is out is one that never came.
  awaitable<void> send_one(Peer& peer) {
    if (pending_.empty()) {
      const QoS qos = random_() % 2 ? QoS::exactly_once : QoS::at_least_once;
      pending_.push_back({"t/" + std::to_string(random_() % 3),
                          fmt::format("{}:{}{}", seed_, next_++, qos == QoS::exactly_once ? " twice?" : ""), qos});
      fresh_ = true;
    }
    Sent& sent = pending_.front();
    if (!sent.released) {
      auto packet = publish(sent.topic, sent.payload, sent.qos, true);
      packet.duplicate = !std::exchange(fresh_, false);
      co_await peer.send(packet);
      mqtt::Reason reason{};
      if (sent.qos == QoS::at_least_once) {
        const auto puback = co_await peer.expect<mqtt::Puback>();
        reason = puback.reason;
      } else {
        const auto pubrec = co_await peer.expect<mqtt::Pubrec>();
        reason = pubrec.reason;
      }
      if (disk_.power_is_out() || mqtt::is_error(reason)) co_return;
      acked_.insert(sent.payload);
      last_retained_[sent.topic] = sent.payload;
      sent.released = true;
    }
    if (sent.qos == QoS::exactly_once) {
      co_await peer.send(mqtt::Pubrel{1});
      co_await peer.expect<mqtt::Pubcomp>();
    }
    pending_.clear();
  }

  /// Reads what is there. With `stop` the answers are left out: the connection breaks next.
  awaitable<void> drain(Peer& peer, bool stop) {
    co_await peer.send(mqtt::Pingreq{});
    while (true) {
      auto packet = co_await peer.next();
      if (!packet || std::holds_alternative<mqtt::Pingresp>(*packet)) co_return;
      if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
        const bool known = publish->qos == QoS::exactly_once && !held_.insert(publish->packet_id).second;
        if (!known) ++seen_[std::string(publish->payload)];
        if (stop) continue;
        const mqtt::PacketId id = publish->packet_id;
        if (publish->qos == QoS::exactly_once)
          co_await peer.send(mqtt::Pubrec{id});
        else
          co_await peer.send(mqtt::Puback{id});
      } else if (const auto* pubrel = std::get_if<mqtt::Pubrel>(&*packet)) {
        const mqtt::PacketId id = pubrel->packet_id;
        held_.erase(id);
        if (!stop) co_await peer.send(mqtt::Pubcomp{id});
      }
    }
  }

  const std::uint64_t seed_;  // in each payload: what the story before retained is not taken for this one's
  std::mt19937_64 random_;
  storage::FaultFileSystem& disk_;
  bool subscribed_ = false;
  int next_ = 0;
  bool fresh_ = false;
  std::vector<Sent> pending_;
  std::set<mqtt::PacketId> held_;  // QoS 2, not released
};

TEST_F(KeptMessagesTest, through_power_cuts_qos_1_arrives_and_qos_2_arrives_once_and_the_last_is_retained) {
  constexpr int stories = 6;
  constexpr int lives = 12;
  std::size_t acked = 0;
  std::size_t repeated = 0;
  for (std::uint64_t seed = 1; seed <= stories && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Story story(seed, disk);
    for (int i = 0; i < lives; ++i) live(true, [&](Life& life) -> awaitable<void> { co_await story.live(life); });
    live(false, [&](Life& life) -> awaitable<void> { co_await story.end(life); });
    acked += story.acked_.size();
    for (const auto& [payload, times] : story.seen_) {
      if (payload.ends_with("twice?")) {
        EXPECT_EQ(times, 1) << payload;
      }
      if (times > 1) ++repeated;
    }
    live(true, [&](Life& life) -> awaitable<void> {
      auto clean = kept_session("looks");
      clean.clean_session = true;
      auto peer = co_await life.join(clean);
      co_await peer->send(net::test::subscribe_to("t/#", QoS::at_most_once));
      co_await peer->expect<mqtt::Suback>();
      for (const auto& [topic, payload] : story.last_retained_) {
        const auto retained = co_await peer->expect<mqtt::Publish>();
        EXPECT_EQ(retained.topic, topic);
        EXPECT_EQ(retained.payload, payload);
      }
    });
    sessions->kept.erase("subscriber");
    sessions->kept.erase("publisher");
  }
  std::printf("%d power cuts, %zu messages acknowledged, none missing, no QoS 2 message twice, %zu of QoS 1 repeated\n",
              stories * (lives + 1), acked, repeated);
  EXPECT_GT(acked, 300u);
}

}  // namespace
}  // namespace nacelle::hub::testing
