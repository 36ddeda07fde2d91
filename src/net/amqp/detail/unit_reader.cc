#include "net/amqp/detail/unit_reader.h"

namespace nacelle::net {
namespace {

constexpr std::size_t one_read = 16 * 1024;
constexpr std::size_t most_unfinished = 256;    // deliveries, of all links
constexpr std::size_t quiet_buffer = 4 * 1024;  // a larger one is given back when nothing is left in it

}  // namespace

Result<std::optional<BytesView>> UnitReader::next() {
  const BytesView bytes = BytesView(buffer_).substr(begin_);
  TRY_LET(const auto size, amqp::frame_size(bytes, max_frame_bytes_));
  if (!size) return std::optional<BytesView>{};
  const BytesView unit = bytes.substr(0, *size);
  TRY(look_at(unit));
  begin_ += *size;
  return std::optional(unit);
}

Result<> UnitReader::look_at(BytesView unit) {
  if (amqp::is_protocol_header(unit)) {
    if (opened_) return fail(Fault::invalid_input, "AMQP: a protocol header after open");
    return {};
  }
  TRY_LET(const amqp::Frame frame, amqp::read_frame(unit));
  if (frame.code >= amqp::first_sasl_code) return {};
  TRY(look_at_order(frame));
  return look_at_delivery(frame);
}

/// The engine would take open twice, and forget the first one without giving it back.
Result<> UnitReader::look_at_order(const amqp::Frame& frame) {
  if (!opened_ && frame.code != amqp::open_code) return fail(Fault::invalid_input, "AMQP: the first frame is not open");
  if (opened_ && frame.code == amqp::open_code) return fail(Fault::invalid_input, "AMQP: open comes a second time");
  opened_ = true;
  return {};
}

/// Section 2.7.5: the first transfer of a delivery has its id. Without it the engine would end the process.
Result<> UnitReader::look_at_delivery(const amqp::Frame& frame) {
  const auto handle = [&](std::size_t at) { return std::pair(frame.channel, frame.field(at).integer().value_or(-1)); };
  if (frame.code == amqp::attach_code) unfinished_.erase(handle(1));
  if (frame.code == amqp::detach_code) unfinished_.erase(handle(0));
  if (frame.code == amqp::end_code) std::erase_if(unfinished_, [&](const auto& each) { return each.first == frame.channel; });
  if (frame.code != amqp::transfer_code) return {};
  if (!unfinished_.contains(handle(0)) && frame.field(1).is_null())
    return fail(Fault::invalid_input, "AMQP transfer: delivery-id is missing");
  const bool more = frame.field(5) == amqp::Value(true) && frame.field(9) != amqp::Value(true);
  if (!more)
    unfinished_.erase(handle(0));
  else if (unfinished_.size() < most_unfinished)
    unfinished_.insert(handle(0));
  else
    return fail(Fault::exhausted, "AMQP: too many deliveries begun at once");
  return {};
}

awaitable<Result<>> UnitReader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  if (buffer_.empty() && buffer_.capacity() > quiet_buffer) buffer_ = {};
  Bytes more(one_read, '\0');
  CO_TRY_LET(const std::size_t count, co_await stream_.read_some(more.data(), more.size()));
  buffer_.append(more, 0, count);
  co_return Result<>{};
}

}  // namespace nacelle::net
