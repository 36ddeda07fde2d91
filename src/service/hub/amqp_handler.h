#pragma once

#include "net/amqp/server.h"

namespace nacelle::hub {

/// A link's handler that is looked at about once a second.
class AmqpHandler : public net::AmqpLinkHandler {
 public:
  virtual void tick() {}
};

}  // namespace nacelle::hub
