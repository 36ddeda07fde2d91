#pragma once
// The engine's values as ours. Private to net/amqp.

#include "net/amqp/server.h"

struct pn_data_t;
struct pn_link_t;

namespace nacelle::net {

/// What it holds first; null if it is empty, or no value of ours.
amqp::Value read_data(pn_data_t* data);
AmqpAttach read_attach(pn_link_t* link);

}  // namespace nacelle::net
