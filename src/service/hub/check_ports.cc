// The hub's ports, seen from outside.
#include <fmt/format.h>

#include "net/http/client.h"
#include "net/tls/context.h"
#include "service/endpoint/hub_client.h"
#include "service/hub/check.h"

namespace nacelle::hub {
namespace {

using State = Finding::State;

constexpr std::chrono::seconds patience{5};
constexpr const char* loopback = "127.0.0.1";

struct Port {
  const char* name;
  std::uint16_t number;
  bool tls;
};

std::string subject_of(const Port& port) { return std::string("port ") + port.name; }

/// Something answers, with TLS and a certificate of the hub's own.
awaitable<Finding> must_answer(Port port, endpoint::HubFile hub, std::shared_ptr<net::TlsClientContext> trust) {
  Finding finding{subject_of(port), State::good, fmt::format("{} answers", port.number), {}};
  const net::Endpoint at{port.tls ? hub.host : loopback, port.number, {}};  // those without TLS are on loopback only
  const std::shared_ptr<net::TlsClientContext> tls = port.tls ? trust : nullptr;
  const auto stream = co_await net::connect(at, tls, hub.host, patience);
  if (!stream) {
    finding.state = State::problem;
    finding.what = fmt::format("{} does not answer: {}", port.number, stream.error().message);
    finding.mend = "restart the hub; if it is bound to one address only (--bind), check from there; look into its log";
  }
  co_return finding;
}

/// The hub is stopped: who listens there is in its way.
awaitable<Finding> must_be_free(Port port) {
  Finding finding{subject_of(port), State::good, fmt::format("{} is free", port.number), {}};
  const net::Endpoint at{loopback, port.number, {}};
  const auto stream = co_await net::connect(at, nullptr, loopback, patience);
  if (stream) {
    finding.state = State::problem;
    finding.what = fmt::format("{} is taken by another program", port.number);
    finding.mend = fmt::format("find it with `ss -ltnp 'sport = :{}'` and end it, or give the hub another port", port.number);
  }
  co_return finding;
}

/// The whole way in: certificate, key and registry.
awaitable<Finding> must_take_calls(endpoint::HubFile hub) {
  Finding finding{"call", State::good, "the hub answers calls with the key of hub.json", {}};
  const SystemClock clock;
  auto client = endpoint::HubClient::make(hub, clock);
  Result<json::Value> answer = client ? Result<json::Value>(json::Value()) : Result<json::Value>(fail(client.error()));
  if (client) answer = co_await client->get("/statistics/devices");
  if (!answer) {
    finding.state = State::problem;
    finding.what = answer.error().message;
    finding.mend = "restart the hub: it writes hub.json again";
  }
  co_return finding;
}

}  // namespace

awaitable<Findings> check_ports(endpoint::HubFile hub, bool running) {
  Findings found;
  std::shared_ptr<net::TlsClientContext> trust;
  const auto ca = storage::read_file(storage::real_file_system(), hub.ca_path, 1_MiB);
  if (ca)
    if (auto made = net::TlsClientContext::make(*ca)) trust = *std::move(made);
  if (running && !trust) {
    found.push_back({"ports", State::problem, fmt::format("{} is no certificate to trust", hub.ca_path.string()),
                     "put back a copy of the folder certs/"});
    co_return found;
  }
  const Port ports[] = {{"mqtts", hub.mqtts, true},
                        {"amqps", hub.amqps, true},
                        {"https", hub.https, true},
                        {"metrics", hub.metrics, false},
                        {"mqtt", hub.mqtt, false}};
  for (const Port& port : ports) {
    if (port.number == 0) continue;
    Finding finding;
    if (running)
      finding = co_await must_answer(port, hub, trust);
    else
      finding = co_await must_be_free(port);
    found.push_back(std::move(finding));
  }
  if (running) {
    Finding finding = co_await must_take_calls(hub);
    found.push_back(std::move(finding));
  }
  co_return found;
}

}  // namespace nacelle::hub
