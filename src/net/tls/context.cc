#include "net/tls/context.h"

#include <mutex>

#include "net/tls/detail/openssl.h"

namespace nacelle::net {
namespace {

using openssl::Context;

/// A leaf and a few intermediates, of which each is 1 to 2 KiB.
constexpr long largest_client_chain = 32 * 1024;

/// Anyone gets through the handshake who proves to hold the key of the certificate he shows; whether that certificate
/// is welcome is decided against the device registry (wire facts 1.1, 1.4).
int accept_any_issuer(int, X509_STORE_CTX*) { return 1; }

Result<Context> new_context(const SSL_METHOD* method) {
  Context context(SSL_CTX_new(method));
  if (!context) return fail(Fault::exhausted, "making a TLS context: " + openssl::last_error());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Thousands of quiet connections: 34 KiB less for each.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
  return context;
}

/// A ticket holds the client's own certificate and not those that link it to an authority: who has one shakes hands in
/// full, every time, so that the whole chain is there to be checked.
SSL_TICKET_RETURN take_ticket(SSL*, SSL_SESSION* session, const unsigned char*, std::size_t, SSL_TICKET_STATUS status, void*) {
  const bool good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!good || SSL_SESSION_get0_peer(session) != nullptr) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

Result<> use_certificate(SSL_CTX* context, const std::string& chain_pem, const std::string& key_pem) {
  TRY_LET(const auto chain, openssl::read_certificates(chain_pem));
  TRY_LET(const auto key, openssl::read_key(key_pem));
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1)
    return fail(Fault::invalid_input, "certificate: " + openssl::last_error());
  for (std::size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(context, chain[i].get());
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return fail(Fault::invalid_input, "the key does not belong to the certificate: " + openssl::last_error());
  return {};
}

Result<Context> server_context(const std::string& chain_pem, const std::string& key_pem) {
  TRY_LET(Context context, new_context(TLS_server_method()));
  SSL_CTX* raw = context.get();
  TRY(in(use_certificate(raw, chain_pem, key_pem), "server"));
  SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, accept_any_issuer);
  SSL_CTX_set_max_cert_list(raw, largest_client_chain);
  SSL_CTX_set_session_ticket_cb(raw, nullptr, take_ticket, nullptr);
  // Needed for session tickets together with client certificates.
  static constexpr unsigned char id[] = "nacelle";
  SSL_CTX_set_session_id_context(raw, id, sizeof(id) - 1);
  return context;
}

class ServerContext final : public TlsServerContext {
 public:
  explicit ServerContext(Context context) : context_(std::move(context)) {}
  Result<> replace(const std::string& chain_pem, const std::string& key_pem) override {
    TRY_LET(Context next, server_context(chain_pem, key_pem));
    const std::lock_guard lock(mutex_);
    context_.swap(next);
    return {};
  }
  void* new_session() override {
    const std::lock_guard lock(mutex_);
    return SSL_new(context_.get());
  }

 private:
  std::mutex mutex_;
  Context context_;  // guarded by mutex_; a session keeps its own reference to it
};

class ClientContext final : public TlsClientContext {
 public:
  explicit ClientContext(Context context) : context_(std::move(context)) {}
  void* new_session() override { return SSL_new(context_.get()); }

 private:
  const Context context_;
};

}  // namespace

std::string_view name_of(HandshakeFailure failure) {
  static constexpr std::string_view names[] = {"not-tls", "version", "certificate", "rejected", "closed", "timeout", "other"};
  static_assert(std::size(names) == handshake_failures);
  return names[static_cast<std::size_t>(failure)];
}

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::make(const std::string& chain_pem, const std::string& key_pem) {
  TRY_LET(Context context, server_context(chain_pem, key_pem));
  return std::shared_ptr<TlsServerContext>(std::make_shared<ServerContext>(std::move(context)));
}

Result<std::shared_ptr<TlsClientContext>> TlsClientContext::make(const std::string& ca_pem, const std::string& chain_pem,
                                                                 const std::string& key_pem) {
  TRY_LET(Context context, new_context(TLS_client_method()));
  if (!chain_pem.empty()) TRY(in(use_certificate(context.get(), chain_pem, key_pem), "client"));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (ca_pem.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else {
    TRY_LET(const auto roots, openssl::read_certificates(ca_pem));
    X509_STORE* store = SSL_CTX_get_cert_store(context.get());
    for (const auto& root : roots) X509_STORE_add_cert(store, root.get());
    // Whatever the caller names is an anchor, an intermediate too.
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  }
  return std::shared_ptr<TlsClientContext>(std::make_shared<ClientContext>(std::move(context)));
}

}  // namespace nacelle::net
