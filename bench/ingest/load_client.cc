#include "load_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace load {
namespace {

constexpr std::size_t sub_buckets = 16;

std::size_t bucket_of(std::uint64_t value) {
  if (value < sub_buckets) return value;
  const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 5;
  return std::min<std::size_t>(511, (shift + 1) * sub_buckets + ((value >> shift) - sub_buckets));
}

double bucket_end(std::size_t bucket) {
  if (bucket < sub_buckets) return static_cast<double>(bucket + 1);
  return std::ldexp(static_cast<double>(bucket % sub_buckets + sub_buckets + 1), static_cast<int>(bucket / sub_buckets) - 1);
}

void put_text(std::string& out, const std::string& text) {
  out += static_cast<char>(text.size() >> 8);
  out += static_cast<char>(text.size() & 0xff);
  out += text;
}

/// A packet of MQTT 3.1.1 section 2: type and flags, remaining length, body.
std::string packet(unsigned char type, const std::string& body) {
  std::string out(1, static_cast<char>(type));
  std::size_t left = body.size();
  do {
    out += static_cast<char>((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return out + body;
}

std::string connect_packet(const Identity& identity) {
  std::string body;
  put_text(body, "MQTT");
  body += static_cast<char>(4);
  body += static_cast<char>(identity.user_name.empty() ? 0x02 : 0xc2);  // clean session, user name and password
  body += std::string("\x02\x58", 2);                                   // keep alive: 600 s
  put_text(body, identity.client_id);
  if (!identity.user_name.empty()) {
    put_text(body, identity.user_name);
    put_text(body, identity.password);
  }
  return packet(0x10, body);
}

}  // namespace

void Histogram::add(double microseconds) {
  ++buckets_[bucket_of(static_cast<std::uint64_t>(microseconds))];
  ++count_;
  max_ = std::max(max_, microseconds);
}

double Histogram::quantile(double q) const {
  const auto wanted = static_cast<std::uint64_t>(q * static_cast<double>(count_));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i)
    if ((seen += buckets_[i]) > wanted) return std::min(bucket_end(i), max_);
  return max_;
}

Client::Client(const Options& options, const Identity& identity, SSL_CTX* tls)
    : options_(options), identity_(identity), tls_(tls), sent_(std::bit_ceil(options.window)) {
  std::string body;
  put_text(body, identity.topic);
  const std::size_t id_in_body = body.size();
  body += std::string(2, '\0') + options.payload;
  publish_ = packet(0x32, body);
  id_at_ = publish_.size() - body.size() + id_in_body;
}

Client::~Client() {
  SSL_free(ssl_);
  if (socket_ >= 0) ::close(socket_);
}

void Client::fail(const std::string& what) const { throw std::runtime_error(identity_.client_id + ": " + what); }

void Client::connect() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  if (::inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr) != 1) fail("--host: expected an IPv4 address");
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail(std::strerror(errno));
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls_ != nullptr) {
    ssl_ = SSL_new(tls_);
    SSL_set_fd(ssl_, socket_);
    SSL_set1_host(ssl_, options_.server_name.c_str());
    SSL_set_tlsext_host_name(ssl_, options_.server_name.c_str());
    if (SSL_connect(ssl_) != 1) fail("TLS: " + std::string(ERR_reason_error_string(ERR_get_error())));
  }
  const std::string hello = connect_packet(identity_);
  if (write(hello.data(), hello.size()) != static_cast<std::ptrdiff_t>(hello.size())) fail("CONNECT was not sent");
  unsigned char answer[4];
  for (std::size_t got = 0; got < sizeof answer;) {
    const auto count = read(reinterpret_cast<char*>(answer) + got, sizeof answer - got);
    if (count <= 0) fail("closed before CONNACK");
    got += static_cast<std::size_t>(count);
  }
  if (answer[0] != 0x20 || answer[3] != 0) fail("refused, code " + std::to_string(answer[3]));
  ::fcntl(socket_, F_SETFL, ::fcntl(socket_, F_GETFL) | O_NONBLOCK);
}

