#include "service/hub/amqp_client.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/hub/amqp_messages.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view cbs = "$cbs";
constexpr std::string_view management = "$management";
constexpr std::string_view token_type = "servicebus.windows.net:sastoken";
/// A connection that has proved nothing by then is ended.
constexpr std::chrono::seconds prove_within{60};
constexpr std::size_t longest_logged = 200;

/// Clients write `amqps://HUB/messages/..`, `/messages/..` and `messages/..`.
std::string path_of(const std::string& address) {
  const bool with_host = address.find("://") != std::string::npos;
  return split_audience(with_host || address.starts_with('/') ? address : "/" + address).path;
}

}  // namespace

/// Where tokens are put.
class AmqpClient::CbsLink final : public AmqpHandler {
 public:
  explicit CbsLink(AmqpClient& client) : client_(client) {}
  void transfer(amqp::Message message, Done done) override {
    done(std::nullopt);
    client_.put_token(message);
  }

 private:
  AmqpClient& client_;  // ends its links before itself
};

/// Requests about the log.
class AmqpClient::ManagementLink final : public AmqpHandler {
 public:
  explicit ManagementLink(AmqpClient& client) : client_(client) {}
  void transfer(amqp::Message message, Done done) override {
    done(std::nullopt);
    client_.tasks_.spawn(client_.answer_request(std::move(message)));
  }

 private:
  AmqpClient& client_;
};

AmqpClient::AmqpClient(Services& services, AmqpEvents& events, endpoint::TwinCalls& twin_calls, net::AmqpConnectionPtr connection)
    : services_(services),
      events_(events),
      twin_calls_(twin_calls),
      connection_(std::move(connection)),
      claims_(services.access, services.clock),
      since_(services.clock.now()),
      tasks_(connection_->executor()) {}

/// `{policy}@sas.root.{hub}` or `{device}@sas.{hub}`, with a token (wire facts 7.1). The hub's name is cut short there.
Result<> AmqpClient::authenticate(const std::string& user, const std::string& password) {
  const auto at = user.rfind("@sas.");
  Result<> put = fail(Fault::denied, "the user name is neither a device's id nor that of a shared access policy, with '@sas.'");
  if (at != std::string::npos) {
    const bool policy = std::string_view(user).substr(at).starts_with("@sas.root.");
    const std::string device = policy ? std::string() : "/devices/" + text::percent_encode(user.substr(0, at));
    put = claims_.put(services_.host + device, password);
  }
  if (!put) refuse("SASL PLAIN", put.error());
  return put;
}

net::AmqpAttached AmqpClient::attach(const net::AmqpLinkPtr& link) {
  const net::AmqpAttach& asked = link->asked();
  const std::string path = path_of(asked.address);
  if (path == cbs) {  // whoever may: nothing is proved yet
    if (asked.from_peer) return std::make_shared<CbsLink>(*this);
    return std::shared_ptr<net::AmqpLinkHandler>(make_reply_link(cbs, link));
  }
  const auto place = place_of(path, asked.from_peer);
  if (!place) return condition_of(place.error());
  if (const auto may = may_attach(*place); !may) {
    refuse(fmt::format("a link to {}", asked.address.substr(0, longest_logged)), may.error());
    return net::AmqpCondition{conditions::unauthorized, may.error().message};
  }
  const auto handler = place->make(link);
  if (!handler) return condition_of(handler.error());
  std::erase_if(links_, [](const Held& held) { return held.link.expired(); });
  links_.push_back({link, *handler, asked.address, place->need, place->target});
  return std::shared_ptr<net::AmqpLinkHandler>(*handler);
}

/// A device's certificate is looked at for each link anew: the registry may have changed since the last one.
Result<> AmqpClient::may_attach(const Place& place) {
  Result<> shown;
  if (place.need == Need::identity && !connection_->peer_certificates_der().empty())
    shown = claims_.show(place.target, connection_->peer_certificates_der());
  auto may = claims_.check(place.need, place.target);
  return may || shown ? std::move(may) : std::move(shown);
}

Result<AmqpClient::Place> AmqpClient::place_of(const std::string& address, bool from_peer) {
  const std::string path = text::to_lower(address);
  const auto queue = [this](std::string_view name, bool together) {
    return Place{Need::service, {}, [this, name, together](const net::AmqpLinkPtr& link) {
                   return std::shared_ptr<AmqpHandler>(
                       std::make_shared<ServiceQueueLink>(services_, tasks_, link, std::string(name), together));
                 }};
  };
  if (from_peer && path == "messages/devicebound")
    return Place{Need::service, {}, [this](const net::AmqpLinkPtr&) {
                   return std::shared_ptr<AmqpHandler>(std::make_shared<DeviceboundLink>(services_, tasks_));
                 }};
  if (!from_peer && path == "messages/servicebound/feedback") return queue(ServiceQueue::feedback, true);
  const bool files = path == "messages/servicebound/filenotifications" || path == "messages/servicebound/fileuploadnotifications";
  if (!from_peer && files) return queue(ServiceQueue::file_notifications, false);
  if (auto place = device_place_of(address, from_peer)) return *std::move(place);
  return event_place_of(address, from_peer);
}

