#pragma once
// Histogram: how values spread, counted in buckets whose bounds double. For metrics: any thread adds, any thread reads.

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

namespace nacelle {

class Histogram {
 public:
  static constexpr std::size_t buckets = 24;  ///< bounds 1, 2, 4, .. 2^22, and what is above

  void add(std::uint64_t value) {
    const auto bucket = value <= 1 ? 0 : static_cast<std::size_t>(std::bit_width(value - 1));
    counts_[bucket < buckets ? bucket : buckets - 1].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  struct Reading {
    std::array<std::uint64_t, buckets> counts{};  ///< values above bound i-1 and up to bound i = 2^i; the last has no bound
    std::uint64_t sum = 0;

    std::uint64_t count() const {
      std::uint64_t all = 0;
      for (const auto each : counts) all += each;
      return all;
    }
  };
  Reading read() const {
    Reading reading;
    for (std::size_t i = 0; i < buckets; ++i) reading.counts[i] = counts_[i].load(std::memory_order_relaxed);
    reading.sum = sum_.load(std::memory_order_relaxed);
    return reading;
  }

 private:
  std::array<std::atomic<std::uint64_t>, buckets> counts_{};
  std::atomic<std::uint64_t> sum_{0};
};

}  // namespace nacelle
