// What the engine says has happened.
#include <fmt/format.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/session.h>

#include "net/amqp/detail/engine.h"
#include "net/amqp/detail/engine_data.h"

namespace nacelle::net {
namespace {

constexpr const char* container = "nacelle";
/// What a session may have sent that no link has read: a few frames.
constexpr std::size_t session_frames = 16;

}  // namespace

void ServedConnection::handle(pn_event_t* event) {
  switch (pn_event_type(event)) {
    case PN_CONNECTION_REMOTE_OPEN: return on_open();
    case PN_CONNECTION_REMOTE_CLOSE:
      logged_ = true;  // it leaves as it should
      return pn_connection_close(pn_event_connection(event));
    case PN_SESSION_REMOTE_OPEN: {
      pn_session_t* session = pn_event_session(event);
      pn_session_set_incoming_capacity(session, session_frames * limits().max_frame_bytes);
      return pn_session_open(session);
    }
    case PN_SESSION_REMOTE_CLOSE: {
      pn_session_t* session = pn_event_session(event);
      for (auto at = links_.begin(); at != links_.end();) {
        const auto [engine, link] = *at++;
        if (pn_link_session(engine) == session) on_link_closed(engine, true);
      }
      std::erase_if(refused_, [session](pn_link_t* engine) { return pn_link_session(engine) == session; });
      pn_session_close(session);
      return pn_session_free(session);
    }
    case PN_LINK_REMOTE_OPEN: return on_link(pn_event_link(event));
    case PN_LINK_REMOTE_CLOSE: return on_link_closed(pn_event_link(event), true);
    case PN_LINK_REMOTE_DETACH: return on_link_closed(pn_event_link(event), false);
    case PN_LINK_FLOW: {
      const auto at = links_.find(pn_event_link(event));
      if (at == links_.end()) return;
      const auto link = at->second;
      return link->flow();
    }
    case PN_DELIVERY: return on_delivery(event);
    default: return;
  }
}

void ServedConnection::on_open() {
  pn_connection_t* connection = engine_->driver.connection;
  opened_ = true;
  stream_->set_deadline(std::nullopt);  // from now on silence is the engine's to judge
  pn_connection_set_container(connection, container);
  const char* hostname = pn_connection_remote_hostname(connection);
  const char* name = pn_connection_remote_container(connection);
  peer_->opened(hostname ? hostname : "", name ? name : "");
  pn_connection_open(connection);
}

void ServedConnection::on_link(pn_link_t* engine) {
  if (links_.contains(engine)) return;
  const bool full = links_.size() >= limits().max_links;
  if (refused_.size() > limits().max_links)
    return fail_with({"amqp:resource-limit-exceeded", "more links than a connection may have"});
  const auto link = std::make_shared<ServedLink>(*this, engine, read_attach(engine));
  AmqpAttached attached = full ? AmqpAttached(AmqpCondition{"amqp:resource-limit-exceeded",
                                                            fmt::format("a connection has at most {} links", limits().max_links)})
                               : peer_->attach(link);
  if (failed_) return;
  if (auto* refused = std::get_if<AmqpCondition>(&attached)) {
    refused_.insert(engine);
    pn_link_open(engine);  // section 2.6.3: without source and target, then detached with the reason
    link->detach(std::move(*refused));
    return;
  }
  link->set_handler(std::get<std::shared_ptr<AmqpLinkHandler>>(std::move(attached)));
  links_.emplace(engine, link);
  host_.count_link(1);
  link->open();
}

void ServedConnection::on_link_closed(pn_link_t* engine, bool closed) {
  const auto at = links_.find(engine);
  if (at != links_.end()) {
    const auto link = at->second;
    links_.erase(at);
    host_.count_link(-1);
    link->end();
  }
  refused_.erase(engine);
  if (closed)
    pn_link_close(engine);
  else
    pn_link_detach(engine);
  pn_link_free(engine);
}

void ServedConnection::on_delivery(pn_event_t* event) {
  pn_link_t* engine = pn_event_link(event);
  const auto at = links_.find(engine);
  if (at != links_.end() && at->second->attached()) {
    const auto link = at->second;
    return link->look_at(pn_event_delivery(event));
  }
  // Sent before the peer knew that the link is over.
  while (pn_delivery_t* left = pn_link_is_receiver(engine) ? pn_link_current(engine) : nullptr) {
    if (pn_delivery_partial(left) && !pn_delivery_aborted(left)) {
      char ignored[1024];
      while (pn_link_recv(engine, ignored, sizeof ignored) > 0) continue;
      return;
    }
    pn_link_advance(engine);
    pn_delivery_settle(left);
  }
}

}  // namespace nacelle::net
