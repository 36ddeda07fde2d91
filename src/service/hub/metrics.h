#pragma once
// Metrics: what Prometheus reads from the hub, as text.

#include <string>

#include "net/amqp/server.h"
#include "net/tls/certificates.h"
#include "net/tls/context.h"
#include "service/hub/capture.h"
#include "service/hub/counters.h"
#include "service/hub/webhook.h"

namespace nacelle::hub {

struct MetricSources {
  const Counters& counters;
  const Capture& capture;
  const Webhooks& webhooks;
  const storage::EventLog& log;
  std::size_t connections = 0;  ///< MQTT
  net::AmqpCounts amqp{};
  json::Value consumer_groups;  ///< as Events::consumer_groups() has them
  const net::TlsServerContext& tls;
  std::vector<std::pair<std::string, net::CertificateFacts>> certificates;  ///< the hub's own, by name
};

/// The exposition format, version 0.0.4. Any thread.
std::string print_metrics(const MetricSources& sources);

}  // namespace nacelle::hub
