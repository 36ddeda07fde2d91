#include "net/amqp/detail/engine_data.h"

#include <proton/codec.h>
#include <proton/link.h>
#include <proton/terminus.h>

namespace nacelle::net {
namespace {

std::string address_of(pn_terminus_t* terminus) {
  const char* address = pn_terminus_get_address(terminus);
  return address ? address : "";
}

amqp::Map map_in(pn_data_t* data) {
  const amqp::Value value = read_data(data);
  const auto* map = value.as<amqp::Map>();
  return map ? *map : amqp::Map();
}

}  // namespace

amqp::Value read_data(pn_data_t* data) {
  if (!data || pn_data_size(data) == 0) return {};
  pn_data_rewind(data);
  const ssize_t size = pn_data_encoded_size(data);
  if (size <= 0) return {};
  Bytes bytes(static_cast<std::size_t>(size), '\0');
  const ssize_t written = pn_data_encode(data, bytes.data(), bytes.size());
  if (written <= 0) return {};
  BytesView rest = BytesView(bytes).substr(0, static_cast<std::size_t>(written));
  auto value = amqp::decode(rest);
  return value ? *std::move(value) : amqp::Value();
}

AmqpAttach read_attach(pn_link_t* link) {
  AmqpAttach attach;
  const char* name = pn_link_name(link);
  attach.name = name ? name : "";
  attach.from_peer = pn_link_is_receiver(link);
  pn_terminus_t* source = pn_link_remote_source(link);
  pn_terminus_t* target = pn_link_remote_target(link);
  attach.address = address_of(attach.from_peer ? target : source);
  attach.peer_address = address_of(attach.from_peer ? source : target);
  attach.properties = map_in(pn_link_remote_properties(link));
  attach.filters = map_in(pn_terminus_filter(source));
  return attach;
}

}  // namespace nacelle::net
