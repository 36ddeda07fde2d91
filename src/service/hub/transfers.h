#pragma once
// Transfers: import and export of the registry as `devices.txt`, one bulk item a line, from and to containers of the hub (wire
// facts 2.8, v1).

#include <optional>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "foundation/task_scope.h"
#include "service/hub/containers.h"

namespace nacelle::hub {

struct Services;

struct TransferRequest {
  bool import = false;
  std::string input;   ///< container; of an import
  std::string output;  ///< container: of an export's devices, or of an import's errors
  bool keys = true;
};

/// On the tables strand, but for close(). One job runs at a time; other calls go on beside it, between its batches. An export that
/// a stop or kill interrupts is begun again; an import has failed: it says which lines were taken, and what was done stays done.
class Transfers {
 public:
  static Result<std::unique_ptr<Transfers>> open(Services& services);
  awaitable<void> close();

  Containers& containers() { return containers_; }
  /// The body of POST /jobs/create; the addresses in it are checked. Fault::invalid_input or denied.
  Result<TransferRequest> read(const json::Value& document) const;

  /// Fault::exhausted beyond most_waiting.
  Result<json::Value> start(const TransferRequest& request);
  Result<json::Value> find(const std::string& id) const;  ///< Fault::not_found
  Result<json::Array> list() const;                       ///< newest first, at most most_kept
  Result<json::Value> cancel(const std::string& id);      ///< what is done stays done. Fault::not_found

  static constexpr std::int64_t most_kept = 100;
  static constexpr std::int64_t most_waiting = 10;

 private:
  explicit Transfers(Services& services);
  Result<> take_up();
  void run_soon();
  awaitable<void> run_waiting();
  awaitable<Result<>> run_export(std::string id, TransferRequest request);
  awaitable<Result<>> run_import(std::string id, TransferRequest request);
  Result<bool> import_lines(const std::string& id, const std::vector<std::string_view>& lines, std::size_t first);
  Result<std::string> errors_of(const std::string& id) const;
  Result<std::optional<std::string>> next_waiting();
  Result<bool> note_progress(const std::string& id, std::size_t done, std::size_t all);
  Result<> end(const std::string& id, const Result<>& outcome);

  Services& services_;
  Containers containers_;
  TaskScope tasks_;
  bool running_ = false;
};

}  // namespace nacelle::hub
