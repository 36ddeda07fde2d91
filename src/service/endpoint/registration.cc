#include "service/endpoint/registration.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"

namespace nacelle::endpoint {
namespace {

constexpr std::string_view register_prefix = "$dps/registrations/PUT/iotdps-register/?";
constexpr std::string_view status_prefix = "$dps/registrations/GET/iotdps-get-operationstatus/?";
constexpr std::size_t max_request_id = 256;

std::string parameter(std::string_view query, std::string_view name) {
  for (const std::string_view part : text::split(query, '&')) {
    const std::size_t equals = part.find('=');
    if (equals != std::string_view::npos && part.substr(0, equals) == name) return std::string(part.substr(equals + 1));
  }
  return {};
}

}  // namespace

std::optional<RegistrationName> parse_registration_name(std::string_view user_name) {
  const auto parts = text::split(user_name, '/');
  if (parts.size() < 4 || parts[1] != "registrations" || parts[0].empty() || parts[2].empty() ||
      parts[3].find("api-version=") == std::string_view::npos)
    return std::nullopt;
  return RegistrationName{std::string(parts[0]), std::string(parts[2])};
}

std::optional<RegistrationRequest> parse_registration_topic(std::string_view topic) {
  const bool registers = topic.starts_with(register_prefix);
  if (!registers && !topic.starts_with(status_prefix)) return std::nullopt;
  const std::string_view query = topic.substr(registers ? register_prefix.size() : status_prefix.size());
  RegistrationRequest request;
  request.request_id = parameter(query, "$rid");
  if (request.request_id.empty() || request.request_id.size() > max_request_id ||
      request.request_id.find_first_of("+#") != std::string::npos)
    return std::nullopt;
  if (!registers) request.operation_id = parameter(query, "operationId");
  return request;
}

std::string registration_response_topic(const RegistrationAnswer& answer, const std::string& request_id) {
  const std::string retry =
      answer.retry_after_seconds > 0 ? fmt::format("&retry-after={}", answer.retry_after_seconds) : std::string();
  return fmt::format("$dps/registrations/res/{}/?$rid={}{}", answer.status, request_id, retry);
}

}  // namespace nacelle::endpoint
