// Any bytes as how a message was published, a client to recall, access rules, registration names and topics:
// no crash, and what was published is printed back to the same bytes.
#include <cstddef>
#include <cstdint>

#include "foundation/invariant.h"
#include "service/endpoint/detail/client.h"
#include "service/endpoint/published.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacelle;
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  telemetry::Message record;
  record.published = bytes;
  if (const auto published = endpoint::read_published(record)) {
    mqtt::Publish publish;
    publish.topic = published->message->topic;
    publish.qos = published->message->qos;
    publish.retain = published->message->retain;
    publish.packet_id = published->identifier.packet_id;
    publish.properties = published->message->properties;
    telemetry::Message again;
    again.published = endpoint::print_published(publish, published->identifier.session, published->identifier.since);
    const auto twice = endpoint::read_published(again);
    INVARIANT(twice && twice->message->topic == published->message->topic && twice->message->qos == published->message->qos &&
                  twice->identifier.session == published->identifier.session &&
                  twice->identifier.packet_id == published->identifier.packet_id,
              "what was published survives a round trip");
  }
  const std::string text(bytes);
  if (const auto client = endpoint::read_client(text)) {
    const auto again = endpoint::read_client(endpoint::print_client(**client));
    INVARIANT(again && (*again)->client_id == (*client)->client_id && (*again)->principal.text() == (*client)->principal.text(),
              "a client survives a round trip");
  }
  if (const auto document = json::parse(text)) {
    if (const auto rules = endpoint::AccessRules::parse(*document)) {
      (void)rules->may_publish({}, "plant/a/b");
      (void)rules->may_subscribe({endpoint::Principal::Kind::device, "a", {}}, "plant/+/#");
    }
  }
  (void)endpoint::parse_registration_name(text);
  (void)endpoint::parse_registration_topic(text);
  return 0;
}
