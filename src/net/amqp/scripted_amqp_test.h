#pragma once
// For tests: a peer that says and expects AMQP frames over an in-memory pipe. Everything of one test runs on one strand.

#include <gtest/gtest.h>

#include "foundation/task_scope.h"
#include "net/amqp/detail/unit_reader.h"
#include "net/amqp/server.h"
#include "net/socket/memory_stream.h"
#include "net/socket/runtime.h"

namespace nacelle::net::test {

using namespace std::string_literals;

enum Performative : std::uint64_t {
  amqp_open = 0x10,
  amqp_begin,
  amqp_attach,
  amqp_flow,
  amqp_transfer,
  amqp_disposition,
  amqp_detach,
  amqp_end,
  amqp_close,
  sasl_mechanisms = 0x40,
  sasl_init,
  sasl_outcome = 0x44
};

inline amqp::Value composite(std::uint64_t code, amqp::List fields) {
  return amqp::Described{std::make_shared<const amqp::Value>(code), std::make_shared<const amqp::Value>(std::move(fields))};
}
inline amqp::Value number(std::uint32_t value) { return value; }

/// A frame taken apart.
struct AmqpFrame : amqp::Frame {
  Bytes payload{};
  /// Of a detach, an end, a close, or a rejected delivery's state: the condition's name.
  std::string condition(std::size_t at) const {
    const auto* error = field(at).as<amqp::Described>();
    const auto* list = error ? error->value->as<amqp::List>() : nullptr;
    if (list && !list->empty() && list->front().as<amqp::Described>()) {
      const auto* inner = list->front().as<amqp::Described>()->value->as<amqp::List>();
      return inner && !inner->empty() ? std::string(inner->front().text()) : std::string();
    }
    return list && !list->empty() ? std::string(list->front().text()) : std::string();
  }
};

class AmqpScript {
 public:
  explicit AmqpScript(StreamPtr stream) : stream_(std::move(stream)), reader_(*stream_, 1 << 20) {}

  /// What is said goes out with the next wait for something, or now.
  awaitable<void> flush() {
    const Bytes bytes = std::exchange(said_, {});
    if (bytes.empty()) co_return;
    static_cast<void>(co_await stream_->write_all(bytes));
  }
  void raw(const Bytes& bytes) { said_ += bytes; }
  static Bytes frame(std::uint64_t code, amqp::List fields, Bytes payload = {}, std::uint16_t channel = 0) {
    Bytes body;
    amqp::encode(body, composite(code, std::move(fields)));
    body += payload;
    const std::size_t size = body.size() + 8;
    const auto byte = [](std::size_t value) { return static_cast<char>(value & 0xff); };
    return Bytes{byte(size >> 24),    byte(size >> 16), byte(size >> 8), byte(size), 2, code >= sasl_mechanisms ? char{1} : char{0},
                 byte(channel >> 8u), byte(channel)} +
           body;
  }
  void say(std::uint64_t code, amqp::List fields, Bytes payload = {}, std::uint16_t channel = 0) {
    raw(frame(code, std::move(fields), std::move(payload), channel));
  }

  /// Nothing at the connection's end. Protocol headers have the code 0.
  awaitable<std::optional<AmqpFrame>> next() {
    co_await flush();
    while (true) {
      const auto unit = reader_.next();
      EXPECT_TRUE(unit) << unit.error().message;
      if (!unit) co_return std::nullopt;
      if (*unit) {
        BytesView bytes = **unit;
        AmqpFrame found;
        if (amqp::is_protocol_header(bytes)) {
          found.payload = bytes;
          co_return found;
        }
        bytes.remove_prefix(8);
        if (bytes.empty()) {
          ++heartbeats;
          continue;
        }
        const auto read = amqp::read_frame(**unit);
        EXPECT_TRUE(read) << read.error().message;
        if (!read) co_return std::nullopt;
        static_cast<amqp::Frame&>(found) = *read;
        static_cast<void>(amqp::decode(bytes));
        found.payload = bytes;
        co_return found;
      }
      const auto filled = co_await reader_.fill();
      if (!filled) co_return std::nullopt;
    }
  }
  /// The next frame of this kind; those before it are passed over.
  awaitable<AmqpFrame> expect(std::uint64_t code) {
    while (true) {
      auto found = co_await next();
      EXPECT_TRUE(found) << "the connection ended; expected " << code;
      if (!found) co_return AmqpFrame{};
      if (found->code == code) co_return *std::move(found);
      EXPECT_NE(found->code, std::uint64_t{amqp_close}) << "closed: " << found->condition(0);
    }
  }
  /// Reads to the end; the condition of the close, if there was one.
  awaitable<std::string> end() {
    std::string condition = "-";
    while (true) {
      const auto found = co_await next();
      if (!found) co_return condition;
      if (found->code == amqp_close) condition = found->condition(0);
    }
  }

