#include "storage/tables/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "storage/file/file.h"

namespace nacelle::storage {
namespace {

constexpr int busy_timeout_ms = 5000;              // another process's transaction is waited for this long
constexpr std::size_t cached_statements = 64;      // more than any of our services has distinct statements
constexpr ByteCount checked_whole_bytes = 64_MiB;  // up to here the check of the whole file takes well under a second

Fault fault_of(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Fault::timed_out;
    case SQLITE_CONSTRAINT: return Fault::conflict;
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM: return Fault::exhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Fault::corrupt;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return Fault::denied;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL: return Fault::unavailable;
    default: return Fault::invalid_input;
  }
}

std::string upper(std::string_view word) {
  std::string out(word);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

/// The table a statement is about, for messages: the word after FROM, INTO, UPDATE or TABLE. Never the statement itself:
/// a careless caller might have put a value into it.
std::string table_of(std::string_view sql) {
  std::string previous;
  for (std::size_t at = 0; at < sql.size();) {
    const auto is_word = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
    if (!is_word(static_cast<unsigned char>(sql[at]))) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < sql.size() && is_word(static_cast<unsigned char>(sql[at]))) ++at;
    const std::string word = upper(sql.substr(begin, at - begin));
    const bool skipped = word == "IF" || word == "NOT" || word == "EXISTS" || word == "OR" || word == "REPLACE" || word == "IGNORE";
    if (skipped) continue;
    if (previous == "FROM" || previous == "INTO" || previous == "UPDATE" || previous == "TABLE")
      return std::string(sql.substr(begin, at - begin));
    previous = word;
  }
  return "(no table)";
}

struct StatementCloser {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, StatementCloser>;

struct ConnectionCloser {
  void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
};

}  // namespace

struct Database::State {
  std::string path;
  std::unique_ptr<sqlite3, ConnectionCloser> connection;     // declared before the statements: closed after them
  std::recursive_mutex mutex;                                // one user at a time; a transaction's body calls run()
  std::map<std::string, Statement, std::less<>> statements;  // guarded by mutex
  bool in_transaction = false;                               // guarded by mutex

  Failure failed(std::string_view doing, int code) {
    return fail(fault_of(code), fmt::format("{}: {}: {}", path, doing, sqlite3_errmsg(connection.get())));
  }
  Result<> execute(const char* sql, std::string_view doing) {
    const int code = sqlite3_exec(connection.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failed(doing, code);
    return {};
  }
  Result<sqlite3_stmt*> prepare(std::string_view sql);
  Result<> bind(sqlite3_stmt* statement, std::string_view sql, const std::vector<Cell>& parameters);
  /// Runs to the end. A row that is longer or shorter than the statement's columns cannot happen.
  Result<std::vector<Row>> run(std::string_view sql, const std::vector<Cell>& parameters);
};

namespace {

int bind_cell(sqlite3_stmt* statement, int at, const Cell& cell) {
  struct Binder {
    sqlite3_stmt* statement;
    int at;
    int operator()(std::nullptr_t) const { return sqlite3_bind_null(statement, at); }
    int operator()(std::int64_t value) const { return sqlite3_bind_int64(statement, at, value); }
    int operator()(double value) const { return sqlite3_bind_double(statement, at, value); }
    // SQLITE_STATIC: the cells outlive the step, and clear_bindings follows it.
    int operator()(const std::string& value) const {
      return sqlite3_bind_text64(statement, at, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    int operator()(const Blob& value) const {
      return sqlite3_bind_blob64(statement, at, value.bytes.data(), value.bytes.size(), SQLITE_STATIC);
    }
  };
  return std::visit(Binder{statement, at}, cell);
}

Cell read_cell(sqlite3_stmt* statement, int at) {
  const auto bytes = [&](const void* data) {
    return data ? std::string(static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement, at)))
                : std::string();
  };
  switch (sqlite3_column_type(statement, at)) {
    case SQLITE_INTEGER: return static_cast<std::int64_t>(sqlite3_column_int64(statement, at));
    case SQLITE_FLOAT: return sqlite3_column_double(statement, at);
    case SQLITE_TEXT: return bytes(sqlite3_column_text(statement, at));
    case SQLITE_BLOB: return Blob{bytes(sqlite3_column_blob(statement, at))};
    default: return nullptr;
  }
}

Row read_row(sqlite3_stmt* statement) {
  const int columns = sqlite3_column_count(statement);
  Row row;
  row.reserve(static_cast<std::size_t>(columns));
  for (int i = 0; i < columns; ++i) row.push_back(read_cell(statement, i));
  return row;
}

/// Leaves a statement ready for the next use, and holding none of this one's values.
class Rewind {
 public:
  explicit Rewind(sqlite3_stmt* statement) : statement_(statement) {}
  ~Rewind() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

