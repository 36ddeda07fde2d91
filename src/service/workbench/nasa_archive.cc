#include "service/workbench/nasa_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <memory>

#include "codec/digest/digest.h"
#include "net/http/client.h"
#include "net/tls/context.h"
#include "service/workbench/files.h"

namespace nacelle::workbench {
namespace {

constexpr ByteCount max_file = 64_MiB;  // the largest of them has 10 MB
constexpr int max_depth = 2;            // a zip in a zip

using Archive = std::unique_ptr<archive, decltype(&archive_read_free)>;

Failure broken(archive* handle) {
  const char* why = archive_error_string(handle);
  return fail(Fault::corrupt, fmt::format("the archive cannot be read: {}", why ? why : "it is no zip file"));
}

Result<Bytes> read_entry(archive* handle, std::string_view name) {
  Bytes content;
  char buffer[65536];
  while (true) {
    const auto got = archive_read_data(handle, buffer, sizeof buffer);
    if (got == 0) return content;
    if (got < 0) return broken(handle);
    content.append(buffer, static_cast<std::size_t>(got));
    if (ByteCount(content.size()) > max_file)
      return fail(Fault::corrupt, fmt::format("the archive: {} is larger than any file that was expected", name));
  }
}

using Take = std::function<Result<>(const std::string& name, Bytes content)>;

/// Every regular file of a zip, and of the zips in it.
Result<> each_file(BytesView zip, int depth, const Take& take) {
  const Archive handle(archive_read_new(), archive_read_free);
  archive_read_support_format_zip(handle.get());
  if (archive_read_open_memory(handle.get(), zip.data(), zip.size()) != ARCHIVE_OK) return broken(handle.get());
  archive_entry* entry = nullptr;
  while (true) {
    const int next = archive_read_next_header(handle.get(), &entry);
    if (next == ARCHIVE_EOF) return {};
    if (next != ARCHIVE_OK) return broken(handle.get());
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    const char* path = archive_entry_pathname(entry);
    // Only the last part of a name is ever used, so none can lead out of a folder.
    const std::string name = fs::path(path ? path : "").filename().string();
    TRY_LET(Bytes content, read_entry(handle.get(), name));
    if (name.ends_with(".zip") && depth < max_depth) {
      TRY(each_file(content, depth + 1, take));
    } else {
      TRY(take(name, std::move(content)));
    }
  }
}

struct Url {
  bool tls = false;
  net::Endpoint endpoint;
  std::string target;
};

Result<Url> parse_url(std::string_view text) {
  Url url;
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://"))
    return fail(Fault::invalid_input, fmt::format("expected a URL that begins with https:// or http://, found '{}'", text));
  const std::string_view rest = text.substr(text.find("//") + 2);
  const auto slash = rest.find('/');
  TRY_LET(url.endpoint, net::parse_endpoint(rest.substr(0, slash), url.tls ? 443 : 80));
  url.target = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  return url;
}

}  // namespace

const KnownSums& cmapss_sums() {
  // The FD004 test pair is not listed: its sums were not measured, so it is not taken.
  static const KnownSums sums = {
      {"train_FD001.txt", "963b5e22825b34d8b21c69e1aeb4af3e647050eb672ee8834ba4b5d91d2de0f8"},
      {"train_FD002.txt", "dac6c4dbc4e7c1bdeb5747da3d313d05c395bb99801b44a002b26a2ba13d788f"},
      {"train_FD003.txt", "2abbe9968cc5e8eb091980f51b20f62bb4127336d3482cb52071d53bf23329e2"},
      {"train_FD004.txt", "27ef6160b6a1dcb2613a88de9c239f763b223f02cdc41dc5cdedc5dc189b6218"},
      {"test_FD001.txt", "3cda7109ce17bafb5443f2ac926cfcf88154b941b8c4cf95eb55d1ddd6f52851"},
      {"test_FD002.txt", "de7b5bf7e998a985c378488480528b7c02cff1406a46740def362dda8d9b4e02"},
      {"test_FD003.txt", "299babd63c8d987cef079c4a425429f33b3a34797d803bbe2ad48c29dbd0d790"},
      {"RUL_FD001.txt", "a19c8ec94931949d0485bdc35118206e9c81c4547b422efb9cf86f4ceddbceca"},
      {"RUL_FD002.txt", "c851dd96a6ea6998d3c4a8f834d3c8013aa90e93a6ed950dc826ad0655b2906b"},
      {"RUL_FD003.txt", "df1e0566306b174a2de41c67a3e7a51877889598b78643fc3e5685259091b7cb"},
  };
  return sums;
}

Result<fs::path> data_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return fs::path(cache) / "nacelle/cmapss";
  if (const char* home = std::getenv("HOME"); home && *home) return fs::path(home) / ".cache/nacelle/cmapss";
  return fail(Fault::not_found, "neither XDG_CACHE_HOME nor HOME says where a cache folder may be; give a folder");
}

awaitable<Result<Bytes>> download(std::string url) {
  CO_TRY_LET(const Url parsed, parse_url(url));
  net::HttpClientOptions options;
  options.endpoint = parsed.endpoint;
  options.server_name = parsed.endpoint.host;
  if (parsed.tls) {
    CO_TRY_LET(options.tls, net::TlsClientContext::make(""));
  }
  net::HttpClient client(std::move(options));
  net::HttpRequest request;
  request.target = parsed.target;
  auto response = co_await client.send(std::move(request));
  if (!response) co_return fail(std::move(response).error());
  if (response->status != 200)
    co_return fail(Fault::unavailable, fmt::format("{}: expected status 200, found {}", url, response->status));
  co_return std::move(response->body);
}

awaitable<Result<std::vector<std::string>>> fetch_cmapss(std::string url, fs::path folder) {
  CO_TRY_LET(const Bytes archive, co_await download(std::move(url)));
  co_return unpack_checked(archive, cmapss_sums(), folder);
}

Result<std::vector<std::string>> unpack_checked(BytesView archive, const KnownSums& sums, const fs::path& folder) {
  std::map<std::string, Bytes> found;
  TRY(each_file(archive, 1, [&](const std::string& name, Bytes content) -> Result<> {
    const auto known = sums.find(name);
    if (known == sums.end()) return {};
    if (const std::string sum = digest::sha256_hex(content); sum != known->second)
      return fail(Fault::corrupt, fmt::format("the archive: {}: expected SHA-256 {}, found {}", name, known->second, sum));
    found.insert_or_assign(name, std::move(content));
    return {};
  }));
  for (const auto& [name, sum] : sums)
    if (!found.contains(name)) return fail(Fault::corrupt, fmt::format("the archive: {} is missing", name));
  std::vector<std::string> names;
  for (const auto& [name, content] : found) {
    TRY(write_whole(folder / name, BytesView(content)));
    names.push_back(name);
  }
  return names;
}

}  // namespace nacelle::workbench
