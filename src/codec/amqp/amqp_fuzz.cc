// Any bytes as a value, a message and frames; what decodes, encodes and decodes again to the same.
#include <cstdlib>

#include "codec/amqp/frame.h"
#include "codec/amqp/message.h"

namespace {

using namespace nacelle;

void read_value(BytesView bytes) {
  const auto value = amqp::decode(bytes);
  if (!value) return;
  Bytes once;
  amqp::encode(once, *value);
  BytesView rest = once;
  const auto again = amqp::decode(rest);
  if (!again || !rest.empty()) std::abort();
  Bytes twice;
  amqp::encode(twice, *again);
  if (once != twice) std::abort();
}

void read_message(BytesView bytes) {
  const auto message = amqp::decode_message(bytes);
  if (!message) return;
  const Bytes once = amqp::encode_message(*message);
  const auto again = amqp::decode_message(once);
  if (!again || amqp::encode_message(*again) != once) std::abort();
}

void read_frames(BytesView stream) {
  while (true) {
    const auto size = amqp::frame_size(stream, 64 * 1024);
    if (!size || !*size) return;
    static_cast<void>(amqp::read_frame(stream.substr(0, **size)));
    stream.remove_prefix(**size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  read_value(bytes);
  read_message(bytes);
  read_frames(bytes);
  return 0;
}
