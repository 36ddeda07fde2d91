#pragma once
// The engine of a connection. Private to net/amqp.

#include <proton/connection_driver.h>

#include "net/amqp/detail/connection.h"

namespace nacelle::net {

struct ServedConnection::Engine {
  pn_connection_driver_t driver{};
  Engine() { INVARIANT(pn_connection_driver_init(&driver, nullptr, nullptr) == 0, "only memory could be missing"); }
  ~Engine() { pn_connection_driver_destroy(&driver); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
};

}  // namespace nacelle::net
