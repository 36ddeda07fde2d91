#include "net/amqp/detail/connection.h"

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/connection_driver.h>
#include <proton/logger.h>
#include <proton/transport.h>

#include <algorithm>
#include <cstring>

#include "foundation/log.h"
#include "net/amqp/detail/engine.h"

namespace nacelle::net {
namespace {

/// How long a peer may take to read the last words.
constexpr std::chrono::seconds farewell{5};

}  // namespace

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

}  // namespace nacelle::net
