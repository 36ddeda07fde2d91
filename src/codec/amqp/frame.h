#pragma once
// AMQP 1.0 frames (part 2, sections 2.2 and 2.3; SASL: part 5), looked at before a protocol engine acts on them.

#include "codec/amqp/value.h"

namespace nacelle::amqp {

/// The protocol header that begins a layer: `AMQP`, 0 or 3 (SASL), 1.0.0.
inline constexpr std::size_t header_bytes = 8;

/// How many bytes the frame or protocol header at the beginning of a stream has; nothing: more must be read to know.
/// Fault::exhausted: above `max_frame_bytes`; invalid_input: smaller than its own header.
Result<std::optional<std::size_t>> frame_size(BytesView bytes, std::size_t max_frame_bytes);
bool is_protocol_header(BytesView unit);

struct Frame {
  std::uint64_t code = 0;  ///< of its performative; 0: it is empty
  std::uint16_t channel = 0;
  List fields{};

  const Value& field(std::size_t at) const;  ///< null beyond the last
};

/// A whole frame, if it is one: its header, one performative of a known kind, each field of its type, what must be there there,
/// nothing behind it where nothing may be. Fault::invalid_input names the field.
Result<Frame> read_frame(BytesView frame);

inline constexpr std::uint64_t open_code = 0x10;
inline constexpr std::uint64_t attach_code = 0x12;
inline constexpr std::uint64_t transfer_code = 0x14;
inline constexpr std::uint64_t detach_code = 0x16;
inline constexpr std::uint64_t end_code = 0x17;
inline constexpr std::uint64_t first_sasl_code = 0x40;

}  // namespace nacelle::amqp
