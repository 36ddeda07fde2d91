// Any bytes as a stream of packets; what decodes, encodes and decodes again to the same bytes.
#include <cstdlib>

#include "codec/mqtt/packet.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace nacelle;
  BytesView stream(reinterpret_cast<const char*>(data), size);
  while (true) {
    const auto whole = mqtt::frame_size(stream, 1u << 20);
    if (!whole || !*whole) return 0;
    const auto packet = mqtt::decode(stream.substr(0, **whole));
    stream.remove_prefix(**whole);
    if (!packet) continue;
    const auto* connect = std::get_if<mqtt::Connect>(&*packet);
    if (connect && connect->protocol_level != 4) continue;  // only the level was read
    Bytes wire;
    std::visit([&](const auto& p) { mqtt::encode(wire, p); }, *packet);
    const auto again = mqtt::decode(wire);
    if (!again || again->index() != packet->index()) std::abort();
    Bytes twice;
    std::visit([&](const auto& p) { mqtt::encode(twice, p); }, *again);
    if (twice != wire) std::abort();
  }
}
