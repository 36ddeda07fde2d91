#include "net/tls/tls_stream.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <fmt/format.h>
#include <boost/asio/ip/address.hpp>
#include <cstring>

#include "net/socket/wake.h"
#include "net/tls/detail/openssl.h"

// OpenSSL works on two pieces of memory here and this file moves bytes between them and the inner stream, instead of
// boost::asio::ssl: one read from the socket may bring dozens of TLS records and one write may send them, where
// asio::ssl moves 17 KB at most; and it compiles in a tenth of the time (docs/decisions/0030-tls-over-memory.md).

namespace nacelle::net {
namespace {

constexpr std::size_t small_read = 1024;        // a quiet connection's cost: one reading, or a ping
constexpr std::size_t large_read = 64 * 1024;   // a busy one's: many records at once
constexpr unsigned quiet_reads = 4;             // so many small ones in a row make a connection quiet again
constexpr std::size_t write_piece = 64 * 1024;  // encrypted before it is sent, so bounds the copy
constexpr std::size_t kept_outgoing = 1024;     // an answer or two; a larger buffer is given back

/// What OpenSSL reads and writes: our own buffers. OpenSSL's memory BIOs would copy all of it once more, and keep room for the
/// largest flight of the handshake as long as the connection lives.
struct Wire {
  BytesView incoming;  // read from the peer, not yet taken by OpenSSL
  Bytes outgoing;
};

Wire& wire_of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

int take_incoming(BIO* bio, char* into, std::size_t size, std::size_t* taken) {
  BIO_clear_retry_flags(bio);
  Wire& wire = wire_of(bio);
  *taken = std::min(size, wire.incoming.size());
  if (*taken == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(into, wire.incoming.data(), *taken);
  wire.incoming.remove_prefix(*taken);
  return 1;
}

int put_outgoing(BIO* bio, const char* from, std::size_t size, std::size_t* put) {
  BIO_clear_retry_flags(bio);
  wire_of(bio).outgoing.append(from, size);
  *put = size;
  return 1;
}

long control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_PENDING: return static_cast<long>(wire_of(bio).incoming.size());
    case BIO_CTRL_WPENDING: return static_cast<long>(wire_of(bio).outgoing.size());
    default: return 0;
  }
}

BIO_METHOD* wire_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "nacelle stream");
    INVARIANT(made != nullptr, "there is memory for one method at the start");
    BIO_meth_set_read_ex(made, take_incoming);
    BIO_meth_set_write_ex(made, put_outgoing);
    BIO_meth_set_ctrl(made, control);
    return made;
  }();
  return method;
}

/// What OpenSSL's newest error says of a handshake. Reasons from SSL_AD_REASON_OFFSET on are alerts that the peer sent.
HandshakeFailure why_failed() {
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) return HandshakeFailure::rejected;
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_PACKET_LENGTH_TOO_LONG: return HandshakeFailure::not_tls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_KEY_SHARE: return HandshakeFailure::version;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
    case SSL_R_BAD_SIGNATURE: return HandshakeFailure::certificate;
    default: return HandshakeFailure::other;
  }
}

class TlsStream final : public Stream {
 public:
  TlsStream(StreamPtr inner, openssl::Session session) : inner_(std::move(inner)), session_(std::move(session)) {
    BIO* const bio = BIO_new(wire_method());
    INVARIANT(bio != nullptr, "there is memory for a connection that was accepted");
    BIO_set_data(bio, &wire_);
    BIO_set_init(bio, 1);
    SSL_set_bio(session_.get(), bio, bio);  // the session owns it
  }

  /// Of a failure, `why_it_failed` says more.
  awaitable<Result<>> handshake(HandshakeFailure& why_it_failed) {
    while (true) {
      ERR_clear_error();
      const int done = SSL_do_handshake(session_.get());
      const int why = SSL_get_error(session_.get(), done);
      if (done != 1) why_it_failed = why_failed();
      const Failure failed = done == 1 ? Failure{} : failure("TLS handshake");
      // Also after a failure: the alert tells the peer why.
      const auto sent = co_await flush();
      if (done == 1) break;
      if (why != SSL_ERROR_WANT_READ) co_return failed;
      why_it_failed = HandshakeFailure::closed;
      if (!sent) co_return sent;
      const auto received = co_await receive();
      if (received) continue;
      if (received.error().fault == Fault::timed_out) why_it_failed = HandshakeFailure::late;
      co_return received;
    }
    ready_ = true;
    co_return Result<>{};
  }

