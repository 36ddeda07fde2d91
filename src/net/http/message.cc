#include "net/http/message.h"

#include "codec/text/encoding.h"

namespace nacelle::net {

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (text::equal_ignoring_case(key, name)) return value;
  return {};
}

bool Headers::contains(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (text::equal_ignoring_case(key, name)) return true;
  return false;
}

void Headers::set(std::string_view name, std::string_view value) {
  for (auto& [key, held] : entries_) {
    if (!text::equal_ignoring_case(key, name)) continue;
    held = value;
    return;
  }
  entries_.emplace_back(name, value);
}

std::string_view HttpRequest::path() const { return std::string_view(target).substr(0, target.find('?')); }

Result<std::vector<std::string>> HttpRequest::segments() const {
  std::vector<std::string> decoded;
  for (const std::string_view part : text::split(path(), '/')) {
    TRY_LET(std::string segment, in(text::percent_decode(part), "path of the request"));
    decoded.push_back(std::move(segment));
  }
  if (!decoded.empty() && decoded.front().empty()) decoded.erase(decoded.begin());
  if (!decoded.empty() && decoded.back().empty()) decoded.pop_back();
  return decoded;
}

std::string HttpRequest::query(std::string_view name) const {
  const auto mark = target.find('?');
  if (mark == std::string::npos) return {};
  for (const std::string_view pair : text::split(std::string_view(target).substr(mark + 1), '&')) {
    const auto equals = pair.find('=');
    const auto key = text::percent_decode(pair.substr(0, equals));
    if (!key || *key != name) continue;
    const auto value = text::percent_decode(equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1));
    return value ? *value : std::string{};
  }
  return {};
}

HttpResponse json_response(int status, std::string body) {
  return text_response(status, std::move(body), "application/json; charset=utf-8");
}

HttpResponse text_response(int status, std::string body, std::string_view content_type) {
  HttpResponse response{.status = status, .headers = {}, .body = std::move(body)};
  response.headers.set("Content-Type", content_type);
  return response;
}

}  // namespace nacelle::net
