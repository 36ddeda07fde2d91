// Opens many TLS connections, so many at a time, keeps them all, and says how long that took. With --identities each goes on to an
// MQTT 3.1.1 CONNECT and counts when its CONNACK says 0; without, when its handshake is done. No session is resumed.
//
//   tls_storm --port N --ca FILE [--connections 1000] [--at-once 64] [--identities FILE] [--hold]
//
// Prints one line of JSON: connections, seconds, per_second. --hold: then waits for the end of standard input.

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace {

struct Options {
  std::uint16_t port = 0;
  std::string ca, identities;
  std::size_t connections = 1000, at_once = 64;
  bool hold = false;
};

void put_text(std::string& out, const std::string& text) {
  out += static_cast<char>(text.size() >> 8);
  out += static_cast<char>(text.size() & 0xff);
  out += text;
}

/// MQTT 3.1.1, section 3.1: clean session, user name and password, keep alive of 20 minutes.
std::string connect_packet(const std::string& client_id, const std::string& user_name, const std::string& password) {
  std::string body;
  put_text(body, "MQTT");
  body += std::string("\x04\xc2\x04\xb0", 4);
  put_text(body, client_id);
  put_text(body, user_name);
  put_text(body, password);
  std::string out("\x10");
  std::size_t left = body.size();
  do {
    out += static_cast<char>((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return out + body;
}

/// Lines of client id, user name, password, topic.
std::vector<std::string> connect_packets(const std::string& path) {
  std::vector<std::string> packets;
  std::ifstream file(path);
  for (std::string line, id, user, password; std::getline(file, line);) {
    std::istringstream fields(line);
    std::getline(fields, id, '\t');
    std::getline(fields, user, '\t');
    std::getline(fields, password, '\t');
    packets.push_back(connect_packet(id, user, password));
  }
  return packets;
}

using Ssl = std::unique_ptr<SSL, decltype(&SSL_free)>;

class Connection {
 public:
  Connection(SSL_CTX* context, const Options& options, int epoll, std::uint32_t index) : ssl_(SSL_new(context), SSL_free) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) throw std::runtime_error(fmt::format("no socket: {}", std::strerror(errno)));
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(options.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
      throw std::runtime_error(fmt::format("connecting: {}", std::strerror(errno)));
    SSL_set_fd(ssl_.get(), socket_);
    SSL_set_tlsext_host_name(ssl_.get(), "localhost");
    SSL_set1_host(ssl_.get(), "localhost");
    SSL_set_connect_state(ssl_.get());
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u32 = index;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, socket_, &event);
  }
  ~Connection() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// As far as it goes without waiting; true once it has arrived.
  bool advance(const std::string* connect) {
    if (arrived_) return false;
    if (!shaken_) {
      const int done = SSL_do_handshake(ssl_.get());
      if (done != 1) return wait_or_fail(done, "handshake");
      shaken_ = true;
      if (!connect) return arrived_ = true;
      if (SSL_write(ssl_.get(), connect->data(), static_cast<int>(connect->size())) <= 0)
        throw std::runtime_error("CONNECT was not taken whole");
    }
    unsigned char answer[4];
    const int got = SSL_read(ssl_.get(), answer, sizeof answer);
    if (got <= 0) return wait_or_fail(got, "CONNACK");
    if (got != 4 || answer[0] != 0x20 || answer[3] != 0) throw std::runtime_error(fmt::format("refused: code {}", answer[3]));
    return arrived_ = true;
  }

 private:
  bool wait_or_fail(int result, const char* what) {
    const int reason = SSL_get_error(ssl_.get(), result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return false;
    // Not connected yet reads as an error of the socket.
    if (reason == SSL_ERROR_SYSCALL && (errno == ENOTCONN || errno == EAGAIN)) return false;
    const char* why = ERR_reason_error_string(ERR_peek_error());
    throw std::runtime_error(fmt::format("{}: {}", what, why ? why : "the peer has gone"));
  }
  Ssl ssl_;
  int socket_ = -1;
  bool shaken_ = false, arrived_ = false;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app("Opens many TLS connections and says how long it took");
  app.add_option("--port", options.port)->required();
  app.add_option("--ca", options.ca)->required();
  app.add_option("--connections", options.connections)->capture_default_str();
  app.add_option("--at-once", options.at_once)->capture_default_str();
  app.add_option("--identities", options.identities);
  app.add_flag("--hold", options.hold);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  return options;
}

void run(const Options& options) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_load_verify_locations(context.get(), options.ca.c_str(), nullptr) != 1)
    throw std::runtime_error(options.ca + ": no certificates");
  std::vector<std::string> packets;
  if (!options.identities.empty()) packets = connect_packets(options.identities);
  if (!options.identities.empty() && packets.size() < options.connections) throw std::runtime_error("too few identities");
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<Connection>> all;
  std::size_t arrived = 0;
  const auto begin = std::chrono::steady_clock::now();
  std::vector<epoll_event> events(256);
  while (arrived < options.connections) {
    while (all.size() < options.connections && all.size() - arrived < options.at_once)
      all.push_back(std::make_unique<Connection>(context.get(), options, epoll, static_cast<std::uint32_t>(all.size())));
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 10'000);
    if (count == 0) throw std::runtime_error("nothing happened for 10 s");
    for (int i = 0; i < count; ++i) {
      const std::uint32_t index = events[static_cast<std::size_t>(i)].data.u32;
      if (all[index]->advance(packets.empty() ? nullptr : &packets[index])) ++arrived;
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{{\"connections\":{},\"seconds\":{:.3f},\"per_second\":{:.0f}}}\n", arrived, seconds,
             static_cast<double>(arrived) / seconds);
  std::fflush(stdout);
  char byte = 0;
  while (options.hold && ::read(STDIN_FILENO, &byte, 1) > 0) {}
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const Options options = parse(argc, argv);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  try {
    run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
