#include "net/socket/memory_stream.h"

#include <cstring>

#include "net/socket/wake.h"

namespace nacelle::net {
namespace {

/// What one end has written and the other has not read.
struct Channel {
  explicit Channel(std::size_t most) : capacity(most) {}
  const std::size_t capacity;
  Bytes bytes;
  bool closed = false;
  Wake readable;
  Wake writable;

  /// As much as there is room for.
  std::size_t put(BytesView more) {
    const std::size_t count = std::min(capacity - std::min(capacity, bytes.size()), more.size());
    bytes.append(more.substr(0, count));
    if (count > 0) readable.notify();
    return count;
  }
  void close() {
    closed = true;
    readable.notify();
    writable.notify();
  }
};

struct End final : DeadlineProbe {
  std::shared_ptr<Channel> in;
  std::shared_ptr<Channel> out;
  std::optional<std::chrono::steady_clock::duration> set;
  bool timed_out = false;

  std::optional<std::chrono::steady_clock::duration> deadline() const override { return set; }
  void expire() override {
    timed_out = true;
    in->readable.notify();
    out->writable.notify();
  }
  Failure failure() const {
    if (timed_out) return fail(Fault::timed_out, "memory: no answer in time");
    return fail(Fault::unavailable, "memory: the connection is closed");
  }
};

class MemoryStream final : public Stream {
 public:
  MemoryStream(Executor executor, std::shared_ptr<End> end) : executor_(std::move(executor)), end_(std::move(end)) {}
  ~MemoryStream() override { close(); }

  awaitable<Result<std::size_t>> read_some(char* data, std::size_t size) override {
    const auto end = end_;
    while (end->in->bytes.empty() && !end->in->closed && !end->timed_out) {
      const bool woken = co_await end->in->readable.wait();
      if (!woken) co_return end->failure();
    }
    if (end->timed_out || end->in->bytes.empty()) co_return end->failure();
    const auto count = std::min(size, end->in->bytes.size());
    std::memcpy(data, end->in->bytes.data(), count);
    end->in->bytes.erase(0, count);
    end->in->writable.notify();
    co_return count;
  }

  awaitable<Result<>> write_all(BytesView bytes) override {
    const auto end = end_;
    while (!bytes.empty()) {
      if (end->out->closed || end->timed_out) co_return end->failure();
      const std::size_t count = end->out->put(bytes);
      bytes.remove_prefix(count);
      if (count > 0) continue;
      const bool woken = co_await end->out->writable.wait();
      if (!woken) co_return end->failure();
    }
    co_return Result<>{};
  }

  std::size_t write_now(BytesView bytes) override { return end_->out->closed || end_->timed_out ? 0 : end_->out->put(bytes); }

  awaitable<void> end_writing() override {
    end_->out->close();
    co_return;
  }
  void close() override {
    end_->in->close();
    end_->out->close();
  }
  void close_with(BytesView farewell) override {
    if (!end_->out->closed) end_->out->bytes.append(farewell);
    close();
  }
  void set_deadline(std::optional<std::chrono::steady_clock::duration> from_now) override {
    end_->set = from_now;
    end_->timed_out = false;
  }
  Executor executor() override { return executor_; }
  std::string peer_address() const override { return "memory"; }

 private:
  const Executor executor_;
  const std::shared_ptr<End> end_;
};

}  // namespace

MemoryPipe make_memory_pipe(Executor strand, std::size_t capacity) {
  auto to_left = std::make_shared<Channel>(capacity);
  auto to_right = std::make_shared<Channel>(capacity);
  auto left = std::make_shared<End>();
  left->in = to_left;
  left->out = to_right;
  auto right = std::make_shared<End>();
  right->in = to_right;
  right->out = to_left;
  MemoryPipe pipe;
  pipe.left = std::make_unique<MemoryStream>(strand, left);
  pipe.right = std::make_unique<MemoryStream>(strand, right);
  pipe.left_deadline = left;
  pipe.right_deadline = right;
  return pipe;
}

}  // namespace nacelle::net