 private:
  sqlite3_stmt* statement_;
};

}  // namespace

Result<sqlite3_stmt*> Database::State::prepare(std::string_view sql) {
  if (const auto found = statements.find(sql); found != statements.end()) return found->second.get();
  sqlite3_stmt* raw = nullptr;
  const char* rest = nullptr;
  const int code =
      sqlite3_prepare_v3(connection.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw, &rest);
  Statement statement(raw);
  if (code != SQLITE_OK) return failed(fmt::format("statement on {}", table_of(sql)), code);
  const std::string_view excess(rest, static_cast<std::size_t>(sql.data() + sql.size() - rest));
  if (!statement || excess.find_first_not_of(" \t\r\n;") != std::string_view::npos)
    return fail(Fault::invalid_input, fmt::format("{}: statement on {}: wanted exactly one statement", path, table_of(sql)));
  if (statements.size() >= cached_statements) statements.clear();
  return statements.emplace(sql, std::move(statement)).first->second.get();
}

Result<> Database::State::bind(sqlite3_stmt* statement, std::string_view sql, const std::vector<Cell>& parameters) {
  const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(statement));
  if (wanted != parameters.size())
    return fail(Fault::invalid_input, fmt::format("{}: statement on {} has {} parameters, {} were given", path, table_of(sql),
                                                  wanted, parameters.size()));
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (const int code = bind_cell(statement, static_cast<int>(i) + 1, parameters[i]); code != SQLITE_OK)
      return failed(fmt::format("statement on {}, parameter {}", table_of(sql), i + 1), code);
  return {};
}

Result<std::vector<Row>> Database::State::run(std::string_view sql, const std::vector<Cell>& parameters) {
  TRY_LET(sqlite3_stmt* const statement, prepare(sql));
  const Rewind rewind(statement);
  TRY(bind(statement, sql, parameters));
  std::vector<Row> rows;
  int code = sqlite3_step(statement);
  for (; code == SQLITE_ROW; code = sqlite3_step(statement)) rows.push_back(read_row(statement));
  if (code != SQLITE_DONE) return failed(fmt::format("statement on {}", table_of(sql)), code);
  return rows;
}

namespace {

/// Made before SQLite opens it, so that it is never readable by others; the WAL inherits the mode.
Result<> make_private_file(const fs::path& path) {
  auto& files = real_file_system();
  TRY_LET(const bool there, files.exists(path));
  if (there) return {};
  const auto made = files.open(path, OpenMode::create, 0600);
  if (!made && made.error().fault != Fault::conflict) return fail(made.error());
  return files.sync_directory(path.parent_path());
}

}  // namespace

Result<Database> Database::open(const std::filesystem::path& path, const std::vector<std::string>& migrations) {
  TRY(make_private_file(path));
  auto state = std::make_unique<State>();
  state->path = path.string();
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  state->connection.reset(raw);
  if (code != SQLITE_OK) return state->failed("opening", code);
  Database database(std::move(state));
  TRY(database.prepare_connection());
  TRY(database.migrate(migrations));
  return database;
}

Result<> Database::prepare_connection() {
  sqlite3* const connection = state_->connection.get();
  sqlite3_busy_timeout(connection, busy_timeout_ms);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  TRY_LET(const auto mode, query("PRAGMA journal_mode = WAL"));
  if (mode.empty() || text(mode[0][0]) != "wal")
    return fail(Fault::unavailable, fmt::format("{}: its file system cannot hold a write-ahead log", state_->path));
  TRY(
      state_->execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                      "PRAGMA journal_size_limit = 67108864",
                      "settings"));
  TRY_LET(const FileInfo file, real_file_system().info(state_->path));
  if (file.bytes > checked_whole_bytes) return {};
  TRY_LET(const auto check, query("PRAGMA quick_check(1)"));
  if (check.empty() || text(check[0][0]) != "ok")
    return fail(Fault::corrupt, fmt::format("{} is damaged: {}", state_->path, check.empty() ? "" : text(check[0][0])));
  return {};
}

