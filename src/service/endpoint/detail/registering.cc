#include "service/endpoint/detail/registering.h"

#include "foundation/log.h"

namespace nacelle::endpoint {

void Registering::accept(const Client& client, net::MqttServer& server, const mqtt::Publish& packet, const Done& done) {
  auto request = parse_registration_topic(packet.topic);
  if (!request) return refuse_publish(backend_, {Fault::denied, "a registrant may publish registrations only"}, done);
  tasks_.spawn(answer(*client.registrant, client.client_id, server, *std::move(request), Bytes(packet.payload)));
  done({});
}

awaitable<void> Registering::close() { co_await tasks_.close(); }

awaitable<void> Registering::answer(Registrant who, std::string session, net::MqttServer& server, RegistrationRequest request,
                                    Bytes body) {
  RegistrationAnswer answer;
  if (request.operation_id) {
    const std::string operation = *request.operation_id;
    answer = co_await registrations_->status(who, operation);
  } else {
    answer = co_await registrations_->begin(who, body);
  }
  const std::string topic = registration_response_topic(answer, request.request_id);
  server.deliver(session, topic, answer.body, mqtt::QoS::at_least_once, [session](const Result<>& delivered) {
    if (!delivered) log::info("endpoint", "{}: an answer was not delivered: {}", session, delivered.error().message);
  });
}

}  // namespace nacelle::endpoint
