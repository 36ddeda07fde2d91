#pragma once
// Packets in and out of a stream, many at a time. Private to net/mqtt.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "codec/mqtt/packet.h"
#include "net/socket/stream.h"
#include "net/socket/wake.h"

namespace nacelle::net {

/// Whole packets from a stream: one read brings as many as there are. On the stream's strand.
class PacketReader {
 public:
  PacketReader(Stream& stream, std::size_t max_packet_bytes) : stream_(stream), max_packet_bytes_(max_packet_bytes) {}

  /// The next whole packet that has been read; nothing: fill() first. It is valid until fill().
  Result<std::optional<BytesView>> next();
  /// Waits for more bytes.
  awaitable<Result<>> fill();

 private:
  void make_room();

  Stream& stream_;
  const std::size_t max_packet_bytes_;
  std::unique_ptr<char[]> buffer_;  // grows and shrinks with the traffic, so that quiet connections stay small
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool filled_ = false;  // the last read took all the room there was
  unsigned quiet_ = 0;   // reads in a row that a small buffer would have held
};

/// Packets to a stream: what is pending leaves in one write. On the stream's strand.
class PacketWriter {
 public:
  explicit PacketWriter(Stream& stream) : stream_(stream) {}

  void set_version(mqtt::Version version) { version_ = version; }

  template <class Packet>
  void send(const Packet& packet) {
    put(packet);
    wake_.notify();
  }
  /// As send(), in two steps, for many: put() each, then push(), which writes at once what the stream takes without waiting.
  template <class Packet>
  void put(const Packet& packet) {
    mqtt::encode(pending_, packet, version_);
  }
  void push();
  /// Called once what is pending now is written, or cannot be.
  void after_write(std::function<void(Result<>)> done) { written_.push_back(std::move(done)); }
  /// Bytes pending or being written.
  std::size_t waiting() const { return pending_.size() + writing_.size(); }
  /// Called after each write; for those who wait for room.
  std::function<void()> on_progress;

  /// Writes until close() or finish(), or until the stream fails. Spawned as a coroutine of its own.
  awaitable<void> run();
  /// Closes the stream; what is pending goes out as far as it does without waiting.
  void close();
  /// run() ends when all that is pending is written.
  void finish();
  bool closed() const { return closed_ || finishing_; }

 private:
  Stream& stream_;
  mqtt::Version version_ = mqtt::Version::v3_1_1;
  Bytes pending_;
  Bytes writing_;
  std::vector<std::function<void(Result<>)>> written_;
  bool busy_ = false;  // run() is writing
  bool closed_ = false;
  bool finishing_ = false;
  Wake wake_;
};

}  // namespace nacelle::net
