#pragma once
// One MQTT connection of the load generator: its socket, TLS if wanted, and the window of publishes in flight.

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "load_options.h"

namespace load {

using Clock = std::chrono::steady_clock;

/// Latencies in microseconds, in buckets of at most 6 % width: no memory for each message.
class Histogram {
 public:
  void add(double microseconds);
  double quantile(double q) const;
  double max() const { return max_; }
  void clear() { *this = Histogram(); }

 private:
  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(512);
  std::uint64_t count_ = 0;
  double max_ = 0;
};

class Client {
 public:
  Client(const Options& options, const Identity& identity, SSL_CTX* tls);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int socket() const { return socket_; }
  /// Blocking: TCP, TLS, CONNECT, CONNACK; the socket does not block afterwards.
  void connect();
  /// Takes what has arrived; the acknowledgements in it.
  std::size_t receive(Histogram& latencies);
  /// Puts `count` publishes into the outgoing buffer.
  void publish(std::size_t count);
  /// Sends what the socket takes; false while something is left.
  bool flush();
  std::size_t in_flight() const { return in_flight_; }
  std::size_t room() const { return options_.window - in_flight_; }
  void finish();  ///< DISCONNECT

 private:
  std::ptrdiff_t read(char* data, std::size_t size);
  std::ptrdiff_t write(const char* data, std::size_t size);
  [[noreturn]] void fail(const std::string& what) const;
  void acknowledge(const unsigned char* packet, Clock::time_point now, Histogram& latencies);

  const Options& options_;
  const Identity& identity_;
  int socket_ = -1;
  SSL* ssl_ = nullptr;
  SSL_CTX* const tls_;
  std::string publish_;        // a whole PUBLISH; the packet id is patched in
  std::size_t id_at_ = 0;      // where it stands
  std::uint16_t next_id_ = 1;  // to be sent
  std::uint16_t acked_id_ = 1;
  std::size_t in_flight_ = 0;
  std::vector<Clock::time_point> sent_;  // by id, modulo its size
  std::string out_;
  std::size_t written_ = 0;  // of out_
  unsigned char partial_[4];
  std::size_t partial_size_ = 0;
};

}  // namespace load
