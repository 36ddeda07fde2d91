#include "service/hub/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <sstream>

namespace nacelle::hub {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Labels = std::vector<ClientMetric::Label>;

/// Families are made anew for each scrape from the hub's own counts, so that nothing is counted twice.
class Page {
 public:
  void counter(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    metric(name, help, MetricType::Counter, std::move(labels)).counter.value = value;
  }
  void gauge(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    metric(name, help, MetricType::Gauge, std::move(labels)).gauge.value = value;
  }
  /// Bounds double; `unit` is what one count is worth.
  void histogram(const std::string& name, const std::string& help, const Histogram::Reading& reading, double unit) {
    auto& out = metric(name, help, MetricType::Histogram, {}).histogram;
    double bound = unit;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i + 1 < Histogram::buckets; ++i, bound *= 2) {
      below += reading.counts[i];
      out.bucket.push_back({below, bound});
    }
    out.sample_count = reading.count();
    out.sample_sum = static_cast<double>(reading.sum) * unit;
    out.bucket.push_back({out.sample_count, std::numeric_limits<double>::infinity()});
  }
  std::string print() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  ClientMetric& metric(const std::string& name, const std::string& help, MetricType type, Labels labels) {
    if (families_.empty() || families_.back().name != name) families_.push_back({name, help, type, {}});
    ClientMetric& one = families_.back().metric.emplace_back();
    one.label = std::move(labels);
    return one;
  }
  std::vector<MetricFamily> families_;
};

void print_groups(Page& page, const json::Value& document) {
  const json::Value* groups = document.find("consumerGroups");
  if (!groups || !groups->is_array()) return;
  for (const json::Value& group : groups->as_array())
    page.gauge("nacelle_hub_events_behind", "Synced offsets a consumer group has not come to", group.find("behind")->as_number(),
               {{"group", group.find("name")->as_string()}});
}

}  // namespace

