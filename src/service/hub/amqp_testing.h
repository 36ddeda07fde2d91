#pragma once
// For tests: one connection of a scripted peer to the hub's AMQP, and the tokens it puts.

#include "codec/sas/token.h"
#include "net/amqp/scripted_amqp_test.h"
#include "service/hub/amqp.h"

namespace nacelle::hub::testing {

using net::test::AmqpScript;

/// A stream whose peer showed certificates.
class CertifiedStream final : public net::Stream {
 public:
  CertifiedStream(net::StreamPtr stream, Bytes der) : stream_(std::move(stream)), der_(std::move(der)) {}
  awaitable<Result<std::size_t>> read_some(char* data, std::size_t size) override { return stream_->read_some(data, size); }
  awaitable<Result<>> write_all(BytesView bytes) override { return stream_->write_all(bytes); }
  void close() override { stream_->close(); }
  void set_deadline(std::optional<std::chrono::steady_clock::duration> from_now) override { stream_->set_deadline(from_now); }
  Executor executor() override { return stream_->executor(); }
  std::string peer_address() const override { return stream_->peer_address(); }
  Bytes peer_certificates_der() const override { return der_; }

 private:
  net::StreamPtr stream_;
  Bytes der_;
};

/// Everything of it on one strand.
struct AmqpSession {
  explicit AmqpSession(const Executor& strand) : serving(strand) {}
  TaskScope serving;
  std::unique_ptr<AmqpScript> peer;
};
using AmqpSessionPtr = std::shared_ptr<AmqpSession>;

/// Opened; `der`: the certificates it shows.
inline awaitable<AmqpSessionPtr> join(Amqp& amqp, Bytes der = {}) {
  const Executor strand = co_await asio::this_coro::executor;
  auto session = std::make_shared<AmqpSession>(strand);
  auto pipe = net::make_memory_pipe(strand, 1 << 20);
  session->serving.spawn(amqp.serve(std::make_unique<CertifiedStream>(std::move(pipe.left), std::move(der))));
  session->peer = std::make_unique<AmqpScript>(std::move(pipe.right));
  co_await session->peer->open();
  co_return session;
}

inline awaitable<void> leave(AmqpSessionPtr session) {
  session->peer->drop();
  co_await session->serving.close();
}

/// The status of the answer. Without an audience, for what the token names. Takes handles 0 and 1.
inline awaitable<std::int64_t> put_token(AmqpScript& peer, std::string token, std::string audience = {}) {
  co_await peer.attach("cbs-out", 0, false, "$cbs");
  co_await peer.attach("cbs-in", 1, true, "$cbs", "cbs");
  peer.flow(1, 10);
  const auto parsed = sas::parse_token(token);
  amqp::Message request;
  request.message_id = "1";
  request.reply_to = "cbs";
  if (audience.empty()) audience = parsed ? parsed->resource : "localhost";
  request.application = {{"operation", "put-token"}, {"type", "servicebus.windows.net:sastoken"}, {"name", audience}};
  request.value = token;
  peer.transfer(0, request);
  const auto [reply, id] = co_await peer.receive();
  EXPECT_EQ(amqp::id_text(reply.correlation_id), "1");
  peer.dispose(id, 0x24);
  co_return amqp::find(reply.application, "status-code")->integer().value_or(0);
}

}  // namespace nacelle::hub::testing
