#include "service/hub/disk.h"

#include <boost/asio/thread_pool.hpp>

namespace nacelle::hub {

struct Disk::State {
  // Two for files: one long upload must not hold up an artifact read.
  asio::thread_pool files{2};
  asio::thread_pool tables{1};
  asio::thread_pool capture{1};
};

Disk::Disk() : state_(std::make_unique<State>()) {}

Disk::~Disk() {
  state_->tables.join();
  state_->files.join();
  state_->capture.join();
}

Executor Disk::tables() const { return state_->tables.get_executor(); }
Executor Disk::files() const { return state_->files.get_executor(); }
Executor Disk::capture() const { return state_->capture.get_executor(); }

}  // namespace nacelle::hub
