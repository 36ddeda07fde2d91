#pragma once
// Whole frames and protocol headers from a stream, each looked at (codec/amqp/frame.h). Private to net/amqp.

#include <set>

#include "codec/amqp/frame.h"
#include "net/socket/stream.h"

namespace nacelle::net {

/// On the stream's strand.
class UnitReader {
 public:
  UnitReader(Stream& stream, std::size_t max_frame_bytes) : stream_(stream), max_frame_bytes_(max_frame_bytes) {}
  /// The next whole one that has been read; nothing: fill() first. It is valid until fill(). Fault::invalid_input or exhausted: the
  /// stream is no AMQP.
  Result<std::optional<BytesView>> next();
  awaitable<Result<>> fill();

 private:
  Result<> look_at(BytesView unit);
  Result<> look_at_order(const amqp::Frame& frame);
  Result<> look_at_delivery(const amqp::Frame& frame);

  Stream& stream_;
  const std::size_t max_frame_bytes_;
  Bytes buffer_;
  std::size_t begin_ = 0;
  bool opened_ = false;                                          // the performative open has come
  std::set<std::pair<std::uint16_t, std::int64_t>> unfinished_;  // channels and handles in the middle of a delivery
};

}  // namespace nacelle::net
