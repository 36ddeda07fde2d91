#pragma once
// Tables: SQLite in WAL mode with synchronous=FULL, so that a committed change is on disk when the call is back.
//
//   TRY_LET(auto db, Database::open(path, {"CREATE TABLE device (id TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT"}));
//   TRY(db.run("INSERT INTO device VALUES (?, ?)", id, document));
//   TRY_LET(const auto rows, db.query("SELECT doc FROM device WHERE id = ?", id));

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::storage {

struct Blob {
  Bytes bytes;
};
/// A column's or a parameter's value.
using Cell = std::variant<std::nullptr_t, std::int64_t, double, std::string, Blob>;
using Row = std::vector<Cell>;

// Reading a cell as what its column is not is a bug of ours: declare tables STRICT.
std::int64_t integer(const Cell& cell);  ///< 0 of null
double number(const Cell& cell);
const std::string& text(const Cell& cell);  ///< empty of null
const Bytes& blob(const Cell& cell);

class Database {
 public:
  /// Opens or makes the file (mode 0600) and brings it up to `migrations` (each run once, in order, in a transaction;
  /// PRAGMA user_version counts them). A file made by a newer version is Fault::conflict; a damaged one is renamed
  /// `*.quarantined` only by the caller: here Fault::corrupt.
  static Result<Database> open(const std::filesystem::path& path, const std::vector<std::string>& migrations);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  /// Runs one statement with bound parameters; back when durable (outside a transaction). Any thread; serialised.
  /// Fault::conflict when a constraint refuses, timed_out when another process holds the database, exhausted when the
  /// disk is full, corrupt when the file is damaged. Messages name the table, never a value.
  Result<std::int64_t> run_cells(std::string_view sql, const std::vector<Cell>& parameters);  ///< rows changed
  Result<std::vector<Row>> query_cells(std::string_view sql, const std::vector<Cell>& parameters) const;
  std::int64_t last_insert_id() const;

  template <class... Args>
  Result<std::int64_t> run(std::string_view sql, Args&&... args) {
    return run_cells(sql, {to_cell(std::forward<Args>(args))...});
  }
  template <class... Args>
  Result<std::vector<Row>> query(std::string_view sql, Args&&... args) const {
    return query_cells(sql, {to_cell(std::forward<Args>(args))...});
  }

  /// `body` in one transaction: committed if it answers well, rolled back otherwise. Not nested. Other threads wait.
  Result<> transaction(const std::function<Result<>()>& body);

 private:
  static Cell to_cell(std::nullptr_t) { return nullptr; }
  template <class T>
  requires std::is_integral_v<T>
  static Cell to_cell(T value) { return static_cast<std::int64_t>(value); }
  static Cell to_cell(double value) { return value; }
  static Cell to_cell(std::string_view value) { return std::string(value); }
  static Cell to_cell(const std::string& value) { return value; }
  static Cell to_cell(const char* value) { return std::string(value); }
  static Cell to_cell(Blob value) { return value; }

  struct State;
  explicit Database(std::unique_ptr<State> state);
  Result<> prepare_connection();
  Result<> migrate(const std::vector<std::string>& migrations);
  std::unique_ptr<State> state_;
};

}  // namespace nacelle::storage
