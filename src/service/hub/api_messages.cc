// Messages to devices: sent by services, received and settled by devices over HTTPS, feedback (wire facts 1.7, 2.7, 2.11).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "service/hub/api.h"
#include "service/hub/message_headers.h"

namespace nacelle::hub {
namespace {

net::HttpResponse settled(const Services& services, const Result<>& result) {
  if (result) return {204, {}, {}};
  if (result.error().fault == Fault::conflict) return services.error(kinds::lock_lost, result.error().message);
  return services.error(result.error());
}

/// A flag without a value, as `&reject` is.
bool has_flag(const net::HttpRequest& request, std::string_view flag) {
  const std::string_view target = request.target;
  const auto question = target.find('?');
  if (question == std::string_view::npos) return false;
  for (const std::string_view part : text::split(target.substr(question + 1), '&'))
    if (part.substr(0, part.find('=')) == flag) return true;
  return false;
}

}  // namespace

net::HttpResponse send_to_device(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  net::HttpRequest request = call.request;
  const auto receipt = services.cloud_to_device.send(call.target.device, take_message(request));
  if (!receipt) {
    const bool full = services.cloud_to_device.waiting(call.target.device) >= CloudToDevice::max_waiting;
    if (receipt.error().fault == Fault::exhausted && full) return services.error(kinds::queue_full, receipt.error().message);
    return services.error(receipt.error());
  }
  return json_answer(200, json::Object{{"messageId", receipt->message_id},
                                       {"sequenceNumber", receipt->sequence},
                                       {"expiryTimeUtc", format_iso8601(receipt->expires_at)}});
}

net::HttpResponse receive_message(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  services.registry.note_activity(call.target);
  const auto locked = services.cloud_to_device.receive(call.target.device);
  if (!locked) return services.error(locked.error());
  if (!*locked) return {204, {}, {}};
  const CloudToDevice::Locked& found = **locked;
  net::HttpResponse response = message_response(found.message);
  response.headers.set("etag", fmt::format("\"{}\"", found.lock_token));
  response.headers.set("iothub-sequencenumber", std::to_string(found.sequence));
  response.headers.set("iothub-enqueuedtime", format_iso8601(found.message.enqueued_at));
  response.headers.set("iothub-deliverycount", std::to_string(found.delivery_count));
  return response;
}

net::HttpResponse end_message(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto how = has_flag(call.request, "reject") ? CloudToDevice::Settlement::reject : CloudToDevice::Settlement::complete;
  return settled(services, services.cloud_to_device.settle(call.target.device, call.captures[0], how));
}

net::HttpResponse abandon_message(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  return settled(services,
                 services.cloud_to_device.settle(call.target.device, call.captures[0], CloudToDevice::Settlement::abandon));
}

net::HttpResponse purge_messages(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto purged = services.cloud_to_device.purge(call.target.device);
  if (!purged) return services.error(purged.error());
  return json_answer(200,
                     json::Object{{"totalMessagesPurged", *purged}, {"deviceId", call.target.device.str()}, {"moduleId", nullptr}});
}

// -- What the hub tells services: feedback, and files that came in

namespace {

std::string_view queue_of(const Call& call) {
  return call.request.path().find("/feedback") != std::string_view::npos ? ServiceQueue::feedback
                                                                         : ServiceQueue::file_notifications;
}

}  // namespace

net::HttpResponse receive_for_service(Services& services, const Call& call) {
  const auto batch = services.service_queue.receive(queue_of(call));
  if (!batch) return services.error(batch.error());
  if (!*batch) return {204, {}, {}};
  net::HttpResponse response = json_answer(200, (*batch)->records);
  response.headers.set("etag", fmt::format("\"{}\"", (*batch)->lock_token));
  return response;
}

net::HttpResponse complete_for_service(Services& services, const Call& call) {
  return settled(services, services.service_queue.complete(queue_of(call), call.captures[0]));
}

net::HttpResponse abandon_for_service(Services& services, const Call& call) {
  return settled(services, services.service_queue.abandon(queue_of(call), call.captures[0]));
}

}  // namespace nacelle::hub
