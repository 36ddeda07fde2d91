#include "storage/tables/integrity.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <memory>

namespace nacelle::storage {
namespace {

struct ConnectionCloser {
  void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
};
struct StatementCloser {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

constexpr int busy_timeout_ms = 5000;

Failure failed(const std::filesystem::path& path, int code, sqlite3* connection) {
  const int primary = code & 0xff;
  const Fault fault = primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ? Fault::corrupt : Fault::unavailable;
  return fail(fault, fmt::format("{}: {}", path.string(), connection ? sqlite3_errmsg(connection) : sqlite3_errstr(code)));
}

}  // namespace

Result<std::vector<std::string>> check_integrity(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return fail(Fault::not_found, fmt::format("{} is not there", path.string()));
  sqlite3* opened = nullptr;
  int code = sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
  const std::unique_ptr<sqlite3, ConnectionCloser> connection(opened);
  if (code != SQLITE_OK) return failed(path, code, opened);
  sqlite3_busy_timeout(opened, busy_timeout_ms);
  sqlite3_stmt* prepared = nullptr;
  code = sqlite3_prepare_v2(opened, "PRAGMA integrity_check(10)", -1, &prepared, nullptr);
  const std::unique_ptr<sqlite3_stmt, StatementCloser> statement(prepared);
  if (code != SQLITE_OK) return failed(path, code, opened);
  std::vector<std::string> found;
  while ((code = sqlite3_step(prepared)) == SQLITE_ROW) {
    const unsigned char* text = sqlite3_column_text(prepared, 0);
    const std::string line = text ? reinterpret_cast<const char*>(text) : "";
    if (line != "ok") found.push_back(line);
  }
  if (code != SQLITE_DONE) return failed(path, code, opened);
  return found;
}

}  // namespace nacelle::storage
