#pragma once
// ServedLink: one link of a connection. Private to net/amqp.

#include <unordered_map>

#include "net/amqp/server.h"

struct pn_link_t;
struct pn_delivery_t;

namespace nacelle::net {

class ServedLink;

/// What a link needs of its connection, which outlives it as an attached one.
class ServedLinkHost {
 public:
  virtual ~ServedLinkHost() = default;
  virtual const AmqpLimits& limits() const = 0;
  virtual Executor link_executor() = 0;
  /// Whether more may be said, when the engine still holds so much of it.
  virtual bool has_output_room(std::size_t held) const = 0;
  virtual void changed() = 0;  ///< something was said to the engine
  virtual void received(std::size_t bytes) = 0;
  virtual void answered(std::size_t bytes) = 0;
  virtual void sent() = 0;
  virtual void broke_rule(AmqpCondition what) = 0;  ///< the peer: the connection ends
};

/// On the connection's strand.
class ServedLink final : public AmqpLink, public std::enable_shared_from_this<ServedLink> {
 public:
  ServedLink(ServedLinkHost& host, pn_link_t* link, AmqpAttach asked) : host_(&host), link_(link), asked_(std::move(asked)) {}

  const AmqpAttach& asked() const override { return asked_; }
  bool attached() const override { return link_ != nullptr; }
  std::size_t credit() const override;
  void send(const amqp::Message& message, Settled settled) override;
  void detach(AmqpCondition why) override;

  void set_handler(std::shared_ptr<AmqpLinkHandler> handler) { handler_ = std::move(handler); }
  pn_link_t* engine() const { return link_; }
  void open();  ///< accepts the attach
  /// A delivery has come or changed.
  void look_at(pn_delivery_t* delivery);
  void flow();  ///< the peer's credit may have changed
  /// Our bounds held the handler back, and do not any more.
  bool was_held_back();
  /// The link is over for its handler, and whoever waits for a delivery of it.
  void end();

 private:
  struct Incoming {
    pn_delivery_t* delivery;
    std::size_t bytes;
  };
  bool has_output_room() const;
  void read();
  void take_whole(pn_delivery_t* delivery);
  void answer(std::uint64_t ticket, const std::optional<AmqpCondition>& refused);
  void settle(pn_delivery_t* delivery);

  ServedLinkHost* host_;
  pn_link_t* link_;  // null once it is over
  const AmqpAttach asked_;
  std::shared_ptr<AmqpLinkHandler> handler_;
  Bytes partial_;                                         // of the delivery that is coming
  std::unordered_map<std::uint64_t, Incoming> incoming_;  // given to the handler, not answered
  std::uint64_t last_ticket_ = 0;
  std::unordered_map<pn_delivery_t*, Settled> outgoing_;  // sent, not settled
  std::uint64_t last_tag_ = 0;
  mutable bool held_back_ = false;
};

}  // namespace nacelle::net