/// `ENTITY/$management` and `ENTITY/ConsumerGroups/G/Partitions/N`. The entity is the hub, by its name or the name's first label.
Result<AmqpClient::Place> AmqpClient::event_place_of(const std::string& address, bool from_peer) {
  const Error unknown{Fault::not_found, fmt::format("the hub has nothing to {} there", from_peer ? "send to" : "receive")};
  const auto parts = text::split(address, '/');
  const auto is_entity = [&](std::size_t count) {
    if (count == 0) return true;
    const std::string& host = services_.host;
    const bool named = count == 1 && (services_.access.is_hub_name(parts[0]) ||
                                      text::equal_ignoring_case(parts[0], std::string_view(host).substr(0, host.find('.'))));
    const bool old = count == 2 && text::equal_ignoring_case(address.substr(0, address.find('/', 9)), "messages/events");
    return named || old;
  };
  if (text::equal_ignoring_case(parts.back(), management) && is_entity(parts.size() - 1)) {
    return Place{Need::service, {}, [this, from_peer](const net::AmqpLinkPtr& link) -> Result<std::shared_ptr<AmqpHandler>> {
                   if (from_peer) return std::shared_ptr<AmqpHandler>(std::make_shared<ManagementLink>(*this));
                   return std::shared_ptr<AmqpHandler>(make_reply_link(management, link));
                 }};
  }
  const std::size_t size = parts.size();
  const bool partition = !from_peer && size >= 4 && text::equal_ignoring_case(parts[size - 4], "consumergroups") &&
                         text::equal_ignoring_case(parts[size - 2], "partitions") && is_entity(size - 4);
  if (!partition) return fail(unknown);
  const auto number = text::parse_integer(parts[size - 1], "partition");
  const std::string_view group = parts[size - 3];
  constexpr std::size_t longest_group = 128;
  if (!number || *number < 0 || *number >= std::int64_t{events_.log.partitions()} || group.empty() || group.size() > longest_group)
    return fail(Fault::not_found, fmt::format("expected a consumer group and one of {} partitions", events_.log.partitions()));
  return partition_place(static_cast<storage::Partition>(*number), std::string(group));
}

AmqpClient::Place AmqpClient::partition_place(storage::Partition partition, std::string group) {
  auto make = [this, partition, group = std::move(group)](const net::AmqpLinkPtr& link) -> Result<std::shared_ptr<AmqpHandler>> {
    const net::AmqpAttach& asked = link->asked();
    TRY_LET(const EventSelector from, EventSelector::of(asked.filters));
    const amqp::Value* epoch = amqp::find(asked.properties, "com.microsoft:epoch");
    TRY(events_.epochs.enter(fmt::format("{}/{}", text::to_lower(group), partition), epoch ? epoch->integer() : std::nullopt, link,
                             connection_->executor()));
    return std::shared_ptr<AmqpHandler>(std::make_shared<PartitionLink>(events_, tasks_, link, partition, from));
  };
  return Place{Need::service, {}, std::move(make)};
}

std::shared_ptr<ReplyLink> AmqpClient::make_reply_link(std::string_view node, const net::AmqpLinkPtr& link) {
  auto reply = std::make_shared<ReplyLink>(link);
  std::erase_if(replies_, [](const auto& each) { return each.second.expired(); });
  replies_[{std::string(node), link->asked().peer_address}] = reply;
  return reply;
}

awaitable<void> AmqpClient::answer_request(amqp::Message request) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const std::string reply_to = request.reply_to;
  auto work = [&events = events_, request = std::move(request)] { return answer_management(events, request); };
  auto reply = co_await run_on(events_.disk.files(), work);
  answer(std::string(management), reply_to, std::move(reply));
}

void AmqpClient::put_token(const amqp::Message& request) {
  const std::string audience(amqp::text_at(request.application, "name"));
  const std::string_view type = amqp::text_at(request.application, "type");
  const std::string token = request.value.is_null() ? request.data : text_of(request.value).value_or("");
  Result<> put = fail(Fault::denied, "a token that is not a shared access signature: its type is another");
  if (amqp::text_at(request.application, "operation") != "put-token")
    put = fail(Fault::invalid_input, "the operation: expected put-token");
  else if (type == token_type)
    put = claims_.put(audience, token);
  if (!put) refuse(fmt::format("a token for {}", audience.substr(0, longest_logged)), put.error());
  amqp::Message reply;
  reply.correlation_id = request.message_id;
  const std::int32_t status = put ? 200 : put.error().fault == Fault::invalid_input ? 400 : 401;
  reply.application = {{"status-code", status}, {"status-description", put ? std::string("OK") : put.error().message}};
  answer(std::string(cbs), request.reply_to, std::move(reply));
  if (put) return;
  recheck();  // what was proved before may have lapsed meanwhile
}

/// On the link the request named, or on the only one there can be.
void AmqpClient::answer(const std::string& node, const std::string& reply_to, amqp::Message reply) {
  std::shared_ptr<ReplyLink> to;
  for (const auto& [key, held] : replies_) {
    const auto link = held.lock();
    if (key.first != node || !link) continue;
    if (!to || key.second == reply_to) to = link;
  }
  if (to) to->send(std::move(reply));
}

void AmqpClient::refuse(std::string_view what, const Error& why) {
  services_.counters.refusals.count(Way::amqp, why);
  log::warn("hub", "refused {} over AMQP from {}: {}", what, connection_->peer_address(), why.message);
}

void AmqpClient::tick() {
  recheck();
  for (const Held& held : std::vector<Held>(links_))
    if (const auto handler = held.handler.lock()) handler->tick();
  if (claims_.empty() && links_.empty() && services_.clock.now() - since_ >= prove_within)
    connection_->close({conditions::unauthorized, "no token was put in time"});
}

void AmqpClient::recheck() {
  std::erase_if(links_, [](const Held& held) { return held.link.expired() || !held.link.lock()->attached(); });
  for (const Held& held : std::vector<Held>(links_)) {
    const auto link = held.link.lock();
    const auto may = claims_.check(held.need, held.target);
    if (may || !link) continue;
    log::info("hub", "AMQP {}: the link to {} ends: {}", connection_->peer_address(), held.address.substr(0, longest_logged),
              may.error().message);
    link->detach({conditions::unauthorized, may.error().message});
  }
}

}  // namespace nacelle::hub
