#pragma once
// Workload: the API by which modules start "from environment" (wire facts 5.2): sign, certificates, trust bundle, encrypt and
// decrypt; and two extensions of ours: model artifacts by content hash, and file uploads in the edge device's name. Plain HTTP over
// unix sockets. Each module has a socket of its own in a folder of its own (0700): who connects there is that module, and asking in
// another's name is refused.

#include <functional>
#include <map>
#include <memory>

#include "net/http/server.h"
#include "service/edge/certificates.h"
#include "service/edge/scope_cache.h"
#include "storage/objects/object_store.h"

namespace nacelle::edge {

/// Artifacts by SHA-256, kept on disk, fetched from the hub once. On the edge's strand.
class ArtifactCache {
 public:
  ArtifactCache(std::unique_ptr<storage::ObjectStore> store, const HubClient& hub) : store_(std::move(store)), hub_(hub) {}
  awaitable<Result<Bytes>> get(std::string sha256_hex);

 private:
  std::unique_ptr<storage::ObjectStore> store_;
  const HubClient& hub_;
};

class Workload {
 public:
  struct Parts {
    Executor core;
    const Clock* clock = nullptr;
    ScopeCache* scope = nullptr;
    const HubClient* hub = nullptr;
    ArtifactCache* artifacts = nullptr;
    device::DeviceId edge;
    EdgeAuthority authority;
    std::function<json::Object()> modules;  ///< for GET /modules; called on the core strand
  };
  /// `folder`: EdgeFiles::socket_folder().
  Workload(Parts parts, fs::path folder) : parts_(std::move(parts)), folder_(std::move(folder)) {}

  /// The module's `IOTEDGE_WORKLOADURI`; the socket is made at the first call.
  Result<std::string> uri_for(const std::string& module);
  awaitable<void> close();

  /// One request of `module`. Public for tests.
  awaitable<net::HttpResponse> answer(std::string module, net::HttpRequest request);

 private:
  awaitable<net::HttpResponse> on_core(std::string module, net::HttpRequest request);
  awaitable<net::HttpResponse> upload(std::string module, net::HttpRequest request, bool begins);
  Result<json::Value> act(const std::string& module, const std::string& verb, const json::Value& body);
  Result<json::Value> certificate(const std::string& module, bool server, const json::Value& body);

  Parts parts_;
  fs::path folder_;
  std::map<std::string, std::unique_ptr<net::HttpServer>> servers_;
  std::map<std::string, std::string> uploads_;  // correlation id -> the module whose it is
};

}  // namespace nacelle::edge
