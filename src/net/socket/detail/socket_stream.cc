#include "net/socket/detail/socket_stream.h"

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>

namespace nacelle::net {
namespace {

using Clock = std::chrono::steady_clock;

/// What the stream's coroutines and its timer share; it outlives both.
struct State : std::enable_shared_from_this<State> {
  State(AnySocket s, std::string address) : socket(std::move(s)), timer(socket.get_executor()), peer(std::move(address)) {}

  AnySocket socket;
  asio::steady_timer timer;
  const std::string peer;
  Clock::time_point deadline = Clock::time_point::max();
  Clock::time_point timer_at = Clock::time_point::max();  // when the running timer wakes; max: it does not run
  std::uint64_t timer_round = 0;
  bool timed_out = false;

  Failure failure(const boost::system::error_code& error) const {
    if (timed_out) return fail(Fault::timed_out, fmt::format("{}: no answer in time", peer));
    if (error == asio::error::eof) return fail(Fault::unavailable, fmt::format("{}: the peer closed the connection", peer));
    return fail(Fault::unavailable, fmt::format("{}: {}", peer, error.message()));
  }

  /// Deadlines move with every packet; the timer is only touched when it would wake too late.
  void arm() {
    if (deadline >= timer_at) return;
    timer_at = deadline;
    timer.expires_at(deadline);
    timer.async_wait([weak = weak_from_this(), round = ++timer_round](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || round != self->timer_round) return;
      self->timer_at = Clock::time_point::max();
      if (Clock::now() < self->deadline) return self->deadline == Clock::time_point::max() ? void() : self->arm();
      self->timed_out = true;
      boost::system::error_code ignored;
      self->socket.cancel(ignored);
    });
  }
};

class SocketStream final : public Stream {
 public:
  SocketStream(AnySocket socket, std::string peer) : state_(std::make_shared<State>(std::move(socket), std::move(peer))) {}
  ~SocketStream() override { close(); }

  awaitable<Result<std::size_t>> read_some(char* data, std::size_t size) override {
    const auto state = state_;
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return state->failure(asio::error::operation_aborted);
    if (state->timed_out) co_return state->failure({});
    const auto buffer = asio::buffer(data, size);
    const auto [error, count] = co_await state->socket.async_read_some(buffer, as_result);
    if (error) co_return state->failure(error);
    co_return count;
  }

  awaitable<Result<>> write_all(BytesView bytes) override {
    const auto state = state_;
    while (!bytes.empty()) {
      const auto cancellation = co_await asio::this_coro::cancellation_state;
      if (cancellation.cancelled() != asio::cancellation_type::none) co_return state->failure(asio::error::operation_aborted);
      if (state->timed_out) co_return state->failure({});
      // Most writes fit the socket's buffer: try first, and wait only when it is full.
      boost::system::error_code error;
      const auto count = state->socket.write_some(asio::buffer(bytes.data(), bytes.size()), error);
      bytes.remove_prefix(count);
      if (error == asio::error::would_block || error == asio::error::try_again) {
        const auto [waited] = co_await state->socket.async_wait(AnySocket::wait_write, as_result);
        error = waited;
      }
      if (error) co_return state->failure(error);
    }
    co_return Result<>{};
  }

  std::size_t write_now(BytesView bytes) override {
    if (state_->timed_out) return 0;
    boost::system::error_code error;  // the next write_all meets it too, and tells it
    return state_->socket.write_some(asio::buffer(bytes.data(), bytes.size()), error);
  }

  awaitable<void> end_writing() override {
    boost::system::error_code ignored;
    state_->socket.shutdown(asio::socket_base::shutdown_send, ignored);
    co_return;
  }

  void close() override {
    boost::system::error_code ignored;
    ++state_->timer_round;
    state_->timer.cancel();
    state_->socket.close(ignored);
  }

  void close_with(BytesView farewell) override {
    boost::system::error_code ignored;
    if (state_->socket.is_open()) state_->socket.write_some(asio::buffer(farewell.data(), farewell.size()), ignored);
    close();
  }

  void set_deadline(std::optional<Clock::duration> from_now) override {
    state_->timed_out = false;
    state_->deadline = from_now ? Clock::now() + *from_now : Clock::time_point::max();
    state_->arm();
  }

  Executor executor() override { return state_->socket.get_executor(); }
  std::string peer_address() const override { return state_->peer; }

 private:
  const std::shared_ptr<State> state_;
};

}  // namespace

StreamPtr make_stream(AnySocket socket, std::string peer_address) {
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  return std::make_unique<SocketStream>(std::move(socket), std::move(peer_address));
}

}  // namespace nacelle::net
