// Any bytes as a stream of packets, of either version; what decodes, encodes and decodes again to the same bytes. And lines of
// them as topics and filters: who covers another filter matches all that the other does.
#include <cstdlib>

#include "codec/mqtt/filter.h"
#include "codec/mqtt/packet.h"

namespace {

using namespace nacelle;

void read_stream(BytesView stream, mqtt::Version version) {
  while (true) {
    const auto whole = mqtt::frame_size(stream, 1u << 20);
    if (!whole || !*whole) return;
    const auto packet = mqtt::decode(stream.substr(0, **whole), version);
    stream.remove_prefix(**whole);
    if (!packet) continue;
    const auto* connect = std::get_if<mqtt::Connect>(&*packet);
    if (connect && connect->protocol_level != 4 && !connect->v5()) continue;  // only the level was read
    Bytes wire;
    std::visit([&](const auto& p) { mqtt::encode(wire, p, version); }, *packet);
    const auto again = mqtt::decode(wire, version);
    if (!again || again->index() != packet->index()) std::abort();
    Bytes twice;
    std::visit([&](const auto& p) { mqtt::encode(twice, p, version); }, *again);
    if (twice != wire) std::abort();
    const auto* publish = std::get_if<mqtt::Publish>(&*packet);
    if (publish && mqtt::encoded_size(*publish, version) != wire.size()) std::abort();
  }
}

void read_filters(BytesView lines) {
  BytesView parts[3];
  for (BytesView& part : parts) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    part = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  const auto [wide, narrow, topic] = parts;
  const auto shared = mqtt::parse_shared_filter(wide);
  if (shared && !mqtt::valid_topic_filter(shared->filter) && mqtt::valid_topic_filter(wide)) std::abort();
  if (!mqtt::valid_topic_filter(wide) || !mqtt::valid_topic_filter(narrow) || !mqtt::valid_topic_name(topic)) return;
  const bool wide_matches = mqtt::topic_matches(wide, topic);
  if (mqtt::filter_covers(wide, narrow) && mqtt::topic_matches(narrow, topic) && !wide_matches) std::abort();
  if (wide.find_first_of("+#") == BytesView::npos && wide_matches != (wide == topic)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const BytesView stream(reinterpret_cast<const char*>(data), size);
  read_stream(stream, mqtt::Version::v3_1_1);
  read_stream(stream, mqtt::Version::v5);
  read_filters(stream);
  return 0;
}
