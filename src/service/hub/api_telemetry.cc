// Telemetry over HTTPS, one message or a batch (wire facts 2.11). 204 only after the sync.
#include <fmt/format.h>

#include <atomic>

#include "codec/text/encoding.h"
#include "service/endpoint/sender.h"
#include "service/hub/api.h"
#include "service/hub/message_headers.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view batch_type = "application/vnd.microsoft.iothub.json";
constexpr std::size_t most_in_batch = 5000;

Result<std::vector<telemetry::Message>> batch_messages(const json::Value& document) {
  if (!document.is_array() || document.as_array().empty() || document.as_array().size() > most_in_batch)
    return fail(Fault::invalid_input, fmt::format("batch: expected an array of 1 to {} messages", most_in_batch));
  std::vector<telemetry::Message> messages;
  for (const auto& item : document.as_array()) {
    const std::string where = fmt::format("batch: message {}", messages.size());
    telemetry::Message message;
    TRY_LET(const std::string body, json::get_string(item, "body", where));
    const auto base64 = item.find("base64Encoded");
    if (base64 && base64->is_bool() && !base64->as_bool()) {
      message.body = body;
    } else {
      TRY_LET(message.body, in(text::base64_decode(body), where + ": body"));
    }
    TRY_LET(const json::Object* properties, json::get_object_or_null(item, "properties", where));
    if (properties)
      for (const auto& [name, value] : *properties)
        take_property(message, name, value.is_string() ? value.as_string() : json::print(value));
    messages.push_back(std::move(message));
  }
  return messages;
}

/// Answers when the last message is durable, or refused: with the first refusal.
struct Pending {
  explicit Pending(std::size_t count, std::function<void(Result<>)> answer) : left(count), done(std::move(answer)) {}
  void one(Result<> result) {
    if (!result && !failed.exchange(true)) failure = std::move(result);  // read after `left` came to 0, which orders it
    if (left.fetch_sub(1) == 1) done(failed ? std::move(failure) : Result<>{});
  }
  std::atomic<std::size_t> left;
  std::atomic<bool> failed{false};
  Result<> failure;
  std::function<void(Result<>)> done;
};

awaitable<Result<>> store(Ingest& ingest, std::vector<telemetry::Message> messages) {
  auto start = [&ingest, messages = std::move(messages)](auto done) mutable {
    const auto pending = std::make_shared<Pending>(messages.size(), std::move(done));
    for (auto& message : messages)
      ingest.telemetry(std::move(message), [pending](Result<> result) { pending->one(std::move(result)); });
  };
  auto stored = co_await await_callback<Result<>>(std::move(start));
  co_return stored;
}

}  // namespace

awaitable<net::HttpResponse> post_telemetry(Services& services, Call call) {
  const IdentityPtr sender = services.registry.identities().find(call.target);
  if (!sender || !services.registry.identities().enabled(*sender))  // a policy's token may name anyone
    co_return services.error(kinds::device_not_found, fmt::format("'{}' is not registered, or disabled", call.target.client_id()));

  std::vector<telemetry::Message> messages;
  if (text::to_lower(call.request.headers.get("content-type")).starts_with(batch_type)) {
    const auto document = call.json();
    if (!document) co_return services.error(document.error());
    auto batch = batch_messages(*document);
    if (!batch) co_return services.error(batch.error());
    messages = std::move(*batch);
  } else {
    messages.push_back(take_message(call.request));
  }
  const Timestamp now = services.clock.now();
  const endpoint::Sender from{call.target, sender->generation_id, call.caller.certificate ? "x509" : "sas", call.caller.service};
  for (auto& message : messages) {
    if (message.size_in_bytes() > telemetry::max_message_bytes)
      co_return services.error(kinds::message_too_large, "a message may have 256 KiB, body and properties together");
    endpoint::stamp(message, from, now);
  }
  const auto stored = co_await store(services.ingest, std::move(messages));
  if (!stored) co_return services.error(kinds::unavailable, stored.error().message);
  co_return net::HttpResponse{204, {}, {}};
}

}  // namespace nacelle::hub
