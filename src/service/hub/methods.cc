#include "service/hub/methods.h"

#include <fmt/format.h>

#include <map>

#include "foundation/random.h"

namespace nacelle::hub {
namespace {

using device::IdentityName;
using Answered = std::function<void(Result<MethodAnswer>)>;

constexpr std::size_t longest_name = 100;
constexpr std::int64_t shortest_response = 5;
constexpr std::int64_t longest_wait = 300;

Result<std::chrono::seconds> read_timeout(const json::Value& document, std::string_view key, std::int64_t fallback,
                                          std::int64_t least) {
  TRY_LET(const std::int64_t seconds, json::get_integer_or(document, key, fallback, "method call"));
  if (seconds < least || seconds > longest_wait)
    return fail(Fault::invalid_input,
                fmt::format("method call: {}: expected {} to {} seconds, found {}", key, least, longest_wait, seconds));
  return std::chrono::seconds{seconds};
}

/// One call. On the strand of State.
struct MethodCall {
  MethodCall(const Executor& strand, IdentityName name, MethodRequest wanted, Answered answer)
      : who(std::move(name)),
        request(std::move(wanted)),
        payload(json::print(request.payload)),
        done(std::move(answer)),
        timer(strand) {}
  const IdentityName who;
  const MethodRequest request;
  Bytes payload;  // until it is sent
  Answered done;
  bool sent = false;
  asio::steady_timer timer;
};
using CallPtr = std::shared_ptr<MethodCall>;

}  // namespace

Result<MethodRequest> read_method_request(const json::Value& document) {
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("method call: expected an object, found {}", json::type_name(document)));
  MethodRequest request;
  TRY_LET(request.name, json::get_string(document, "methodName", "method call"));
  // The device reads the name out of its topic, where a slash would end it.
  if (request.name.empty() || request.name.size() > longest_name || request.name.find('/') != std::string::npos)
    return fail(Fault::invalid_input,
                fmt::format("method call: methodName: expected 1 to {} characters without '/'", longest_name));
  TRY_LET(request.response_timeout, read_timeout(document, "responseTimeoutInSeconds", 30, shortest_response));
  TRY_LET(request.connect_timeout, read_timeout(document, "connectTimeoutInSeconds", 0, 0));
  if (request.connect_timeout > request.response_timeout)
    return fail(Fault::invalid_input, "method call: connectTimeoutInSeconds is longer than responseTimeoutInSeconds");
  if (const json::Value* payload = document.find("payload")) request.payload = *payload;
  if (const auto size = json::print(request.payload).size(); size > max_method_payload)
    return fail(Fault::invalid_input,
                fmt::format("method call: payload: {} bytes, at most {} are allowed", size, max_method_payload));
  return request;
}

struct Methods::State : std::enable_shared_from_this<State> {
  State(Executor executor, Send sender)
      : strand(asio::make_strand(std::move(executor))), send(std::move(sender)), last_id(secure_number()) {}

  /// Request ids begin anywhere, so that a late reply to a call before a restart answers none of ours.
  static std::uint64_t secure_number() {
    std::uint64_t number = 0;
    for (const char byte : secure_random(6)) number = number << 8 | static_cast<unsigned char>(byte);
    return number;
  }

  void begin(IdentityName who, MethodRequest request, Answered done) {
    if (closed) return done(fail(Fault::unavailable, "the hub ends"));
    auto call = std::make_shared<MethodCall>(strand, std::move(who), std::move(request), std::move(done));
    if (calls.size() >= most_waiting || waiting_bytes + call->payload.size() > most_waiting_bytes)
      return call->done(fail(Fault::exhausted, "too many method calls are waiting"));
    const std::string id = fmt::format("{:x}", ++last_id);
    calls.emplace(id, call);
    waiting_bytes += call->payload.size();
    if (try_to_send(id, *call)) return;
    if (call->request.connect_timeout.count() == 0) return finish(id, offline(*call));
    connecting.emplace(call->who, id);
    expire(id, *call, call->request.connect_timeout);
  }

  bool try_to_send(const std::string& id, MethodCall& call) {
    if (!send(call.who, call.request.name, id, call.payload)) return false;
    call.sent = true;
    expire(id, call, call.request.response_timeout);
    return true;
  }

