#pragma once
// What the load generator is told, and what it answers.

#include <cstdint>
#include <string>
#include <vector>

namespace load {

/// One client's CONNECT and the topic it publishes to.
struct Identity {
  std::string client_id;
  std::string user_name;  ///< empty: none, and no password
  std::string password;
  std::string topic;
};

struct Options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
  std::string ca_file;  ///< not empty: TLS, and the server's certificate must be signed by it
  std::string server_name = "localhost";
  std::size_t connections = 50;
  std::size_t window = 20;  ///< publishes of one connection not yet acknowledged
  double warm_up = 1;       ///< seconds that do not count
  double seconds = 5;
  double rate = 0;  ///< messages a second of each connection; 0: as fast as the window allows
  std::string payload;
  std::vector<Identity> identities;  ///< one a connection
};

struct Report {
  std::uint64_t acknowledged = 0;  ///< within the counted time
  double seconds = 0;
  double p50_us = 0, p99_us = 0, max_us = 0;  ///< from writing a PUBLISH to reading its PUBACK
  std::uint64_t acknowledged_in_all = 0;      ///< with the warm-up and the end: what a durable server must hold
};

/// Reads the command line; ends the program on bad usage.
Options parse(int argc, char** argv);

/// Connects all, publishes, and closes. Throws std::runtime_error for a server that misbehaves: refuses, closes, or
/// acknowledges what is not outstanding or out of order.
Report run(const Options& options);

}  // namespace load
