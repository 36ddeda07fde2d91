#pragma once
// ServedConnection: one peer of the server, from its first byte to the end. Private to net/amqp.

#include <atomic>
#include <map>
#include <set>

#include "net/amqp/detail/link.h"
#include "net/amqp/detail/sasl.h"
#include "net/amqp/detail/unit_reader.h"
#include "net/amqp/server.h"
#include "net/socket/wake.h"

struct pn_event_t;

namespace nacelle::net {

class ServedConnection;

/// What a connection needs of its server, which outlives it. Any thread.
class ServedConnectionHost {
 public:
  virtual ~ServedConnectionHost() = default;
  virtual const AmqpLimits& limits() const = 0;
  virtual std::shared_ptr<AmqpPeer> make_peer(const AmqpConnectionPtr& connection) = 0;
  /// Bytes in flight over all connections.
  virtual bool has_room() const = 0;
  virtual void hold(std::int64_t bytes) = 0;
  virtual void count_link(int change) = 0;
  virtual void count_received() = 0;
  virtual void count_sent() = 0;
};

/// Belongs to the stream's strand; close(), executor() and post() are for any thread.
class ServedConnection final : public AmqpConnection, public ServedLinkHost, public std::enable_shared_from_this<ServedConnection> {
 public:
  ServedConnection(ServedConnectionHost& host, StreamPtr stream);
  ~ServedConnection() override;

  Executor executor() override { return executor_; }
  const std::string& peer_address() const override { return peer_address_; }
  const Bytes& peer_certificates_der() const override { return certificates_; }
  void close(AmqpCondition why) override;

  /// Serves the connection until it ends.
  awaitable<void> serve();
  /// `visit` is called soon, if the connection still lives. Any thread.
  void visit(std::function<void(AmqpPeer&)> visit);
  void tick(std::chrono::steady_clock::time_point now);  ///< Any thread

 private:
  struct Engine;

  const AmqpLimits& limits() const override { return host_.limits(); }
  Executor link_executor() override { return executor_; }
  bool has_output_room(std::size_t held) const override;
  void changed() override;
  void received(std::size_t bytes) override;
  void answered(std::size_t bytes) override;
  void sent() override { host_.count_sent(); }
  void broke_rule(AmqpCondition what) override;

  void on_strand(std::function<void()> work);
  awaitable<void> read_all();
  bool has_room() const;
  Result<> feed();
  void push(BytesView unit);
  void pump();
  bool go_on_sending();
  void collect_output();
  awaitable<void> write_all();
  void handle(pn_event_t* event);
  void on_open();
  void on_link(pn_link_t* engine);
  void on_link_closed(pn_link_t* engine, bool closed);
  void on_delivery(pn_event_t* event);
  void fail_with(const AmqpCondition& why);
  void note_end(std::string_view why);
  void end_links();

  ServedConnectionHost& host_;
  const StreamPtr stream_;
  const Executor executor_;
  const std::string peer_address_;
  const Bytes certificates_;
  UnitReader reader_;
  SaslServer sasl_;
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<AmqpPeer> peer_;
  std::map<pn_link_t*, std::shared_ptr<ServedLink>> links_;
  std::set<pn_link_t*> refused_;  // that the peer has not yet ended
  std::size_t in_flight_bytes_ = 0;
  Bytes output_;
  Bytes writing_;
  Wake output_there_;
  Wake room_;
  Wake writer_ended_;
  bool writer_running_ = false;
  bool pumping_ = false;
  bool pump_posted_ = false;
  bool opened_ = false;
  bool finished_ = false;  // nothing more is said
  bool failed_ = false;
  bool logged_ = false;
  bool ended_ = false;
};

}  // namespace nacelle::net
