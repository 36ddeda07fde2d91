#pragma once
// HTTP requests and responses as values.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "foundation/async.h"
#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::net {

/// Names are compared without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> entries) : entries_(entries) {}
  std::string_view get(std::string_view name) const;  ///< empty if absent
  bool contains(std::string_view name) const;
  void set(std::string_view name, std::string_view value);
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  ///< path and query as sent
  Headers headers;
  Bytes body;
  std::string peer;  ///< server side: the peer's address
  Bytes peer_certificates_der;

  std::string_view path() const;  ///< before `?`, still encoded
  /// Path segments, percent-decoded; a trailing slash gives no empty segment. Fault::invalid_input for a broken escape.
  Result<std::vector<std::string>> segments() const;
  /// A query parameter, percent-decoded; empty if absent.
  std::string query(std::string_view name) const;
};

/// A body that is not held as a whole: it is read piece by piece while it is sent.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual ByteCount size() const = 0;
  /// The next piece, empty only at the end. On the connection's strand; may wait. A fault ends the connection: the peer then knows
  /// from Content-Length that something is missing.
  virtual awaitable<Result<Bytes>> next() = 0;
};

struct HttpResponse {
  int status = 200;
  Headers headers;
  Bytes body;
  std::shared_ptr<BodySource> source{};  ///< in place of `body`
};

HttpResponse json_response(int status, std::string body);  ///< content-type application/json; charset=utf-8
HttpResponse text_response(int status, std::string body, std::string_view content_type = "text/plain; charset=utf-8");

}  // namespace nacelle::net
