#pragma once
// TwinLink: one identity's MQTT connection to the hub, made with its own key, and its mirrored twin. $edgeHub's carries
// telemetry too. Belongs to the edge's strand. Lives on without a network: the twin on disk is used, reports wait.

#include <functional>
#include <map>
#include <memory>

#include "foundation/task_scope.h"
#include "net/mqtt/client.h"
#include "service/edge/edge_files.h"
#include "service/edge/hub_client.h"
#include "service/edge/mirrored_twin.h"

namespace nacelle::edge {

class TwinLink : public std::enable_shared_from_this<TwinLink> {
 public:
  struct Settings {
    device::IdentityName who;
    HubAddress hub;
    std::shared_ptr<net::TlsClientContext> tls;
    std::function<std::string()> key;  ///< asked at each connect, on any thread; empty: not in the scope (yet)
    std::size_t max_in_flight = 100;
    std::chrono::seconds answer_within{10};
    std::chrono::milliseconds max_back_off{5000};
  };
  /// `files` and `clock` outlive it.
  static std::shared_ptr<TwinLink> make(Executor core, Settings settings, const EdgeFiles& files, const Clock& clock);

  /// The owner must be told of these desired properties (a patch with `$version`).
  std::function<void(const json::Value& patch)> on_desired;
  std::function<void(bool connected)> on_connected;

  void start();
  awaitable<void> close();

  bool connected() const { return connected_; }
  const MirroredTwin& twin() const { return twin_; }
  /// Waits until the twin is known, at most `time`; false if it still is not.
  awaitable<bool> wait_until_known(std::chrono::steady_clock::duration time);
  /// Durable when back; told the hub when it can be.
  Result<std::int64_t> report(const json::Value& patch, std::optional<std::int64_t> base = {});

  net::MqttClient& client() { return *client_; }

 private:
  struct Answer {
    int status = 0;
    std::string version;
    std::string body;
  };
  TwinLink(Executor core, Settings settings, const EdgeFiles& files, const Clock& clock);
  static awaitable<Result<std::string>> password(std::weak_ptr<TwinLink> weak);
  void received(std::string topic, std::string payload);
  awaitable<void> run();
  awaitable<bool> synchronise();
  awaitable<bool> send_pending();
  awaitable<Result<Answer>> ask(std::string topic_without_id, Bytes body);
  void desired_patch(const json::Value& patch);
  void save();
  void wake();

  Executor core_;
  Settings settings_;
  const EdgeFiles& files_;
  const Clock& clock_;
  MirroredTwin twin_;
  bool connected_ = false;
  bool stale_ = true;  // the view must be asked for
  std::uint64_t next_id_ = 1;
  std::map<std::string, std::function<void(Result<Answer>)>> waiting_;
  asio::steady_timer wake_;
  TaskScope tasks_;
  std::unique_ptr<net::MqttClient> client_;
};

}  // namespace nacelle::edge
