#include "service/hub/containers.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "net/http/message.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view permissions_granted = "rw";

std::string object_of(const std::string& name, const std::string& blob) {
  return fmt::format("{}/{}/{}", containers_path, name, blob);
}

Result<> check_name(std::string_view name) {
  const bool good = name.size() >= 3 && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                    });
  if (good) return {};
  return fail(Fault::invalid_input, "container: expected 3 to 63 of lower-case letters, digits and '-'");
}

}  // namespace

std::string Containers::sign(const std::string& name, const std::string& expiry, const std::string& permissions) const {
  return text::base64_encode(digest::hmac_sha256(secret_, fmt::format("container\n{}\n{}\n{}", name, expiry, permissions)));
}

Result<std::string> Containers::grant(const std::string& name) const {
  TRY(check_name(name));
  const std::string expiry = format_iso8601(from_unix_seconds(unix_seconds(clock_.now() + life)), 0);
  const std::string permissions(permissions_granted);
  return fmt::format("?sv=2018-03-28&sr=c&sig={}&se={}&sp={}", text::percent_encode_strict(sign(name, expiry, permissions)),
                     text::percent_encode_strict(expiry), permissions);
}

Result<> Containers::check(const std::string& name, const Shown& shown) const {
  if (!digest::equal_constant_time(shown.signature, sign(name, shown.expiry, shown.permissions)))
    return fail(Fault::denied, "the signature does not fit the container, its expiry and permissions");
  TRY_LET(const Timestamp expires, parse_iso8601(shown.expiry));
  if (expires <= clock_.now()) return fail(Fault::denied, "the grant has expired");
  return {};
}

Result<std::string> Containers::container_of(const std::string& uri) const {
  constexpr std::string_view scheme = "https://";
  const auto wrong = [] {
    return fail(Fault::invalid_input, fmt::format("container URI: expected https://HUB/{}/NAME?.. as the hub handed it out, of a "
                                                  "container of its own",
                                                  containers_path));
  };
  const auto slash = uri.find('/', scheme.size());
  if (!uri.starts_with(scheme) || slash == std::string::npos) return wrong();
  net::HttpRequest address;
  address.target = uri.substr(slash);
  TRY_LET(const auto segments, address.segments());
  if (segments.size() != 2 || segments[0] != containers_path) return wrong();
  TRY(check(segments[1], {address.query("se"), address.query("sp"), address.query("sig")}));
  return segments[1];
}

Result<> Containers::put(const std::string& name, const std::string& blob, BytesView bytes) {
  return objects_.put(object_of(name, blob), bytes);
}

Result<std::unique_ptr<storage::ObjectWriter>> Containers::create(const std::string& name, const std::string& blob) {
  return objects_.create(object_of(name, blob));
}

Result<std::unique_ptr<storage::ObjectReader>> Containers::open(const std::string& name, const std::string& blob) const {
  return objects_.open(object_of(name, blob));
}

Result<Bytes> Containers::get(const std::string& name, const std::string& blob) const {
  return objects_.get(object_of(name, blob), largest_blob);
}

}  // namespace nacelle::hub
