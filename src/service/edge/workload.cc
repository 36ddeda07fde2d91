#include "service/edge/workload.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/edge/on_strand.h"
#include "service/edge/sealing.h"

namespace nacelle::edge {

namespace {

constexpr std::size_t max_uploads_known = 1000;

net::HttpResponse error_response(const Error& error) {
  int status = 500;
  if (error.fault == Fault::not_found) status = 404;
  if (error.fault == Fault::denied) status = 403;
  if (error.fault == Fault::invalid_input) status = 400;
  if (error.fault == Fault::unavailable || error.fault == Fault::timed_out) status = 503;
  return net::json_response(status, json::print(json::Object{{"message", error.message}}));
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Bytes> bytes_member(const json::Value& body, std::string_view key) {
  TRY_LET(const std::string encoded, json::get_string(body, key, "workload request"));
  return in(text::base64_decode(encoded), fmt::format("workload request, {}", key));
}

Failure nothing_at(const net::HttpRequest& request) {
  return fail(Fault::not_found, fmt::format("the workload API has no {} {}", request.method, request.path()));
}

}  // namespace

awaitable<Result<Bytes>> ArtifactCache::get(std::string sha) {
  if (!is_sha256_hex(sha)) co_return fail(Fault::invalid_input, "an artifact is named by 64 lower-case hexadecimal digits");
  auto kept = store_->get(sha);
  if (kept && digest::sha256_hex(*kept) == sha) co_return std::move(kept).value();
  auto fetched = co_await hub_.artifact(sha);
  if (!fetched) co_return fail(std::move(fetched).error());
  CO_TRY(store_->put(sha, *fetched));
  log::info("edge", "artifact {} fetched, {} bytes", sha, fetched->size());
  co_return std::move(fetched).value();
}

Result<std::string> Workload::uri_for(const std::string& module) {
  // A folder of 8 digits keeps the path short whatever the module's name; a collision would only make two modules share.
  const fs::path folder = folder_ / digest::sha256_hex(module).substr(0, 8);
  const fs::path socket = folder / "w.sock";
  if (!servers_.contains(module)) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (!error) fs::permissions(folder, fs::perms::owner_all, error);
    if (error) return fail(Fault::unavailable, fmt::format("{}: {}", folder.string(), error.message()));
    ::unlink(socket.c_str());  // left by a killed run
    net::Endpoint endpoint;
    endpoint.unix_path = socket.string();
    auto handler = [this, module](net::HttpRequest request) { return answer(module, std::move(request)); };
    TRY_LET(auto server, net::HttpServer::listen(parts_.core, endpoint, nullptr, std::move(handler)));
    servers_.emplace(module, std::move(server));
  }
  return "unix://" + socket.string();
}

awaitable<void> Workload::close() {
  auto servers = std::exchange(servers_, {});
  for (const auto& [module, server] : servers) co_await server->close();
}

awaitable<net::HttpResponse> Workload::answer(std::string module, net::HttpRequest request) {
  awaitable<net::HttpResponse> here = on_core(std::move(module), std::move(request));
  co_return co_await on_strand(parts_.core, std::move(here));
}

awaitable<net::HttpResponse> Workload::on_core(std::string module, net::HttpRequest request) {
  const auto segments = request.segments();
  if (!segments) co_return error_response(segments.error());
  const std::vector<std::string>& path = *segments;
  const bool get = request.method == "GET";
  if (get && path.size() == 1 && (path[0] == "trust-bundle" || path[0] == "manifest-trust-bundle")) {
    const json::Object bundle{{"certificate", parts_.authority.root_pem}};
    co_return net::json_response(200, json::print(bundle));
  }
  if (get && path.size() == 1 && path[0] == "modules") {
    const json::Object list{{"modules", parts_.modules()}};
    co_return net::json_response(200, json::print(list));
  }
  if (get && path.size() == 2 && path[0] == "artifacts") {
    std::string sha = path[1];
    auto bytes = co_await parts_.artifacts->get(std::move(sha));
    if (!bytes) co_return error_response(bytes.error());
    co_return net::text_response(200, std::move(*bytes), "application/octet-stream");
  }
  const bool begins = path.size() == 1 && path[0] == "files";
  const bool ends = path.size() == 2 && path[0] == "files" && path[1] == "notifications";
  if (request.method == "POST" && (begins || ends)) co_return co_await upload(std::move(module), std::move(request), begins);
  if (request.method != "POST" || path.size() < 4 || path[0] != "modules") co_return error_response(nothing_at(request).error);
  if (path[1] != module) {
    const Error refused{Fault::denied, fmt::format("this is the socket of module '{}': it cannot act as '{}'", module, path[1])};
    co_return error_response(refused);
  }
  std::string verb = path[2] == "genid" && path.size() >= 5 ? path[4] : path[2];
  if (verb == "certificate") verb += "/" + path.back();
  if (path[2] == "genid") {
    const device::IdentityName who{parts_.edge, device::ModuleId(module)};
    const auto identity = parts_.scope->find(who);
    if (identity && identity->generation_id != path[3]) {
      const Error refused{Fault::denied, fmt::format("module '{}' is of another generation now", module)};
      co_return error_response(refused);
    }
  }
  auto body = request.body.empty() ? Result<json::Value>(json::Object{}) : in(json::parse(request.body), "workload request");
  if (!body) co_return error_response(body.error());
  auto answered = act(module, verb, *body);
  if (!answered) co_return error_response(answered.error());
  co_return net::json_response(verb.starts_with("certificate") ? 201 : 200, json::print(*answered));
}

/// `POST /files` and `POST /files/notifications`: the edge asks the hub as itself, and keeps the modules apart: a blob's name
/// begins with its module's, and only its module can end an upload.
awaitable<net::HttpResponse> Workload::upload(std::string module, net::HttpRequest request, bool begins) {
  const auto body = in(json::parse(request.body), "upload request");
  if (!body) co_return error_response(body.error());
  if (begins) {
    const auto name = json::get_string(*body, "blobName", "upload request");
    if (!name) co_return error_response(name.error());
    std::string blob = module + "/" + *name;
    auto grant = co_await parts_.hub->begin_upload(std::move(blob));
    if (!grant) co_return error_response(grant.error());
    const auto id = json::get_string(*grant, "correlationId", "the hub's upload grant");
    if (!id) co_return error_response(id.error());
    if (uploads_.size() >= max_uploads_known) uploads_.erase(uploads_.begin());
    uploads_[*id] = module;
    co_return net::json_response(200, json::print(*grant));
  }
  const auto id = json::get_string(*body, "correlationId", "upload request");
  if (!id) co_return error_response(id.error());
  const auto known = uploads_.find(*id);
  if (known == uploads_.end() || known->second != module) {
    const Error unknown{Fault::not_found, "no upload of this module has this correlationId"};
    co_return error_response(unknown);
  }
  json::Value notification = *body;
  auto ended = co_await parts_.hub->end_upload(std::move(notification));
  if (!ended) co_return error_response(ended.error());
  uploads_.erase(*id);
  co_return net::HttpResponse{204, {}, {}};
}

Result<json::Value> Workload::act(const std::string& module, const std::string& verb, const json::Value& body) {
  if (verb == "certificate/server") return certificate(module, true, body);
  if (verb == "certificate/identity") return certificate(module, false, body);
  const auto identity = parts_.scope->find({parts_.edge, device::ModuleId(module)});
  if (!identity) return fail(Fault::not_found, fmt::format("module '{}' has no identity in the edge's scope", module));
  TRY_LET(const Bytes key, text::base64_decode(identity->primary_key));
  if (verb == "sign") {
    TRY_LET(const std::string algorithm, json::get_string_or(body, "algo", "HMACSHA256", "workload request"));
    if (!text::equal_ignoring_case(algorithm, "HMACSHA256")) return fail(Fault::invalid_input, "algo: only HMACSHA256 is known");
    TRY_LET(const Bytes data, bytes_member(body, "data"));
    return json::Value(json::Object{{"digest", text::base64_encode(digest::hmac_sha256(key, data))}});
  }
  if (verb != "encrypt" && verb != "decrypt") return fail(Fault::not_found, fmt::format("the workload API has no '{}'", verb));
  TRY_LET(const Bytes vector, bytes_member(body, "initializationVector"));
  if (verb == "encrypt") {
    TRY_LET(const Bytes plain, bytes_member(body, "plaintext"));
    TRY_LET(const Bytes sealed, seal(key, vector, plain));
    return json::Value(json::Object{{"ciphertext", text::base64_encode(sealed)}});
  }
  TRY_LET(const Bytes sealed, bytes_member(body, "ciphertext"));
  TRY_LET(const Bytes plain, unseal(key, vector, sealed));
  return json::Value(json::Object{{"plaintext", text::base64_encode(plain)}});
}

Result<json::Value> Workload::certificate(const std::string& module, bool server, const json::Value& body) {
  const Timestamp now = parts_.clock->now();
  TRY_LET(const std::string name, json::get_string_or(body, "commonName", module, "workload request"));
  TRY_LET(const std::string until, json::get_string_or(body, "expiration", "", "workload request"));
  net::CertificateRequest request;
  request.common_name = name;
  if (server) request.dns_names = {name};
  request.client = !server;
  request.lifetime = std::chrono::hours(24 * 90);
  if (!until.empty()) {
    TRY_LET(const Timestamp end, in(parse_iso8601(until), "expiration"));
    if (end <= now) return fail(Fault::invalid_input, "expiration: is in the past");
    const auto asked = std::chrono::duration_cast<std::chrono::hours>(end - now) + std::chrono::hours(1);
    request.lifetime = std::min<std::chrono::hours>(request.lifetime, asked);
  }
  TRY_LET(const net::CertifiedKey made, net::issue(parts_.authority.authority, request, now));
  TRY_LET(const net::CertificateFacts facts, net::inspect(made.certificate_pem));
  return json::Value(json::Object{{"privateKey", json::Object{{"type", "key"}, {"bytes", made.key_pem}}},
                                  {"certificate", made.certificate_pem},
                                  {"expiration", format_iso8601(facts.not_after, 0)}});
}

}  // namespace nacelle::edge
