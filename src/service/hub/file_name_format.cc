#include "service/hub/file_name_format.h"

#include <fmt/format.h>

#include <array>

#include "codec/text/encoding.h"

namespace nacelle::hub {
namespace {

constexpr std::array<std::string_view, 7> tokens{"{iothub}", "{YYYY}", "{MM}", "{DD}", "{HH}", "{mm}", "{partition}"};
constexpr std::array<std::string_view, 2> endings{".avro", ".json"};

void replace(std::string& text, std::string_view token, std::string_view value) {
  const auto at = text.find(token);
  if (at != std::string::npos) text.replace(at, token.size(), value);
}

Failure bad(std::string_view text, std::string why) {
  return fail(Fault::invalid_input, fmt::format("file name format '{}': {}", text, why));
}

}  // namespace

FileNameFormat::FileNameFormat() : text_("{iothub}/{YYYY}/{MM}/{DD}/{HH}/{mm}/{partition}") {}

Result<FileNameFormat> FileNameFormat::parse(std::string_view text) {
  if (text.size() > 256) return bad(text.substr(0, 64), "longer than 256 characters");
  std::string rest(text);
  for (const auto ending : endings)
    if (rest.ends_with(ending)) rest.resize(rest.size() - ending.size());
  FileNameFormat format;
  format.text_ = rest;
  for (const auto token : tokens) {
    if (rest.find(token) == std::string::npos) return bad(text, fmt::format("{} is missing", token));
    replace(rest, token, "0");
  }
  for (const char c : rest) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
    if (!plain) return bad(text, fmt::format("'{}' is not a known token, a letter, a digit or one of - _ . /", c));
  }
  for (const auto segment : text::split(rest, '/'))
    if (segment.empty() || segment.starts_with('.')) return bad(text, "a path segment is empty or begins with a point");
  return format;
}

std::string FileNameFormat::stem(std::string_view hub, Timestamp time, storage::Partition partition) const {
  const std::string utc = format_iso8601(time, 0);  // 2030-01-01T01:16:22Z
  std::string name = text_;
  replace(name, "{YYYY}", utc.substr(0, 4));
  replace(name, "{MM}", utc.substr(5, 2));
  replace(name, "{DD}", utc.substr(8, 2));
  replace(name, "{HH}", utc.substr(11, 2));
  replace(name, "{mm}", utc.substr(14, 2));
  replace(name, "{partition}", fmt::format("{:02}", partition));
  replace(name, "{iothub}", hub);
  return name;
}

}  // namespace nacelle::hub
