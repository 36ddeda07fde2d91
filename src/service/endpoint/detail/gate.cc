#include "service/endpoint/detail/gate.h"

#include "service/endpoint/detail/admission.h"
#include "service/endpoint/detail/batcher.h"

namespace nacelle::endpoint {

using device::IdentityName;

awaitable<net::MqttAccept> Gate::admit(const mqtt::Connect& connect, const Bytes& certificates_der) {
  const bool registers = parse_registration_name(connect.user_name.value_or(std::string())).has_value();
  net::MqttAccept verdict = co_await decide(connect, certificates_der);
  if (verdict.code != mqtt::ConnectCode::accepted) {
    const Fault fault = verdict.code == mqtt::ConnectCode::server_unavailable ? Fault::unavailable
                        : verdict.code == mqtt::ConnectCode::not_authorized   ? Fault::denied
                                                                              : Fault::invalid_input;
    const auto attempt = registers ? DeviceBackend::Attempt::registration : DeviceBackend::Attempt::connect;
    backend_.refused(attempt, Error{fault, verdict.reason});
  }
  co_return verdict;
}

awaitable<net::MqttAccept> Gate::decide(const mqtt::Connect& connect, const Bytes& certificates_der) {
  net::MqttAccept verdict;
  const Bytes shown = certificates_der;
  const auto registers = parse_registration_name(connect.user_name.value_or(std::string()));
  if (registers && registrations_) {
    const std::string token = connect.password.value_or(std::string());
    const bool agrees = connect.client_id == registers->registration_id;
    verdict = co_await admit_registrant(*registers, token, shown, agrees);
  } else if (open_ && !speaks_iot_hub(connect)) {
    verdict = co_await admit_plain(connect, shown);
  } else {
    verdict = co_await admit_identity(connect, shown);
  }
  co_return verdict;
}

awaitable<net::MqttAccept> Gate::admit_identity(const mqtt::Connect& connect, Bytes certificates_der) {
  net::MqttAccept verdict;
  Admission admission = examine(connect, hub_names_);
  if (admission.refusal) {
    verdict.code = admission.refusal->code;
    verdict.reason = std::move(admission.refusal->reason);
    co_return verdict;
  }
  const std::string password = connect.password.value_or(std::string());
  Result<ClientPtr> client = co_await identify(admission.claim.who, admission.claim.user_name, password, certificates_der);
  if (!client) {
    verdict.code = refusal_code(client.error().fault);
    verdict.reason = client.error().message;
    co_return verdict;
  }
  verdict.code = mqtt::ConnectCode::accepted;
  verdict.expires_at = (*client)->principal.until;
  verdict.context = *std::move(client);
  co_return verdict;
}

awaitable<Result<ClientPtr>> Gate::identify(IdentityName who, telemetry::UserName user_name, std::string password,
                                            Bytes certificates_der) {
  if (password.empty() && certificates_der.empty()) co_return fail(Fault::denied, "it shows neither a token nor a certificate");
  const Result<Timestamp> until = co_await backend_.authenticate(who, user_name, password, certificates_der);
  if (!until) co_return fail(until.error());
  auto client = std::make_shared<Client>();
  client->who = who;
  client->client_id = who.client_id();
  client->generation_id = backend_.generation_id(who);
  client->authentication = password.empty() ? "x509" : "sas";
  client->principal = {Principal::Kind::device, client->client_id, *until};
  client->credential_name = client->client_id;
  client->credential = backend_.credential(client->client_id, password);
  if (backend_.stores_batches()) client->batcher = std::make_unique<Batcher>(*client);
  co_return client;
}

awaitable<net::MqttAccept> Gate::admit_registrant(RegistrationName name, std::string token, Bytes certificates_der, bool agrees) {
  net::MqttAccept verdict;
  if (!agrees) {
    verdict.reason = "user name and client id name different registrations";
    co_return verdict;
  }
  Result<Registrant> who = co_await registrations_->authenticate(name.id_scope, name.registration_id, token, certificates_der);
  if (!who) {
    verdict.code = refusal_code(who.error().fault);
    verdict.reason = who.error().message;
    co_return verdict;
  }
  auto client = std::make_shared<Client>();
  // No device id holds a blank: the connection of a device of that name is left alone.
  client->client_id = "registration " + who->id;
  verdict.code = mqtt::ConnectCode::accepted;
  verdict.expires_at = who->until;
  verdict.session = client->client_id;
  client->registrant = *std::move(who);
  verdict.context = std::move(client);
  co_return verdict;
}

/// A client of the open namespace only (docs/mqtt.md).
awaitable<net::MqttAccept> Gate::admit_plain(mqtt::Connect connect, Bytes certificates_der) {
  net::MqttAccept verdict;
  auto client = std::make_shared<Client>();
  client->plain = true;
  client->plain_id = connect.client_id;
  client->authentication = connect.password ? "sas" : "x509";
  if (connect.user_name) {
    const std::string user_name = *connect.user_name;
    const std::string password = connect.password.value_or(std::string());
    const Result<Principal> who = co_await backend_.authenticate_plain(user_name, password, certificates_der);
    if (!who) {
      verdict.code = refusal_code(who.error().fault);
      verdict.reason = who.error().message;
      co_return verdict;
    }
    client->principal = *who;
    client->credential_name = user_name;
    client->credential = backend_.credential(user_name, password);
    verdict.expires_at = who->until;
  } else if (!open_->allow_anonymous) {
    verdict.reason = "it shows no user name, and anonymous clients are not allowed";
    co_return verdict;
  }
  if (connect.will && !open_->rules.may_publish(client->principal, connect.will->topic)) {
    verdict.reason = "its will is for a topic it may not publish to";
    co_return verdict;
  }
  if (client->principal.kind == Principal::Kind::device) name_device(*client);
  verdict.code = mqtt::ConnectCode::accepted;
  verdict.max_qos = mqtt::QoS::exactly_once;
  verdict.session = plain_session(client->principal, connect.client_id);
  client->client_id = verdict.session;
  verdict.context = std::move(client);
  co_return verdict;
}

void Gate::name_device(Client& client) {
  auto who = device::parse_client_id(client.principal.name);
  if (!who) return;  // the backend knows it under another name: its messages carry the client id only
  client.who = *std::move(who);
  client.generation_id = backend_.generation_id(client.who);
}

}  // namespace nacelle::endpoint
