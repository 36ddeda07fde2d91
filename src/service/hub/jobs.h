#pragma once
// Jobs: one twin update or method call for every device a query finds, kept on disk until each has its outcome (wire facts 2.8;
// docs/decisions/0172-jobs.md).

#include <atomic>

#include "foundation/task_scope.h"
#include "service/hub/methods.h"
#include "service/hub/queries.h"

namespace nacelle::hub {

struct Services;

enum class JobType { update_twin, device_method };

struct JobRequest {
  std::string id;
  JobType type = JobType::update_twin;
  std::string query_condition;
  json::Value content = json::Object{};  ///< `updateTwin` or `cloudToDeviceMethod`
  Timestamp start{};                     ///< as early as can be: now
  std::chrono::seconds most_time{3600};
};
/// The body of a schedule call. Fault::invalid_input names the member.
Result<JobRequest> read_job(const json::Value& document, const std::string& id);

/// On the tables strand, but for run() and close(). A job's devices are found once, when it starts; their rows are on disk before
/// the first is touched. A twin update and its outcome are one transaction: after a kill nothing is done twice and nothing left
/// out. A method call that was under way at a kill counts as failed: whether the device had it is not known, so it is not repeated.
class Jobs {
 public:
  static Result<std::unique_ptr<Jobs>> open(Services& services);

  /// Starts jobs when they are due.
  awaitable<void> run();
  /// Ends the calls under way.
  awaitable<void> close();

  /// Fault::conflict if there is one of this id, exhausted beyond max_unfinished.
  Result<json::Value> schedule(const JobRequest& request);
  Result<json::Value> find(const std::string& id);  ///< Fault::not_found
  /// What has begun goes on to its end, the rest is left. Fault::not_found.
  Result<json::Value> cancel(const std::string& id);
  /// Newest first; empty filters take all.
  Result<QueryPage> list(const std::string& type, const std::string& status, std::size_t page_size,
                         const std::string& continuation);

  /// Does what can be done now; with method calls, begins them. For tests; run() does it by itself.
  void step();

  static constexpr std::size_t max_unfinished = 100;
  static constexpr std::size_t calls_at_once = 50;

 private:
  explicit Jobs(Services& services);
  struct Running;
  void advance();
  Result<bool> advance_once();
  Result<> begin(const std::string& id);
  Result<> give_up(const Running& job);
  Result<bool> update_some(const Running& job);
  Result<bool> call_some(const Running& job);
  Result<> finish_if_done(const std::string& id);
  awaitable<void> call(device::IdentityName who, std::string job, MethodRequest request);
  Result<> called(const device::IdentityName& who, const std::string& job, const Result<MethodAnswer>& answer);
  Result<json::Value> document(const storage::Row& row);
  Result<std::vector<device::IdentityName>> pending(const std::string& job, std::size_t most);
  Result<> prune();
  std::string now_text() const;

  Services& services_;
  TaskScope calls_;
  std::size_t calling_ = 0;
  bool advancing_ = false;
  bool stopped_ = false;
  std::atomic<std::size_t> unfinished_{0};
};

}  // namespace nacelle::hub