  void expire(const std::string& id, MethodCall& call, std::chrono::milliseconds after) {
    call.timer.expires_after(after);
    call.timer.async_wait([self = shared_from_this(), id](const boost::system::error_code& cancelled) {
      if (!cancelled) self->give_up(id);
    });
  }

  void give_up(const std::string& id) {
    const auto at = calls.find(id);
    if (at == calls.end() || at->second->timer.expiry() > std::chrono::steady_clock::now()) return;
    const MethodCall& call = *at->second;
    finish(id, call.sent ? fail(Fault::timed_out, fmt::format("'{}' did not answer '{}' within {} s", call.who.client_id(),
                                                              call.request.name, seconds_of(call.request.response_timeout)))
                         : offline(call));
  }

  static double seconds_of(std::chrono::milliseconds time) { return static_cast<double>(time.count()) / 1000; }
  static Failure offline(const MethodCall& call) {
    return fail(Fault::not_found, fmt::format("'{}' is not connected and listening for methods", call.who.client_id()));
  }

  void ready(const IdentityName& who) {
    const auto [first, last] = connecting.equal_range(who);
    for (auto at = first; at != last;) {
      const auto call = calls.find(at->second);
      const bool over = call == calls.end() || try_to_send(call->first, *call->second);
      at = over ? connecting.erase(at) : std::next(at);
    }
  }

  void answered(const IdentityName& who, const std::string& id, int status, const Bytes& body) {
    const auto at = calls.find(id);
    if (at == calls.end() || !(at->second->who == who) || !at->second->sent) return;
    if (body.empty()) return finish(id, MethodAnswer{status, {}});
    auto payload = json::parse(body);
    if (payload) return finish(id, MethodAnswer{status, *std::move(payload)});
    finish(id, fail(Fault::corrupt, fmt::format("the reply of '{}' to '{}' is no JSON: {}", who.client_id(),
                                                at->second->request.name, payload.error().message)));
  }

  void finish(std::string id, Result<MethodAnswer> answer) {  // a copy: the call goes, and its key with it
    const auto at = calls.find(id);
    const CallPtr call = at->second;
    calls.erase(at);
    waiting_bytes -= call->payload.size();
    call->timer.cancel();
    const auto [first, last] = connecting.equal_range(call->who);
    for (auto one = first; one != last; ++one) {
      if (one->second != id) continue;
      connecting.erase(one);
      break;
    }
    call->done(std::move(answer));
  }

  void close() {
    closed = true;
    while (!calls.empty()) finish(calls.begin()->first, fail(Fault::unavailable, "the hub ends"));
  }

  const Executor strand;
  const Send send;
  bool closed = false;
  std::uint64_t last_id;
  std::map<std::string, CallPtr> calls;                 // by request id
  std::multimap<IdentityName, std::string> connecting;  // request ids of calls whose device is not there yet
  ByteCount waiting_bytes = 0;
};

Methods::Methods(Executor executor, Send send) : state_(std::make_shared<State>(std::move(executor), std::move(send))) {}
Methods::~Methods() = default;

awaitable<Result<MethodAnswer>> Methods::invoke(IdentityName who, MethodRequest request) {
  auto start = [state = state_, who = std::move(who), request = std::move(request)](Answered done) {
    asio::post(state->strand, [state, who, request, done = std::move(done)] { state->begin(who, request, done); });
  };
  auto answer = co_await await_callback<Result<MethodAnswer>>(std::move(start));
  co_return answer;
}

void Methods::answered(const IdentityName& who, const std::string& request_id, int status, Bytes body) {
  asio::post(state_->strand,
             [state = state_, who, request_id, status, body = std::move(body)] { state->answered(who, request_id, status, body); });
}

void Methods::ready(const IdentityName& who) {
  asio::post(state_->strand, [state = state_, who] { state->ready(who); });
}

awaitable<void> Methods::close() {
  auto start = [state = state_](std::function<void(bool)> done) {
    asio::post(state->strand, [state, done = std::move(done)] {
      state->close();
      done(true);
    });
  };
  co_await await_callback<bool>(std::move(start));
}

}  // namespace nacelle::hub
