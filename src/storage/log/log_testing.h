#pragma once
// For tests of logs and spools: appending and waiting for the answers.

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <mutex>

#include "storage/log/spool.h"

namespace nacelle::storage {

/// How many rounds a fault test runs: `usual`, times NACELLE_FAULT_FACTOR (`./dev fault` sets it).
inline std::uint64_t fault_rounds(std::uint64_t usual) {
  const char* factor = std::getenv("NACELLE_FAULT_FACTOR");
  return usual * (factor ? std::max(1UL, std::strtoul(factor, nullptr, 10)) : 1);
}

/// Collects the answers to many appends, in the order in which they come.
class Answers {
 public:
  EventLog::Done next() {
    const std::lock_guard lock(mutex_);
    ++asked_;
    return [this](Result<Offset> answer) {
      const std::lock_guard answering(mutex_);
      answers_.push_back(std::move(answer));
      changed_.notify_all();
    };
  }
  /// Waits until everything asked for is answered.
  std::vector<Result<Offset>> all() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_.size() == asked_; });
    return answers_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t asked_ = 0;
  std::vector<Result<Offset>> answers_;
};

inline Result<Offset> append_now(EventLog& log, Partition partition, Bytes payload) {
  std::promise<Result<Offset>> answer;
  log.append(partition, std::move(payload), [&](Result<Offset> at) { answer.set_value(std::move(at)); });
  return answer.get_future().get();
}

inline Result<Offset> append_now(Spool& spool, Bytes payload) {
  std::promise<Result<Offset>> answer;
  spool.append(std::move(payload), [&](Result<Offset> at) { answer.set_value(std::move(at)); });
  return answer.get_future().get();
}

/// Everything a partition holds, read in small pieces as a consumer would.
inline Result<std::vector<LogRecord>> read_all(const EventLog& log, Partition partition, ByteCount piece = 700) {
  std::vector<LogRecord> all;
  while (true) {
    TRY_LET(auto records, log.read(partition, all.empty() ? 0 : all.back().offset + 1, piece));
    if (records.empty()) return all;
    for (auto& record : records) all.push_back(std::move(record));
  }
}

}  // namespace nacelle::storage
