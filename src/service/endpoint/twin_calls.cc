#include "service/endpoint/twin_calls.h"

#include "foundation/log.h"

namespace nacelle::endpoint {
namespace {

/// Twin calls of one client that wait for the one before; more are answered with 429.
constexpr BoundedQueue<TwinCallPtr>::Bound twin_call_bound{100, 1_MiB};

}  // namespace

void TwinCalls::begin(const TwinCallerPtr& caller, TwinCallPtr call) {
  if (!caller->waiting) {
    const Executor strand = asio::make_strand(executor_);
    caller->waiting.emplace(strand, twin_call_bound);
    tasks_.spawn(strand, serve(caller));
  }
  const ByteCount size = call->patch ? call->patch->size() : 0;
  if (caller->waiting->push(call, size)) return;
  const Error busy{Fault::exhausted, "too many twin calls are waiting"};
  call->answer(error_answer(busy, clock_.now()));
}

void TwinCalls::end(TwinCaller& caller) {
  if (caller.waiting) caller.waiting->close();
}

awaitable<void> TwinCalls::close() { co_await tasks_.close(); }

awaitable<void> TwinCalls::serve(TwinCallerPtr caller) {
  while (true) {
    std::optional<TwinCallPtr> call = co_await caller->waiting->pop();
    if (!call) co_return;
    if ((*call)->patch)
      co_await patch(caller, *call);
    else
      co_await read(caller, *call);
  }
}

awaitable<void> TwinCalls::read(TwinCallerPtr caller, TwinCallPtr call) {
  const Result<json::Value> view = co_await backend_.get_twin(caller->who);
  call->answer(view ? view_answer(*view) : refusal(*caller, *call, view.error()));
}

awaitable<void> TwinCalls::patch(TwinCallerPtr caller, TwinCallPtr call) {
  Result<ReportedPatch> patch = read_patch(*call);
  if (!patch) {
    call->answer(refusal(*caller, *call, patch.error()));
    co_return;
  }
  const Result<ReportedAnswer> answer =
      co_await backend_.patch_reported(caller->who, std::move(patch->changes), patch->base_version);
  call->answer(answer ? accepted_answer(answer->version) : refusal(*caller, *call, answer.error()));
}

TwinAnswer TwinCalls::refusal(const TwinCaller& caller, const TwinCall& call, const Error& error) const {
  log::info("endpoint", "{}: twin {} refused: {}", caller.who.client_id(), call.patch ? "patch" : "read", error.message);
  return error_answer(error, clock_.now());
}

}  // namespace nacelle::endpoint