  awaitable<Result<std::size_t>> read_some(char* data, std::size_t size) override {
    while (true) {
      std::size_t total = 0;
      std::size_t count = 0;
      ERR_clear_error();
      while (total < size && SSL_read_ex(session_.get(), data + total, size - total, &count) == 1) total += count;
      if (total > 0) {
        // The rest of the story (an end, an error) is told again by the next read.
        ERR_clear_error();
        co_return total;
      }
      const int why = SSL_get_error(session_.get(), 0);
      if (why == SSL_ERROR_ZERO_RETURN)
        co_return fail(Fault::unavailable, inner_->peer_address() + ": the peer closed the connection");
      if (why != SSL_ERROR_WANT_READ) co_return failure("reading");
      if (!wire_.outgoing.empty()) {  // an answer to a key update
        CO_TRY(co_await flush());
      }
      CO_TRY(co_await receive());
    }
  }

  awaitable<Result<>> write_all(BytesView bytes) override {
    if (bytes.empty()) {  // what write_now() could not send
      CO_TRY(co_await flush());
    }
    while (!bytes.empty()) {
      const auto piece = bytes.substr(0, write_piece);
      bytes.remove_prefix(piece.size());
      CO_TRY(encrypt(piece));
      CO_TRY(co_await flush());
    }
    co_return Result<>{};
  }

  std::size_t write_now(BytesView bytes) override {
    if (!ready_ || closed_ || sending_ || send_failed_ || !wire_.outgoing.empty()) return 0;
    const auto piece = bytes.substr(0, write_piece);
    if (const auto encrypted = encrypt(piece); !encrypted) {
      send_failed_ = encrypted.error();
      return 0;
    }
    wire_.outgoing.erase(0, inner_->write_now(wire_.outgoing));
    if (wire_.outgoing.empty() && wire_.outgoing.capacity() > kept_outgoing) wire_.outgoing = {};
    return piece.size();
  }
  bool unsent() const override { return !wire_.outgoing.empty(); }

  awaitable<void> end_writing() override {
    ERR_clear_error();
    SSL_shutdown(session_.get());
    const auto sent = co_await flush();
    if (sent) co_await inner_->end_writing();
  }

  void close() override { close_with({}); }
  void close_with(BytesView farewell) override {
    if (closed_) return;
    closed_ = true;
    if (!ready_ || sending_) return inner_->close();  // bytes in the middle of a record: nothing may be said any more
    if (!farewell.empty()) static_cast<void>(encrypt(farewell));
    ERR_clear_error();
    SSL_shutdown(session_.get());
    const Bytes last = take_output();
    inner_->close_with(last);
  }
  void set_deadline(std::optional<std::chrono::steady_clock::duration> from_now) override { inner_->set_deadline(from_now); }
  Executor executor() override { return inner_->executor(); }
  std::string peer_address() const override { return inner_->peer_address(); }

  Bytes peer_certificates_der() const override {
    const X509* leaf = SSL_get0_peer_certificate(session_.get());
    if (leaf == nullptr) return {};
    Bytes bytes = openssl::to_der(leaf);
    // A server's view of the chain leaves the peer's own certificate out, a client's does not.
    const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(session_.get());
    for (int i = SSL_is_server(session_.get()) ? 0 : 1; i < sk_X509_num(chain); ++i)
      bytes += openssl::to_der(sk_X509_value(chain, i));
    return bytes;
  }

 private:
  Failure failure(std::string_view doing) const {
    const long verdict = SSL_get_verify_result(session_.get());
    const auto reason = openssl::last_error();
    if (!SSL_is_server(session_.get()) && verdict != X509_V_OK)
      return fail(Fault::denied,
                  fmt::format("{}: server certificate refused: {}", peer_address(), X509_verify_cert_error_string(verdict)));
    return fail(Fault::unavailable, fmt::format("{}: {}: {}", peer_address(), doing, reason));
  }

