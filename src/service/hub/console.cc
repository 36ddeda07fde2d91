#include "service/hub/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "codec/text/encoding.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view root = "/console/";

// Nothing but files of ours and calls to this hub: an injected script could not be loaded, nor send the key elsewhere.
constexpr std::string_view policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

constexpr std::string_view not_built =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Nacelle</title><h1>The console was not built</h1>"
    "<p>This hub was compiled without web/dist. <code>./dev build</code> builds the console and the hub with it; everything else "
    "of the hub works: see <code>nacelle --help</code>.</p></html>\n";

std::string_view type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> types[] = {{".html", "text/html; charset=utf-8"},
                                                                            {".js", "text/javascript; charset=utf-8"},
                                                                            {".css", "text/css; charset=utf-8"},
                                                                            {".svg", "image/svg+xml"}};
  for (const auto& [ending, type] : types)
    if (path.ends_with(ending)) return type;
  return "application/octet-stream";
}

/// A list of names, each perhaps with parameters: `gzip;q=1.0, br`. A name refused with q=0 is not there.
bool lists(std::string_view header, std::string_view name) {
  for (const std::string_view part : text::split(header, ',')) {
    const auto pieces = text::split(part, ';');
    if (!text::equal_ignoring_case(text::trim(pieces[0]), name)) continue;
    return pieces.size() < 2 || !text::trim(pieces[1]).starts_with("q=0") || text::trim(pieces[1]).starts_with("q=0.");
  }
  return false;
}

net::HttpResponse guarded(net::HttpResponse response) {
  response.headers.set("content-security-policy", policy);
  response.headers.set("x-content-type-options", "nosniff");
  response.headers.set("referrer-policy", "no-referrer");
  response.headers.set("x-frame-options", "DENY");
  response.headers.set("cross-origin-opener-policy", "same-origin");
  return response;
}

net::HttpResponse to_console() {
  net::HttpResponse response = net::text_response(302, {});
  response.headers.set("location", root);
  response.headers.set("cache-control", "no-store");
  return guarded(std::move(response));
}

net::HttpResponse send(const net::HttpRequest& request, const ConsoleFile& file) {
  const bool packed = lists(request.headers.get("accept-encoding"), "gzip");
  const std::string tag = fmt::format("\"{}{}\"", file.sha256.substr(0, 32), packed ? "-gz" : "");
  // A 304 carries the body's length only; the connection leaves the body out (RFC 9110 section 15.4.5).
  const bool known = lists(request.headers.get("if-none-match"), tag);
  net::HttpResponse response =
      net::text_response(known ? 304 : 200, std::string(packed ? file.gzip : file.plain), type_of(file.path));
  if (packed) response.headers.set("content-encoding", "gzip");
  response.headers.set("vary", "accept-encoding");
  response.headers.set("etag", tag);
  // Names below assets/ hold a hash of what is in them.
  const bool hashed = file.path.starts_with("assets/");
  response.headers.set("cache-control", hashed ? "public, max-age=31536000, immutable" : "no-cache");
  return guarded(std::move(response));
}

}  // namespace

std::optional<net::HttpResponse> answer_console(const net::HttpRequest& request, std::span<const ConsoleFile> files) {
  const std::string_view path = request.path();
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (path == "/" && reads && request.headers.get("accept").find("text/html") != std::string_view::npos) return to_console();
  if (path != "/console" && !path.starts_with(root)) return std::nullopt;
  if (!reads) {
    net::HttpResponse response = net::text_response(405, "the console is only read\n");
    response.headers.set("allow", "GET, HEAD");
    return guarded(std::move(response));
  }
  if (path == "/console") return to_console();
  std::string_view wanted = path.substr(root.size());
  if (wanted.empty()) wanted = "index.html";
  if (files.empty() && wanted == "index.html")
    return guarded(net::text_response(503, std::string(not_built), "text/html; charset=utf-8"));
  const auto found = std::find_if(files.begin(), files.end(), [&](const ConsoleFile& file) { return file.path == wanted; });
  if (found == files.end()) return guarded(net::text_response(404, "the console has no such file\n"));
  return send(request, *found);
}

}  // namespace nacelle::hub