std::string print_metrics(const MetricSources& sources) {
  Page page;
  const Counters& counters = sources.counters;
  page.counter("nacelle_hub_messages_received_total", "Telemetry messages taken in", counters.received);
  page.counter("nacelle_hub_messages_acked_total", "Telemetry messages synced and acknowledged", counters.acked);
  const std::uint64_t refused = counters.refused_messages;
  const std::uint64_t full = std::min<std::uint64_t>(counters.refused_full, refused);
  page.counter("nacelle_hub_messages_refused_total", "Telemetry messages not stored, by reason", static_cast<double>(full),
               {{"reason", "full"}});
  page.counter("nacelle_hub_messages_refused_total", "", static_cast<double>(refused - full), {{"reason", "failed"}});
  page.counter("nacelle_hub_own_messages_total", "Messages of the hub itself, stored for the routes that ask for them",
               counters.hub_messages);
  page.counter("nacelle_hub_own_messages_lost_total", "Of these, not stored: the log or the disk was full",
               counters.lost_hub_messages);
  for (const auto& one : counters.refusals.readings())
    page.counter("nacelle_hub_refused_total", "Attempts with credentials or rights that did not hold",
                 static_cast<double>(one.count), {{"by", std::string(one.way)}, {"reason", std::string(one.reason)}});
  for (std::size_t i = 0; i < net::handshake_failures; ++i) {
    const auto why = static_cast<net::HandshakeFailure>(i);
    page.counter("nacelle_hub_tls_handshakes_failed_total", "Connections to the TLS ports that ended before they were secure",
                 static_cast<double>(sources.tls.failed(why)), {{"reason", std::string(net::name_of(why))}});
  }
  page.gauge("nacelle_hub_device_messages_waiting", "Messages that wait for their device",
             static_cast<double>(counters.messages_waiting));
  page.counter("nacelle_hub_device_messages_sent_total", "Messages taken for devices", counters.messages_sent);
  page.counter("nacelle_hub_device_messages_ended_total", "Messages for devices that ended", counters.messages_completed,
               {{"how", "completed"}});
  page.counter("nacelle_hub_device_messages_ended_total", "", counters.messages_dead_lettered, {{"how", "dead-lettered"}});
  page.counter("nacelle_hub_method_calls_total", "Direct methods called", counters.method_calls);
  page.counter("nacelle_hub_method_failures_total", "Direct methods the device did not answer", counters.failed_method_calls);
  page.counter("nacelle_hub_uploads_total", "Files uploaded and confirmed", counters.uploads);
  page.gauge("nacelle_hub_connections", "MQTT connections", static_cast<double>(sources.connections));
  page.gauge("nacelle_hub_amqp_connections", "AMQP connections", static_cast<double>(sources.amqp.connections));
  page.gauge("nacelle_hub_amqp_links", "Links of AMQP connections", static_cast<double>(sources.amqp.links));
  page.counter("nacelle_hub_amqp_transfers_total", "Messages over AMQP", static_cast<double>(sources.amqp.received),
               {{"direction", "in"}});
  page.counter("nacelle_hub_amqp_transfers_total", "", static_cast<double>(sources.amqp.sent), {{"direction", "out"}});

  const auto log = sources.log.statistics();
  page.counter("nacelle_hub_log_appended_total", "Records appended to the event log", log.appended);
  page.counter("nacelle_hub_log_syncs_total", "Group commits of the event log", log.syncs);
  page.histogram("nacelle_hub_log_commit_records", "Records of a group commit", log.commit_records, 1);
  page.histogram("nacelle_hub_log_sync_seconds", "Time of a group commit's fdatasync calls, side by side", log.sync_microseconds,
                 1e-6);
  page.gauge("nacelle_hub_log_waiting_bytes", "Appended and not yet synced", static_cast<double>(log.waiting_bytes));
  page.counter("nacelle_hub_log_held_total",
               "Records that had to wait, their partition being full of what captures have still to write", log.held_records);
  page.counter("nacelle_hub_log_held_seconds_total", "Time in which there were such",
               static_cast<double>(log.held_time.count()) * 1e-6);
  page.gauge("nacelle_hub_log_segments", "Segment files", static_cast<double>(log.segments));
  page.counter("nacelle_hub_log_quarantined_segments_total", "Damaged segments put aside", log.quarantined_segments);
  page.counter("nacelle_hub_log_repaired_tails_total", "Torn segment ends cut off at opening", log.repaired_tails);

  const CaptureStatus capture = sources.capture.status();
  const auto webhooks = sources.webhooks.status();
  for (const auto& route : capture.routes)
    page.counter("nacelle_hub_routed_total", "Messages a route has taken", static_cast<double>(route.captured + route.gathered),
                 {{"route", route.route}});
  for (const auto& one : webhooks)
    page.counter("nacelle_hub_routed_total", "", static_cast<double>(one.delivered), {{"route", one.route}});
  for (const auto& route : capture.routes)
    page.counter("nacelle_hub_captured_total", "Messages in complete capture files", route.captured, {{"route", route.route}});
  for (const auto& route : capture.routes)
    page.counter("nacelle_hub_capture_files_total", "Complete capture files", route.files, {{"route", route.route}});
  for (const auto& route : capture.routes)
    page.gauge("nacelle_hub_capture_pending", "Messages acknowledged and not yet in a complete file or passed over",
               static_cast<double>(route.gathered + route.behind), {{"route", route.route}});
  for (const auto& route : capture.routes)
    page.counter("nacelle_hub_capture_lost_total", "Messages that left the log before they were captured", route.lost,
                 {{"route", route.route}});
  for (const auto& route : capture.routes)
    page.gauge("nacelle_hub_capture_healthy", "1 while files can be written", route.trouble.empty() ? 1 : 0,
               {{"route", route.route}});
  for (const auto& route : capture.routes)
    page.counter("nacelle_hub_not_enriched_total", "Properties for which messages had no room",
                 static_cast<double>(route.not_enriched), {{"route", route.route}});
  for (const auto& one : webhooks)
    page.counter("nacelle_hub_not_enriched_total", "", static_cast<double>(one.not_enriched), {{"route", one.route}});
  print_groups(page, sources.consumer_groups);
  for (const auto& [name, facts] : sources.certificates)
    page.gauge("nacelle_hub_certificate_not_after_seconds", "When a certificate of the hub's own ends, in Unix time",
               static_cast<double>(unix_seconds(facts.not_after)), {{"certificate", name}});
  for (const auto& one : webhooks)
    page.counter("nacelle_hub_webhook_delivered_total", "Messages a webhook has taken", static_cast<double>(one.delivered),
                 {{"route", one.route}});
  for (const auto& one : webhooks)
    page.gauge("nacelle_hub_webhook_behind", "Synced offsets not yet delivered or passed over", static_cast<double>(one.behind),
               {{"route", one.route}});
  for (const auto& one : webhooks)
    page.counter("nacelle_hub_webhook_lost_total", "Offsets that left the log before they were delivered",
                 static_cast<double>(one.lost), {{"route", one.route}});
  for (const auto& one : webhooks)
    page.gauge("nacelle_hub_webhook_healthy", "1 healthy, 0.5 degraded, 0 dead",
               one.health == EndpointStatus::Health::healthy    ? 1
               : one.health == EndpointStatus::Health::degraded ? 0.5
                                                                : 0,
               {{"route", one.route}});
  return page.print();
}

}  // namespace nacelle::hub