  /// Into the outgoing buffer, which is memory and takes everything.
  Result<> encrypt(BytesView bytes) {
    while (!bytes.empty()) {
      std::size_t count = 0;
      ERR_clear_error();
      if (SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &count) != 1) return failure("writing");
      bytes.remove_prefix(count);
    }
    return {};
  }

  Bytes take_output() { return std::exchange(wire_.outgoing, {}); }

  /// Sends what OpenSSL has for the peer. The reader has something to send now and then too; whoever comes second waits,
  /// so that records leave in order.
  awaitable<Result<>> flush() {
    while (sending_) co_await sent_.wait_for_good();
    if (send_failed_) co_return fail(*send_failed_);
    while (!wire_.outgoing.empty()) {
      const Bytes bytes = take_output();
      sending_ = true;
      auto result = co_await inner_->write_all(bytes);
      sending_ = false;
      sent_.notify();
      if (!result) {
        send_failed_ = result.error();
        co_return result;
      }
    }
    co_return Result<>{};
  }

  /// OpenSSL has taken all there was.
  awaitable<Result<>> receive() {
    const std::size_t wanted = input_full_ ? large_read : quiet_ >= quiet_reads ? small_read : std::max(input_size_, small_read);
    if (wanted != input_size_) {
      input_.reset(new char[wanted]);
      input_size_ = wanted;
    }
    CO_TRY_LET(const std::size_t count, co_await inner_->read_some(input_.get(), input_size_));
    input_full_ = count == input_size_;
    quiet_ = count < small_read ? quiet_ + 1 : 0;
    wire_.incoming = BytesView(input_.get(), count);
    co_return Result<>{};
  }

  const StreamPtr inner_;
  Wire wire_;  // before the session, which uses it
  const openssl::Session session_;
  std::unique_ptr<char[]> input_;
  std::size_t input_size_ = 0;
  bool input_full_ = false;  // the last read filled the buffer: there may be more
  unsigned quiet_ = 0;       // reads in a row that a small buffer would have held
  bool ready_ = false;
  bool closed_ = false;
  bool sending_ = false;
  std::optional<Error> send_failed_;
  Wake sent_;
};

Result<openssl::Session> expect_host(openssl::Session session, const std::string& name) {
  boost::system::error_code not_an_address;
  asio::ip::make_address(name, not_an_address);
  if (!not_an_address) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), name.c_str()) != 1)
      return fail(Fault::invalid_input, fmt::format("'{}' cannot be checked in a certificate", name));
    return session;
  }
  SSL_set_hostflags(session.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (SSL_set1_host(session.get(), name.c_str()) != 1 || SSL_set_tlsext_host_name(session.get(), name.c_str()) != 1)
    return fail(Fault::invalid_input, fmt::format("'{}' is not a host name", name));
  return session;
}

awaitable<Result<StreamPtr>> shake_hands(StreamPtr inner, openssl::Session session, std::shared_ptr<TlsServerContext> server) {
  auto stream = std::make_unique<TlsStream>(std::move(inner), std::move(session));
  HandshakeFailure why = HandshakeFailure::other;
  const auto shaken = co_await stream->handshake(why);
  if (!shaken && server) server->count(why);
  if (!shaken) co_return fail(shaken.error());
  co_return StreamPtr(std::move(stream));
}

}  // namespace

awaitable<Result<StreamPtr>> accept_tls(StreamPtr inner, std::shared_ptr<TlsServerContext> context) {
  openssl::Session session(static_cast<SSL*>(context->new_session()));
  if (!session) co_return fail(Fault::exhausted, "no memory for a TLS session");
  SSL_set_accept_state(session.get());
  co_return co_await shake_hands(std::move(inner), std::move(session), context);
}

awaitable<Result<StreamPtr>> connect_tls(StreamPtr inner, std::shared_ptr<TlsClientContext> context, std::string server_name) {
  openssl::Session fresh(static_cast<SSL*>(context->new_session()));
  if (!fresh) co_return fail(Fault::exhausted, "no memory for a TLS session");
  CO_TRY_LET(auto session, expect_host(std::move(fresh), server_name));
  SSL_set_connect_state(session.get());
  co_return co_await shake_hands(std::move(inner), std::move(session), nullptr);
}

}  // namespace nacelle::net
