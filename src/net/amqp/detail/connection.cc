#include "net/amqp/detail/connection.h"

#include <fmt/format.h>
#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/logger.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>

#include <algorithm>
#include <cstring>

#include "foundation/log.h"
#include "net/amqp/detail/engine_data.h"

namespace nacelle::net {
namespace {

constexpr const char* container = "nacelle";
/// How long a peer may take to read the last words.
constexpr std::chrono::seconds farewell{5};
/// What a session may have sent that no link has read: a few frames.
constexpr std::size_t session_frames = 16;

}  // namespace

struct ServedConnection::Engine {
  pn_connection_driver_t driver{};
  Engine() { INVARIANT(pn_connection_driver_init(&driver, nullptr, nullptr) == 0, "only memory could be missing"); }
  ~Engine() { pn_connection_driver_destroy(&driver); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
};

ServedConnection::ServedConnection(ServedConnectionHost& host, StreamPtr stream)
    : host_(host),
      stream_(std::move(stream)),
      executor_(stream_->executor()),
      peer_address_(stream_->peer_address()),
      certificates_(stream_->peer_certificates_der()),
      reader_(*stream_, host.limits().max_frame_bytes),
      engine_(std::make_unique<Engine>()) {
  pn_transport_t* transport = engine_->driver.transport;
  pn_transport_set_server(transport);
  pn_logger_reset_mask(pn_transport_logger(transport), PN_SUBSYSTEM_ALL, PN_LEVEL_ALL);  // what is to be said, we say
  pn_transport_set_max_frame(transport, host.limits().max_frame_bytes);
  pn_transport_set_channel_max(transport, static_cast<std::uint16_t>(host.limits().max_sessions - 1));
  const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(host.limits().idle);
  pn_transport_set_idle_timeout(transport, static_cast<pn_millis_t>(idle.count()));
  sasl_.plain = [this](const std::string& user, const std::string& password) { return peer_->authenticate(user, password); };
  offer_sasl(transport, sasl_);
}

ServedConnection::~ServedConnection() = default;

// -- From any thread

void ServedConnection::on_strand(std::function<void()> work) {
  asio::post(executor_, [weak = weak_from_this(), work = std::move(work)] {
    const auto self = weak.lock();
    if (self && !self->ended_) work();
  });
}

void ServedConnection::close(AmqpCondition why) {
  on_strand([this, why = std::move(why)] { fail_with(why); });
}

void ServedConnection::visit(std::function<void(AmqpPeer&)> visit) {
  on_strand([this, visit = std::move(visit)] {
    if (peer_) visit(*peer_);
    changed();
  });
}

void ServedConnection::tick(std::chrono::steady_clock::time_point now) {
  on_strand([this, now] {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    pn_transport_tick(engine_->driver.transport, std::max<std::int64_t>(ms, 1));
    if (peer_) peer_->tick();
    changed();
  });
}

// -- Its life

awaitable<void> ServedConnection::serve() {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto self = shared_from_this();
  peer_ = host_.make_peer(self);
  stream_->set_deadline(host_.limits().open_within);
  writer_running_ = true;
  asio::co_spawn(executor_, write_all(), [self](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    self->writer_running_ = false;
    self->writer_ended_.notify();
  });
  co_await read_all();
  finished_ = true;
  output_there_.notify();
  while (writer_running_) co_await writer_ended_.wait_for_good();
  stream_->close();
  end_links();
  co_await peer_->ended();
  ended_ = true;
  peer_.reset();
}

bool ServedConnection::has_room() const {
  return in_flight_bytes_ < limits().max_in_flight_bytes && has_output_room(0) && (in_flight_bytes_ == 0 || host_.has_room());
}

awaitable<void> ServedConnection::read_all() {
  while (!finished_) {
    if (!has_room()) {
      const bool go_on = co_await room_.wait();
      if (!go_on) break;
      continue;
    }
    const auto fed = feed();
    if (!fed) fail_with({"amqp:connection:framing-error", fed.error().message});
    pump();
    if (finished_ || failed_) break;
    const auto filled = co_await reader_.fill();
    if (filled) continue;
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none)
      fail_with({"amqp:connection:forced", "the server ends"});
    else if (filled.error().fault == Fault::timed_out && !opened_)
      fail_with({"amqp:resource-limit-exceeded", "no AMQP connection was opened in time"});
    else
      note_end(filled.error().message);
    pump();
    break;
  }
}

/// All whole frames that are there, as long as there is room for what they bring.
Result<> ServedConnection::feed() {
  while (!finished_ && !failed_) {
    TRY_LET(const auto unit, reader_.next());
    if (!unit) return {};
    push(*unit);
    pump();
  }
  return {};
}

void ServedConnection::push(BytesView unit) {
  pn_connection_driver_t* driver = &engine_->driver;
  while (!unit.empty() && !pn_connection_driver_read_closed(driver)) {
    const pn_rwbytes_t into = pn_connection_driver_read_buffer_sized(driver, unit.size());
    if (into.size == 0) return fail_with({"amqp:connection:framing-error", "a frame that the engine does not take"});
    const std::size_t count = std::min(into.size, unit.size());
    std::memcpy(into.start, unit.data(), count);
    pn_connection_driver_read_done(driver, count);
    unit.remove_prefix(count);
  }
}

/// Lets the engine say what has happened, and takes what it has to write. Not within itself.
void ServedConnection::pump() {
  if (pumping_ || ended_) return;
  pumping_ = true;
  pn_connection_driver_t* driver = &engine_->driver;
  while (true) {
    if (pn_event_t* event = pn_connection_driver_next_event(driver)) {
      handle(event);
      continue;
    }
    const std::size_t before = output_.size();
    collect_output();
    if (output_.size() == before && !pn_connection_driver_has_event(driver) && !go_on_sending()) break;
  }
  if (pn_connection_driver_write_closed(driver) && !finished_) {
    finished_ = true;
    note_end({});
  }
  if (finished_ || failed_) room_.notify();
  pumping_ = false;
  if (!output_.empty() || finished_) output_there_.notify();
  if (finished_ && !failed_) stream_->set_deadline(farewell);  // the reader ends with it
}

/// Links whose owners wanted to send more than there was room for. True: there was one.
bool ServedConnection::go_on_sending() {
  bool any = false;
  for (auto at = links_.begin(); at != links_.end();) {
    const auto link = (at++)->second;
    if (!link->was_held_back()) continue;
    link->flow();
    any = true;
  }
  return any;
}

void ServedConnection::collect_output() {
  pn_connection_driver_t* driver = &engine_->driver;
  while (output_.size() < limits().max_output_bytes) {
    const pn_bytes_t bytes = pn_connection_driver_write_buffer(driver);
    if (bytes.size == 0) return;
    output_.append(bytes.start, bytes.size);
    pn_connection_driver_write_done(driver, bytes.size);
  }
}

awaitable<void> ServedConnection::write_all() {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (true) {
    if (output_.empty()) {
      if (finished_) break;
      if (output_.capacity() > 4096) output_ = {};
      if (writing_.capacity() > 4096) writing_ = {};
      co_await output_there_.wait_for_good();
      continue;
    }
    writing_.swap(output_);
    output_.clear();
    if (finished_) stream_->set_deadline(farewell);
    const auto written = co_await stream_->write_all(writing_);
    writing_.clear();
    if (!written) {
      finished_ = true;
      break;
    }
    pump();
    room_.notify();
  }
  // The reader may wait for a peer that says nothing more: it has been told all there was.
  stream_->close();
  room_.notify();
}

// -- What links say

bool ServedConnection::has_output_room(std::size_t held) const {
  return output_.size() + writing_.size() + held < limits().max_output_bytes;
}

void ServedConnection::changed() {
  if (pumping_ || pump_posted_ || ended_) return;
  pump_posted_ = true;
  on_strand([this] {
    pump_posted_ = false;
    pump();
  });
}

void ServedConnection::received(std::size_t bytes) {
  in_flight_bytes_ += bytes;
  host_.hold(static_cast<std::int64_t>(bytes));
  host_.count_received();
}

void ServedConnection::answered(std::size_t bytes) {
  in_flight_bytes_ -= bytes;
  host_.hold(-static_cast<std::int64_t>(bytes));
  room_.notify();
}

void ServedConnection::broke_rule(AmqpCondition what) { fail_with(what); }

/// The peer is told why, and the connection ends when that is written.
void ServedConnection::fail_with(const AmqpCondition& why) {
  if (failed_ || ended_) return;
  failed_ = true;
  note_end(why.description);
  pn_connection_driver_t* driver = &engine_->driver;
  if (opened_) {
    pn_condition_t* condition = pn_connection_condition(driver->connection);
    pn_condition_set_name(condition, why.name.c_str());
    pn_condition_set_description(condition, why.description.c_str());
    pn_connection_close(driver->connection);
  } else {
    pn_connection_driver_errorf(driver, why.name.c_str(), "%s", why.description.c_str());
    pn_connection_driver_read_close(driver);
  }
  if (!pumping_) pump();
  finished_ = true;
  room_.notify();
  output_there_.notify();
}

void ServedConnection::note_end(std::string_view why) {
  if (std::exchange(logged_, true)) return;
  pn_condition_t* condition = pn_transport_condition(engine_->driver.transport);
  const char* found = pn_condition_is_set(condition) ? pn_condition_get_description(condition) : nullptr;
  std::string_view text = why.empty() && found ? std::string_view(found) : why;
  if (text.starts_with(peer_address_))
    text.remove_prefix(std::min(text.size(), peer_address_.size() + 2));  // "peer: what went wrong"
  if (!text.empty()) log::info("amqp", "{}: closing: {}", peer_address_, text);
}

void ServedConnection::end_links() {
  for (const auto& [engine, link] : std::exchange(links_, {})) {
    link->end();
    host_.count_link(-1);
  }
}

// -- What the engine says

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
