#pragma once
// What stands below `nacelle certs` in files of its own.

#include "app/command.h"

namespace nacelle::app {

void add_cert_authorities(CLI::App& certs, Outcome& outcome);  ///< cert_authorities.cc

}  // namespace nacelle::app
