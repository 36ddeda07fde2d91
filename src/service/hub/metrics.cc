#include "service/hub/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

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

}  // namespace

std::string print_metrics(const MetricSources& sources) {
  Page page;
  const Counters& counters = sources.counters;
  page.counter("nacelle_hub_messages_received_total", "Telemetry messages taken in", counters.received);
  page.counter("nacelle_hub_messages_acked_total", "Telemetry messages synced and acknowledged", counters.acked);
  page.counter("nacelle_hub_messages_refused_total", "Telemetry messages not stored: the log or the disk was full",
               counters.refused_messages);
  page.counter("nacelle_hub_refused_total", "Attempts with credentials or rights that did not hold", counters.refused_connections,
               {{"by", "mqtt"}});
  page.counter("nacelle_hub_refused_total", "", counters.refused_calls, {{"by", "https"}});
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

  const auto log = sources.log.statistics();
  page.counter("nacelle_hub_log_appended_total", "Records appended to the event log", log.appended);
  page.counter("nacelle_hub_log_syncs_total", "Group commits of the event log", log.syncs);
  page.counter("nacelle_hub_log_quarantined_segments_total", "Damaged segments put aside", log.quarantined_segments);
  page.counter("nacelle_hub_log_repaired_tails_total", "Torn segment ends cut off at opening", log.repaired_tails);

  const CaptureStatus capture = sources.capture.status();
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
  return page.print();
}

}  // namespace nacelle::hub