Result<> Database::migrate(const std::vector<std::string>& migrations) {
  const auto count = static_cast<std::int64_t>(migrations.size());
  bool done = false;
  const auto one_step = [&]() -> Result<> {  // the version is read inside: another process may be migrating too
    TRY_LET(const auto rows, query("PRAGMA user_version"));
    const std::int64_t version = integer(rows.at(0).at(0));
    if (version > count)
      return fail(Fault::conflict,
                  fmt::format("{} is of version {}, made by a newer program; this one knows {}", state_->path, version, count));
    done = version == count;
    if (done) return {};
    TRY(state_->execute(migrations[static_cast<std::size_t>(version)].c_str(), fmt::format("migration {}", version + 1)));
    return state_->execute(fmt::format("PRAGMA user_version = {}", version + 1).c_str(), "recording the version");
  };
  while (!done) TRY(transaction(one_step));
  return {};
}

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<std::int64_t> Database::run_cells(std::string_view sql, const std::vector<Cell>& parameters) {
  const std::lock_guard lock(state_->mutex);
  const auto before = sqlite3_total_changes64(state_->connection.get());
  TRY(state_->run(sql, parameters));
  // sqlite3_changes64 keeps its old answer over statements that change no rows at all.
  const bool changed = sqlite3_total_changes64(state_->connection.get()) != before;
  return changed ? static_cast<std::int64_t>(sqlite3_changes64(state_->connection.get())) : 0;
}

Result<std::vector<Row>> Database::query_cells(std::string_view sql, const std::vector<Cell>& parameters) const {
  const std::lock_guard lock(state_->mutex);
  return state_->run(sql, parameters);
}

std::int64_t Database::last_insert_id() const {
  const std::lock_guard lock(state_->mutex);
  return sqlite3_last_insert_rowid(state_->connection.get());
}

Result<> Database::transaction(const std::function<Result<>()>& body) {
  const std::lock_guard lock(state_->mutex);
  INVARIANT(!state_->in_transaction, "transactions are not nested");
  // IMMEDIATE: to wait for another writer now, rather than fail halfway through.
  TRY(state_->execute("BEGIN IMMEDIATE", "beginning a transaction"));
  struct Open {
    State& state;
    ~Open() {
      state.in_transaction = false;
      // Also reached by an exception out of the body, and after errors at which SQLite has rolled back by itself.
      if (!sqlite3_get_autocommit(state.connection.get()))
        sqlite3_exec(state.connection.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
  } open{*state_};
  state_->in_transaction = true;
  TRY(body());
  return state_->execute("COMMIT", "committing");
}

std::int64_t integer(const Cell& cell) {
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) return *whole;
  INVARIANT(std::holds_alternative<std::nullptr_t>(cell), "the column is read as what its table declares: an integer");
  return 0;
}

double number(const Cell& cell) {
  if (const auto* real = std::get_if<double>(&cell)) return *real;
  return static_cast<double>(integer(cell));
}

const std::string& text(const Cell& cell) {
  static const std::string none;
  if (const auto* value = std::get_if<std::string>(&cell)) return *value;
  INVARIANT(std::holds_alternative<std::nullptr_t>(cell), "the column is read as what its table declares: a text");
  return none;
}

const Bytes& blob(const Cell& cell) {
  static const Bytes none;
  if (const auto* value = std::get_if<Blob>(&cell)) return value->bytes;
  INVARIANT(std::holds_alternative<std::nullptr_t>(cell), "the column is read as what its table declares: a blob");
  return none;
}

}  // namespace nacelle::storage
