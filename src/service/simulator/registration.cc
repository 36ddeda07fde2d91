#include "service/simulator/registration.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "foundation/task_scope.h"

namespace nacelle::simulator {
namespace {

// Calls under way at once: each new device costs the hub a sync of its registry, which it can share among them.
constexpr std::size_t workers = 12;

/// Shared by the workers, which run on one strand; `running` is read from outside it.
struct Work {
  MakeHubClient make_client;
  std::vector<std::string> ids;
  std::string scope;
  std::size_t next = 0;
  std::atomic<std::size_t> running{0};
  std::vector<device::Identity> identities;
  std::optional<Error> failure;
};

awaitable<Result<>> register_some(std::shared_ptr<Work> work) {
  auto made = work->make_client();
  if (!made) co_return fail(std::move(made).error());
  endpoint::HubClient hub = std::move(made).value();
  while (work->next < work->ids.size() && !work->failure) {
    const std::size_t index = work->next++;
    const device::DeviceId id(work->ids[index]);
    auto identity = co_await hub.ensure_device(id, false, work->scope);
    CO_TRY(in(identity, "registering " + work->ids[index]));
    if (!work->scope.empty() && identity->scope != work->scope) {
      identity->scope = work->scope;
      const std::string path = endpoint::device_path(identity->name);
      json::Value document = device::to_json(*identity);
      const auto moved = co_await hub.put(path, std::move(document), "*");
      CO_TRY(in(moved, "giving a parent to " + work->ids[index]));
    }
    work->identities[index] = std::move(identity).value();
  }
  co_return Result<>{};
}

awaitable<void> worker(std::shared_ptr<Work> work) {
  const auto done = co_await register_some(work);
  if (!done && !work->failure) work->failure = done.error();
  --work->running;
}

awaitable<Result<std::string>> scope_of(MakeHubClient make_client, std::string parent) {
  auto made = make_client();
  if (!made) co_return fail(std::move(made).error());
  endpoint::HubClient hub = std::move(made).value();
  const std::string path = endpoint::device_path({device::DeviceId(parent), {}});
  const auto document = co_await hub.get(path);
  CO_TRY(in(document, "looking for the edge device " + parent));
  const json::Value* edge = document->at_path({"capabilities", "iotEdge"});
  const json::Value* scope = document->find("deviceScope");
  if (!edge || *edge != json::Value(true) || !scope || !scope->is_string())
    co_return fail(Fault::not_found, fmt::format("'{}' is not an edge device", parent));
  co_return scope->as_string();
}

}  // namespace

awaitable<Result<std::vector<device::Identity>>> register_devices(Executor executor, MakeHubClient make_client,
                                                                  std::vector<std::string> ids, std::string parent) {
  const auto work = std::make_shared<Work>();
  if (!parent.empty()) {
    auto scope = co_await scope_of(make_client, parent);
    CO_TRY(scope);
    work->scope = std::move(scope).value();
  }
  work->make_client = std::move(make_client);
  work->ids = std::move(ids);
  work->identities.resize(work->ids.size());
  work->running = std::min(workers, work->ids.size());
  const Executor strand = asio::make_strand(executor);
  TaskScope tasks(strand);
  for (std::size_t i = 0; i < std::min(workers, work->ids.size()); ++i) tasks.spawn(worker(work));
  bool awake = true;
  while (work->running > 0 && awake) awake = co_await sleep_for(std::chrono::milliseconds{5});
  co_await tasks.close();
  if (!awake) co_return fail(Fault::unavailable, "interrupted");
  if (work->failure) co_return fail(*work->failure);
  co_return std::move(work->identities);
}

std::string device_name(const std::string& prefix, std::int64_t number) { return fmt::format("{}{:03}", prefix, number); }

}  // namespace nacelle::simulator