/// As ::read: -1 for "nothing now".
std::ptrdiff_t Client::read(char* data, std::size_t size) {
  if (ssl_ == nullptr) {
    const auto count = ::recv(socket_, data, size, 0);
    if (count == 0) fail("the server closed the connection");
    if (count < 0 && errno != EAGAIN && errno != EINTR) fail(std::strerror(errno));
    return count;
  }
  std::size_t count = 0;
  ERR_clear_error();
  if (SSL_read_ex(ssl_, data, size, &count) == 1) return static_cast<std::ptrdiff_t>(count);
  if (SSL_get_error(ssl_, 0) != SSL_ERROR_WANT_READ) fail("the server closed the connection");
  return -1;
}

std::ptrdiff_t Client::write(const char* data, std::size_t size) {
  if (ssl_ == nullptr) {
    const auto count = ::send(socket_, data, size, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR) fail(std::strerror(errno));
    return count;
  }
  std::size_t count = 0;
  ERR_clear_error();
  if (SSL_write_ex(ssl_, data, size, &count) == 1) return static_cast<std::ptrdiff_t>(count);
  if (SSL_get_error(ssl_, 0) != SSL_ERROR_WANT_WRITE) fail("writing failed");
  return -1;
}

void Client::acknowledge(const unsigned char* packet, Clock::time_point now, Histogram& latencies) {
  if (packet[0] != 0x40 || packet[1] != 2) fail("expected PUBACK, found packet type " + std::to_string(packet[0] >> 4));
  const auto id = static_cast<std::uint16_t>(packet[2] << 8 | packet[3]);
  if (in_flight_ == 0 || id != acked_id_)
    fail("PUBACK out of order: wanted " + std::to_string(acked_id_) + ", found " + std::to_string(id));
  latencies.add(std::chrono::duration<double, std::micro>(now - sent_[id & (sent_.size() - 1)]).count());
  acked_id_ = static_cast<std::uint16_t>(acked_id_ == 65535 ? 1 : acked_id_ + 1);
  --in_flight_;
}

std::size_t Client::receive(Histogram& latencies) {
  std::size_t acknowledged = 0;
  unsigned char buffer[4096];
  while (true) {
    std::memcpy(buffer, partial_, partial_size_);
    const auto count = read(reinterpret_cast<char*>(buffer) + partial_size_, sizeof buffer - partial_size_);
    if (count <= 0) return acknowledged;
    const auto now = Clock::now();
    const std::size_t size = partial_size_ + static_cast<std::size_t>(count);
    std::size_t at = 0;
    for (; size - at >= 4; at += 4, ++acknowledged) acknowledge(buffer + at, now, latencies);
    partial_size_ = size - at;
    std::memcpy(partial_, buffer + at, partial_size_);
    if (ssl_ == nullptr && size < sizeof buffer) return acknowledged;
  }
}

void Client::publish(std::size_t count) {
  const auto now = Clock::now();
  for (; count > 0; --count) {
    publish_[id_at_] = static_cast<char>(next_id_ >> 8);
    publish_[id_at_ + 1] = static_cast<char>(next_id_ & 0xff);
    sent_[next_id_ & (sent_.size() - 1)] = now;
    out_ += publish_;
    next_id_ = static_cast<std::uint16_t>(next_id_ == 65535 ? 1 : next_id_ + 1);
    ++in_flight_;
  }
}

bool Client::flush() {
  while (written_ < out_.size()) {
    // A TLS write that could not be finished is repeated with the same bytes: OpenSSL asks for that.
    const std::size_t piece = ssl_ != nullptr ? std::min<std::size_t>(out_.size() - written_, 16 * 1024) : out_.size() - written_;
    const auto count = write(out_.data() + written_, piece);
    if (count <= 0) return false;
    written_ += static_cast<std::size_t>(count);
  }
  out_.clear();
  written_ = 0;
  return true;
}

void Client::finish() {
  const char goodbye[] = {static_cast<char>(0xe0), 0};
  write(goodbye, sizeof goodbye);
}

}  // namespace load
