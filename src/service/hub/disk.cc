#include "service/hub/disk.h"

#include <boost/asio/thread_pool.hpp>

namespace nacelle::hub {

struct Disk::State {
  // Two for files: one long upload must not hold up an artifact read.
  asio::thread_pool files{2};
  asio::thread_pool tables{1};
  asio::thread_pool capture{1};
  const Executor on_files{files.get_executor()};
  const Executor on_tables{tables.get_executor()};
  const Executor on_capture{capture.get_executor()};
};

Disk::Disk() : state_(std::make_unique<State>()) {}

Disk::~Disk() {
  state_->tables.join();
  state_->files.join();
  state_->capture.join();
}

const Executor& Disk::tables() const { return state_->on_tables; }
const Executor& Disk::files() const { return state_->on_files; }
const Executor& Disk::capture() const { return state_->on_capture; }

}  // namespace nacelle::hub
