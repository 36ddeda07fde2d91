#pragma once
// For tests: an event log of two partitions and small segments on a disk in memory that can fail.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::storage {

class EventLogTest : public ::testing::Test {
 protected:
  EventLogTest() {
    options.directory = "/events";
    options.partitions = 2;
    options.segment_bytes = 2000;
    reopen();
  }

  void reopen() {
    log.reset();
    log = EventLog::open(options, clock, disk).value();
  }
  Offset append(Partition partition, Bytes payload) { return append_now(*log, partition, std::move(payload)).value(); }
  std::size_t segments(Partition partition) const {
    std::size_t count = 0;
    const auto names = disk.list(fmt::format("/events/{:04}", partition)).value();
    for (const auto& name : names) count += name.ends_with(".log") ? 1 : 0;
    return count;
  }

  ManualClock clock;
  FaultFileSystem disk{7};
  LogOptions options;
  std::unique_ptr<EventLog> log;
};

}  // namespace nacelle::storage
