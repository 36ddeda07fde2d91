#pragma once
// Properties to and from bytes. Private to codec/mqtt.

#include "codec/mqtt/detail/fields.h"

namespace nacelle::mqtt {

/// The properties at this point of the packet, whose length comes first. `place`: the packet's type, or will_place. Refuses
/// what may not stand there, stands twice, or has a value out of its range. Null if there are none.
Result<PropertiesPtr> read_properties(Fields& fields, std::uint8_t place);

/// Bytes of the properties with the length before them.
std::size_t properties_size(const PropertiesPtr& properties);
void put_properties(Bytes& out, const PropertiesPtr& properties);

std::size_t varint_size(std::uint32_t value);
void put_varint(Bytes& out, std::uint32_t value);

}  // namespace nacelle::mqtt