  awaitable<void> open(std::uint32_t idle_ms = 0) {
    raw("AMQP\0\1\0\0"s);
    say(amqp_open, {"test", "hub", amqp::Value(), amqp::Value(), idle_ms > 0 ? number(idle_ms) : amqp::Value()});
    co_await expect(amqp_open);
    co_await begin();
  }
  awaitable<void> begin(std::uint16_t channel = 0) {
    say(amqp_begin, {amqp::Value(), number(0), number(1000), number(1000)}, {}, channel);
    co_await expect(amqp_begin);
  }
  static amqp::List attach_fields(std::string name, std::uint32_t handle, bool receives, std::string address, std::string own = {},
                                  amqp::Map filters = {}, amqp::Map properties = {}) {
    amqp::List source{receives ? address : own};
    if (!filters.empty()) source = {address, {}, {}, {}, {}, {}, {}, amqp::Value(std::move(filters))};
    amqp::List fields{name,
                      number(handle),
                      receives,
                      {},
                      {},
                      composite(0x28, source),
                      composite(0x29, {receives ? own : address}),
                      {},
                      {},
                      receives ? amqp::Value() : number(0)};
    if (!properties.empty())
      fields.insert(fields.end(), {amqp::Value(), amqp::Value(), amqp::Value(), amqp::Value(std::move(properties))});
    return fields;
  }
  /// `attached`, or the condition it was refused with.
  awaitable<std::string> attach(std::string name, std::uint32_t handle, bool receives, std::string address, std::string own = {},
                                amqp::Map filters = {}, amqp::Map properties = {}) {
    amqp::List fields = attach_fields(name, handle, receives, address, std::move(own), std::move(filters), std::move(properties));
    say(amqp_attach, std::move(fields));
    const AmqpFrame answer = co_await expect(amqp_attach);
    // Section 2.6.3: a link without its terminus is about to be detached.
    const auto* terminus = answer.field(receives ? 5 : 6).as<amqp::Described>();
    const auto* parts = terminus ? terminus->value->as<amqp::List>() : nullptr;
    if (parts && !parts->empty() && !parts->front().is_null()) co_return "attached";
    const AmqpFrame detach = co_await expect(amqp_detach);
    amqp::List goodbye{number(handle), true};
    say(amqp_detach, std::move(goodbye));
    co_return detach.condition(2);
  }
  void flow(std::uint32_t handle, std::uint32_t credit, bool drain = false) {
    say(amqp_flow, {number(0), number(1000), number(sent_), number(1000), number(handle), number(0), number(credit), {}, drain});
  }
  void transfer(std::uint32_t handle, const amqp::Message& message, bool settled = false) {
    const std::uint32_t id = sent_++;
    say(amqp_transfer, {number(handle), number(id), amqp::Binary{std::to_string(id)}, number(0), settled},
        amqp::encode_message(message));
  }
  /// `accepted`, `rejected` with its condition, ...
  awaitable<std::string> outcome() {
    const AmqpFrame found = co_await expect(amqp_disposition);
    const auto* state = found.field(4).as<amqp::Described>();
    const std::uint64_t code = state ? *state->descriptor->as<std::uint64_t>() : 0;
    if (code == 0x24) co_return "accepted";
    if (code == 0x25) co_return "rejected " + found.condition(4);
    co_return "state " + std::to_string(code);
  }
  /// The next message, and its delivery's id.
  awaitable<std::pair<amqp::Message, std::uint32_t>> receive() {
    const AmqpFrame found = co_await expect(amqp_transfer);
    Bytes whole = found.payload;
    bool more = found.field(5) == amqp::Value(true);
    while (more) {
      const AmqpFrame next = co_await expect(amqp_transfer);
      whole += next.payload;
      more = next.field(5) == amqp::Value(true);
    }
    const auto message = amqp::decode_message(whole);
    EXPECT_TRUE(message);
    const auto* id = found.field(1).as<std::uint32_t>();
    co_return std::pair(message ? *message : amqp::Message(), id ? *id : 0);
  }
  /// `state`: 0x24 accepted, 0x25 rejected, 0x26 released, 0x27 modified.
  void dispose(std::uint32_t id, std::uint64_t state) {
    say(amqp_disposition, {true, number(id), number(id), true, composite(state, {})});
  }
  void drop() { stream_->close(); }

  std::size_t heartbeats = 0;  ///< empty frames passed over

 private:
  StreamPtr stream_;
  UnitReader reader_;
  Bytes said_;
  std::uint32_t sent_ = 0;
};

}  // namespace nacelle::net::test
