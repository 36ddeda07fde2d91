#pragma once
// ModuleClient: a module's connection to its edge hub: inputs, outputs and its twin. It goes on by itself through the
// edge's restarts. All calls and callbacks on the strand it was made with.

#include <functional>
#include <map>
#include <memory>

#include "domain/telemetry/message.h"
#include "foundation/clock.h"
#include "foundation/task_scope.h"
#include "net/mqtt/client.h"
#include "net/tls/context.h"
#include "service/turbofan/workload_client.h"

namespace nacelle::turbofan {

class ModuleClient : public std::enable_shared_from_this<ModuleClient> {
 public:
  struct Handlers {
    /// A message on an input. Until `done` is called the edge keeps it, and sends it again after a restart.
    std::function<void(std::string input, telemetry::Message message, std::function<void()> done)> on_input;
    /// The desired properties as they are now, at the start and after each change.
    std::function<void(const json::Value& desired)> on_desired;
  };

  /// Makes the connection; back when it stands. Waits for the edge as long as it takes; Fault::denied and invalid_input end it.
  /// `clock` outlives the client.
  static awaitable<Result<std::shared_ptr<ModuleClient>>> connect(Executor strand, ModuleEnvironment me, const Clock& clock,
                                                                  Handlers handlers);

  /// Sends `message` (its properties and body) to an output; `done` when the edge has it on disk. In order.
  void send(const std::string& output, const telemetry::Message& message, std::function<void(Result<>)> done);
  /// The same, tried again until the edge has taken it; `done` then. One that fits no
  /// packet is logged and dropped.
  void send_surely(const std::string& output, telemetry::Message message, std::function<void()> done);
  /// Reported properties: a merge patch. Kept and sent again until the edge has taken it.
  void report(const json::Value& patch);

  const WorkloadClient& workload() const { return workload_; }
  const std::shared_ptr<net::TlsClientContext>& tls() const { return tls_; }
  const ModuleEnvironment& me() const { return me_; }
  awaitable<void> close();

 private:
  ModuleClient(Executor strand, ModuleEnvironment me, const Clock& clock, Handlers handlers);
  static awaitable<Result<std::string>> token(std::weak_ptr<ModuleClient> weak);
  awaitable<Result<>> trust();
  void make_client();
  void received(std::string topic, Bytes payload, std::function<void()> done);
  void twin_answer(std::string_view tail, const Bytes& payload);
  void ask_twin();
  void send_report();

  Executor strand_;
  ModuleEnvironment me_;
  const Clock& clock_;
  Handlers handlers_;
  WorkloadClient workload_;
  std::shared_ptr<net::TlsClientContext> tls_;
  std::unique_ptr<net::MqttClient> client_;
  bool closing_ = false;
  std::uint64_t next_id_ = 1;
  std::string twin_request_;    // the id of the GET under way
  std::string report_request_;  // of the PATCH under way
  json::Value report_sent_, report_waiting_;
  json::Value desired_ = json::Object{};
};

}  // namespace nacelle::turbofan
