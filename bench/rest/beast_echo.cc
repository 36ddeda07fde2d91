// The peer of bench/rest: the least that an HTTPS server with Boost.Beast can do. TLS, keep-alive, one fixed body for every
// request, on two threads; its handler looks at nothing.
//
//   beast_echo CERTIFICATE.pem KEY.pem BODY_FILE     prints {"port":N}; SIGTERM ends it

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

namespace {

asio::awaitable<void> serve(tcp::socket socket, asio::ssl::context& tls, const std::string& body) {
  try {
    socket.set_option(tcp::no_delay(true));
    beast::ssl_stream<beast::tcp_stream> stream(beast::tcp_stream(std::move(socket)), tls);
    co_await stream.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
    beast::flat_buffer buffer;
    while (true) {
      http::request<http::string_body> request;
      co_await http::async_read(stream, buffer, request, asio::use_awaitable);
      http::response<http::string_body> response(http::status::ok, request.version());
      response.set(http::field::content_type, "application/json; charset=utf-8");
      response.keep_alive(request.keep_alive());
      response.body() = body;
      response.prepare_payload();
      co_await http::async_write(stream, response, asio::use_awaitable);
    }
  } catch (const std::exception&) {
    // The client has gone.
  }
}

asio::awaitable<void> listen(tcp::acceptor& acceptor, asio::ssl::context& tls, const std::string& body) {
  while (true) {
    tcp::socket socket = co_await acceptor.async_accept(asio::make_strand(acceptor.get_executor()), asio::use_awaitable);
    const auto strand = socket.get_executor();
    asio::co_spawn(strand, serve(std::move(socket), tls, body), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: beast_echo CERTIFICATE.pem KEY.pem BODY_FILE\n"), 2;
  std::ifstream file(argv[3], std::ios::binary);
  const std::string body{std::istreambuf_iterator<char>(file), {}};
  asio::ssl::context tls(asio::ssl::context::tls_server);
  tls.use_certificate_chain_file(argv[1]);
  tls.use_private_key_file(argv[2], asio::ssl::context::pem);
  asio::io_context io(2);
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0));
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](auto, auto) { io.stop(); });
  asio::co_spawn(io, listen(acceptor, tls, body), asio::detached);
  std::printf("{\"port\":%d}\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  std::thread second([&] { io.run(); });
  io.run();
  second.join();
}
