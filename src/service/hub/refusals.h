#pragma once
// Refusals: how many attempts the hub has turned away since its start, by the way they came and the reason. Each is logged
// once where it is refused: by net/mqtt (connects and publishes), the endpoint (subscriptions) or refuse_call().

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "foundation/result.h"

namespace nacelle::hub {

enum class Way { connect, registration, publish, subscribe, https, websocket, blob, amqp };

/// A word for the reason, out of few: it labels a metric. The sentences of Fault::denied are the hub's own, and
/// authorization_test holds each to its word; what a client sent stands in them between quotes and is not looked at.
std::string_view reason_word(const Error& why);

/// Any thread.
class Refusals {
 public:
  void count(Way way, const Error& why);
  std::uint64_t of(Way way) const;

  struct Reading {
    std::string_view way;
    std::string_view reason;
    std::uint64_t count = 0;
  };
  /// Every way with every reason it has met; of a way without any, one with `none`.
  std::vector<Reading> readings() const;

  static constexpr std::size_t ways = 8;
  static constexpr std::size_t reasons = 16;

 private:
  std::array<std::array<std::atomic<std::uint64_t>, reasons>, ways> counts_{};
};

}  // namespace nacelle::hub
