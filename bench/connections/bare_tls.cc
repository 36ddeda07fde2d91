// The peer of bench/connections: the least a server can do to have a TLS connection. Two threads, epoll, SSL_accept, silence.
//
//   bare_tls CERTIFICATE.pem KEY.pem       prints {"port":N}; SIGTERM ends it

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

namespace {

void take(int listener, int epoll, SSL_CTX* context) {
  const int socket = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket < 0) return;
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, socket);
  SSL_set_accept_state(ssl);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = ssl;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
  SSL_accept(ssl);
}

void advance(SSL* ssl) {
  if (!SSL_is_init_finished(ssl)) {
    SSL_accept(ssl);
    return;
  }
  char byte;
  const int got = SSL_read(ssl, &byte, 1);
  if (got > 0 || SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ) return;
  ::close(SSL_get_fd(ssl));
  SSL_free(ssl);
}

void serve(int listener, SSL_CTX* context) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{};
  wanted.events = EPOLLIN | EPOLLEXCLUSIVE;
  wanted.data.ptr = nullptr;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);
  epoll_event events[256];
  while (true) {
    const int count = ::epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; ++i)
      if (auto* ssl = static_cast<SSL*>(events[i].data.ptr))
        advance(ssl);
      else
        take(listener, epoll, context);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: bare_tls CERTIFICATE.pem KEY.pem\n"), 2;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  if (SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1)
    return std::fprintf(stderr, "bare_tls: certificate or key cannot be used\n"), 1;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at);
  ::listen(listener, 4096);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
  std::printf("{\"port\":%d}\n", ntohs(at.sin_port));
  std::fflush(stdout);
  std::thread other(serve, listener, context);
  serve(listener, context);
}
