#pragma once
// MqttClient: an MQTT 3.1.1 client that keeps going: it reconnects with back-off, subscribes again if the session was
// lost, and sends what was not acknowledged once more, in order. Used by the simulator, the edge's upstream and modules.

#include <functional>
#include <memory>
#include <string>

#include "codec/mqtt/packet.h"
#include "net/socket/stream.h"

namespace nacelle::net {

struct MqttClientOptions {
  Endpoint endpoint;
  std::shared_ptr<TlsClientContext> tls;  ///< null: plain TCP
  std::string server_name;                ///< for the TLS check; endpoint.host if empty
  std::string client_id;
  std::string user_name;
  /// Asked at every connect; a fresh token. Fault: the attempt counts as failed.
  std::function<awaitable<Result<std::string>>()> password;
  bool clean_session = false;
  std::chrono::seconds keep_alive{60};
  std::size_t max_in_flight = 100;       ///< QoS 1 publishes not acknowledged; further ones wait in order
  ByteCount max_waiting_bytes = 16_MiB;  ///< beyond it publish answers Fault::exhausted
  std::chrono::milliseconds first_back_off{100};
  std::chrono::milliseconds max_back_off{10'000};
  std::chrono::seconds reconnect_before_expiry{0};  ///< not 0: a planned reconnect that long after connecting (token renewal)
};

class MqttClient {
 public:
  /// Message handler. The PUBACK (QoS 1) is sent when `done` is called; without it the server sends again later. Called
  /// on the client's strand; `publish` borrows for the call.
  using OnMessage = std::function<void(const mqtt::Publish& publish, std::function<void()> done)>;
  using OnState = std::function<void(bool connected)>;

  static std::unique_ptr<MqttClient> make(Executor executor, MqttClientOptions options, OnMessage on_message = {},
                                          OnState on_state = {});
  virtual ~MqttClient() = default;  ///< close() first

  /// Starts connecting. Back when first accepted; Fault::denied if the server refused the credentials (codes 2, 4, 5),
  /// unavailable once `give_up_after` has passed. Reconnects by itself from then on (also after a failed start, if
  /// `keep_trying`).
  virtual awaitable<Result<>> start(std::chrono::steady_clock::duration give_up_after, bool keep_trying = false) = 0;

  /// `done` when acknowledged (QoS 1) or written (QoS 0). Survives reconnects. In order. Any thread.
  virtual void publish(std::string topic, Bytes payload, mqtt::QoS qos, std::function<void(Result<>)> done) = 0;
  /// The same, awaited.
  virtual awaitable<Result<>> publish(std::string topic, Bytes payload, mqtt::QoS qos) = 0;
  /// Remembered, and made again after a reconnect without session. Fault::denied for SUBACK 0x80.
  virtual awaitable<Result<>> subscribe(std::string filter, mqtt::QoS qos) = 0;

  virtual bool connected() const = 0;
  virtual std::size_t waiting() const = 0;  ///< publishes not yet done
  virtual std::uint64_t reconnects() const = 0;
  /// Sends DISCONNECT and ends; what waits is answered with Fault::unavailable.
  virtual awaitable<void> close() = 0;
};

}  // namespace nacelle::net
