#pragma once
// HubMessages: what the hub itself says of its devices (twins that change, devices that come and go, connections), as messages in
// the event log, for the routes that ask for them (wire facts 5.8).

#include "foundation/snapshot.h"
#include "service/hub/counters.h"
#include "service/hub/registry.h"
#include "service/hub/routes.h"
#include "storage/log/event_log.h"

namespace nacelle::hub {

/// Belongs to the tables strand. A message is appended when its change is on disk, and only while an enabled route takes its
/// source; a kill between the two loses the message, never the change. A device's messages lie in its own partition, in order with
/// its telemetry. What the log refuses (disk full) is counted and not tried again.
class HubMessages final : public RegistryWatcher {
 public:
  /// Borrows everything; outlived by the event log last of all, whose thread calls back into the counters.
  HubMessages(const Snapshot<Routes>& routes, storage::EventLog& log, Counters& counters, const Clock& clock, std::string hub)
      : routes_(routes), log_(log), counters_(counters), clock_(clock), hub_(std::move(hub)) {}

  bool wants(telemetry::Source source) const override { return routes_.get()->take_from(source); }
  void created(const device::Identity& identity) override;
  void removed(const device::Identity& identity, const twin::Twin& last) override;
  void twin_changed(const device::IdentityName& name, const twin::Twin& before, const twin::Twin& after) override;
  void connection_changed(const device::IdentityName& name, bool connected) override;

 private:
  void tell(telemetry::Source source, const device::IdentityName& name, std::string_view operation, const json::Value& body);
  std::string next_sequence_number();

  const Snapshot<Routes>& routes_;
  storage::EventLog& log_;
  Counters& counters_;
  const Clock& clock_;
  const std::string hub_;
  std::uint64_t last_sequence_ = 0;
};

}  // namespace nacelle::hub
