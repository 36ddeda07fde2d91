#include "net/mqtt/detail/packet_stream.h"

#include <algorithm>
#include <cstring>

namespace nacelle::net {
namespace {

constexpr std::size_t first_buffer = 1024;       // a quiet connection's: one reading, or a ping
constexpr unsigned quiet_reads = 4;              // so many small ones in a row make a connection quiet again
constexpr std::size_t busy_buffer = 128 * 1024;  // hundreds of telemetry messages a read
constexpr std::size_t quiet_output = 4 * 1024;   // the same while there is nothing to write
constexpr std::size_t kept_output = 256 * 1024;  // a larger output buffer is given back

}  // namespace

Result<std::optional<BytesView>> PacketReader::next() {
  const BytesView bytes(buffer_.get() + begin_, end_ - begin_);
  TRY_LET(const auto size, mqtt::frame_size(bytes, max_packet_bytes_));
  if (!size) return std::optional<BytesView>{};
  begin_ += *size;
  return std::optional(bytes.substr(0, *size));
}

void PacketReader::make_room() {
  const std::size_t left = end_ - begin_;
  if (left == 0 && quiet_ >= quiet_reads && capacity_ > first_buffer) {
    buffer_.reset();
    capacity_ = 0;
  }
  std::size_t wanted = std::max(capacity_, first_buffer);
  if (filled_ && wanted < busy_buffer) wanted *= 4;
  while (wanted < left + left / 2) wanted *= 2;  // in the middle of a large packet
  wanted = std::min(wanted, std::max(busy_buffer, max_packet_bytes_));
  if (wanted > capacity_) {
    std::unique_ptr<char[]> larger(new char[wanted]);
    if (left > 0) std::memcpy(larger.get(), buffer_.get() + begin_, left);
    buffer_ = std::move(larger);
    capacity_ = wanted;
  } else if (begin_ > 0 && left > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, left);
  }
  begin_ = 0;
  end_ = left;
}

awaitable<Result<>> PacketReader::fill() {
  make_room();
  const std::size_t room = capacity_ - end_;
  INVARIANT(room > 0, "a packet as large as the buffer is whole, and next() returned it");
  CO_TRY_LET(const std::size_t count, co_await stream_.read_some(buffer_.get() + end_, room));
  filled_ = count == room;
  quiet_ = count < first_buffer ? quiet_ + 1 : 0;
  end_ += count;
  co_return Result<>{};
}

awaitable<void> PacketWriter::run() {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (true) {
    if (pending_.empty() && !stream_.unsent() && !closed_ && !finishing_) {
      if (writing_.capacity() > quiet_output) writing_ = {};
      if (pending_.capacity() > quiet_output) pending_ = {};
      co_await wake_.wait_for_good();
      continue;
    }
    if (closed_ || (pending_.empty() && !stream_.unsent())) break;
    writing_.swap(pending_);
    std::vector<std::function<void(Result<>)>> batch;
    batch.swap(written_);
    busy_ = true;
    const auto result = co_await stream_.write_all(writing_);
    busy_ = false;
    if (writing_.capacity() > kept_output) writing_ = {};
    writing_.clear();
    for (const auto& done : batch) done(result);
    if (!result) close();
    if (on_progress) on_progress();
  }
  closed_ = true;
  std::vector<std::function<void(Result<>)>> left;
  left.swap(written_);
  for (const auto& done : left) done(fail(Fault::unavailable, "the connection ended before the message was written"));
}

void PacketWriter::push() {
  if (pending_.empty()) return;
  // Callbacks of after_write() are run()'s to call, in their turn.
  if (!busy_ && !closed() && written_.empty()) pending_.erase(0, stream_.write_now(pending_));
  if (!pending_.empty() || stream_.unsent()) wake_.notify();
}

void PacketWriter::close() {
  if (closed_) return;
  closed_ = true;
  if (writing_.empty())
    stream_.close_with(pending_);
  else
    stream_.close();
  wake_.notify();
}

void PacketWriter::finish() {
  finishing_ = true;
  wake_.notify();
}

}  // namespace nacelle::net
