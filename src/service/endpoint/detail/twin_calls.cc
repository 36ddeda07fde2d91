#include "service/endpoint/detail/twin_calls.h"

#include "foundation/log.h"

namespace nacelle::endpoint {
namespace {

/// Twin calls of one client that wait for the one before; more are answered with 429.
constexpr BoundedQueue<TwinCallPtr>::Bound twin_call_bound{100, 1_MiB};

}  // namespace

void TwinCalls::begin(const ClientPtr& client, TwinCallPtr call) {
  if (!client->twin_calls) {
    const Executor strand = asio::make_strand(executor_);
    client->twin_calls.emplace(strand, twin_call_bound);
    tasks_.spawn(strand, serve(client));
  }
  const ByteCount size = call->patch ? call->patch->size() : 0;
  if (client->twin_calls->push(call, size)) return;
  const Error busy{Fault::exhausted, "too many twin calls are waiting"};
  call->answer(error_answer(busy, clock_.now()));
}

void TwinCalls::end(Client& client) {
  if (client.twin_calls) client.twin_calls->close();
}

awaitable<void> TwinCalls::close() { co_await tasks_.close(); }

awaitable<void> TwinCalls::serve(ClientPtr client) {
  while (true) {
    std::optional<TwinCallPtr> call = co_await client->twin_calls->pop();
    if (!call) co_return;
    if ((*call)->patch)
      co_await patch(client, *call);
    else
      co_await read(client, *call);
  }
}

awaitable<void> TwinCalls::read(ClientPtr client, TwinCallPtr call) {
  const Result<json::Value> view = co_await backend_.get_twin(client->who);
  call->answer(view ? view_answer(*view) : refusal(*client, *call, view.error()));
}

awaitable<void> TwinCalls::patch(ClientPtr client, TwinCallPtr call) {
  Result<ReportedPatch> patch = read_patch(*call);
  if (!patch) {
    call->answer(refusal(*client, *call, patch.error()));
    co_return;
  }
  const Result<ReportedAnswer> answer =
      co_await backend_.patch_reported(client->who, std::move(patch->changes), patch->base_version);
  call->answer(answer ? accepted_answer(answer->version) : refusal(*client, *call, answer.error()));
}

TwinAnswer TwinCalls::refusal(const Client& client, const TwinCall& call, const Error& error) const {
  log::info("endpoint", "{}: twin {} refused: {}", client.client_id, call.patch ? "patch" : "read", error.message);
  return error_answer(error, clock_.now());
}

}  // namespace nacelle::endpoint
