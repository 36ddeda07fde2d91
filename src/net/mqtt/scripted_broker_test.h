#pragma once
// For tests: a server that passes messages on to subscribers, its clock, and packets of MQTT 5.

#include "net/mqtt/scripted_peer_test.h"

namespace nacelle::net::test {

struct Broker {
  void pass(std::chrono::seconds time) {
    clock.advance(time);
    bench.server->sweep();
  }

  ManualClock& clock;
  Bench& bench;
};

template <class Script>
void with_broker(Script script, MqttServer::Options options = {}) {
  ManualClock clock;
  options.clock = &clock;
  options.broadcasts = [](std::string_view) { return true; };
  auto run = [&clock, script](Bench& bench) -> awaitable<void> {
    bench.policy.verdict.max_qos = mqtt::QoS::exactly_once;
    bench.policy.most = mqtt::QoS::exactly_once;
    bench.policy.broadcast_by = bench.server.get();
    bench.policy.clock = &clock;
    Broker broker{clock, bench};
    co_await script(broker, bench);
  };
  with_bench(run, std::move(options));
}

inline mqtt::PropertiesPtr share(mqtt::Properties properties) {
  return std::make_shared<const mqtt::Properties>(std::move(properties));
}

inline mqtt::Connect connect_v5(std::string id, mqtt::Properties properties = {}, bool clean_start = true) {
  auto connect = connect_as(std::move(id), clean_start);
  connect.protocol_level = 5;
  connect.properties = share(std::move(properties));
  return connect;
}
inline mqtt::Properties expiring(std::uint32_t seconds) {
  mqtt::Properties properties;
  properties.session_expiry = seconds;
  return properties;
}
inline mqtt::Publish with_qos(mqtt::Publish publish, mqtt::QoS qos) {
  publish.qos = qos;
  return publish;
}
inline mqtt::Publish with(mqtt::Publish publish, mqtt::Properties properties) {
  publish.properties = share(std::move(properties));
  return publish;
}
inline mqtt::Publish retained(mqtt::Publish publish) {
  publish.retain = true;
  return publish;
}

/// Subscribes and waits for the answer.
inline awaitable<std::vector<std::uint8_t>> subscribe(Peer& peer, mqtt::Subscribe wanted) {
  co_await peer.send(wanted);
  const auto suback = co_await peer.expect<mqtt::Suback>();
  co_return suback.codes;
}

}  // namespace nacelle::net::test
