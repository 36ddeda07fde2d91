#include "app/trial_workers.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <new>
#include <thread>

#include "app/child_process.h"
#include "service/workbench/files.h"
#include "storage/file/file.h"

namespace nacelle::app {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t max_answer_bytes = std::size_t{1} << 30;

Result<json::Value> read_document(const fs::path& path) {
  TRY_LET(const Bytes text, storage::read_file(storage::real_file_system(), path, ByteCount{max_answer_bytes}));
  return in(json::parse(text, {.max_bytes = max_answer_bytes, .max_depth = 64}), path.string());
}

std::string_view fault_text(Fault fault) { return fault == Fault::conflict ? "conflict" : "invalid_input"; }

/// What a trial that ended says: its answer, or why there is none.
Result<json::Value> answer_of(const fs::path& path, int code, const workbench::TrialRequest& request) {
  auto document = read_document(path);
  if (!document) {
    const std::string how =
        code > 128 ? fmt::format("was ended by signal {}", code - 128) : fmt::format("ended with code {}", code);
    return fail(Fault::conflict,
                fmt::format("the trial's process {} without an answer (its memory limit is {} MiB)", how, request.memory_mb));
  }
  const json::Value* error = document->find("error");
  if (!error) return document;
  const json::Value* fault = document->find("fault");
  const bool conflict = fault && fault->is_string() && fault->as_string() == "conflict";
  return fail(conflict ? Fault::conflict : Fault::invalid_input, error->is_string() ? error->as_string() : "it failed");
}

class ProcessWorkers final : public workbench::TrialWorkers {
 public:
  ProcessWorkers(fs::path folder, std::size_t parallel) : folder_(std::move(folder)), parallel_(parallel) {}
  ~ProcessWorkers() override {
    under_way_.clear();  // their processes are ended
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  std::size_t room() const override { return parallel_ - under_way_.size(); }

  Result<> start(std::size_t ticket, const workbench::TrialRequest& request) override {
    const std::size_t number = ++started_;
    const fs::path question = folder_ / fmt::format("{}.request.json", number),
                   answer = folder_ / fmt::format("{}.answer.json", number);
    TRY(workbench::write_whole(question, json::print(request.to_json())));
    TRY_LET(ChildProcess process, ChildProcess::start({own_program().string(), "trial", question.string(), answer.string()},
                                                      {.log = folder_ / fmt::format("{}.log", number)}));
    const auto deadline =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(request.seconds));
    under_way_.push_back(std::make_unique<UnderWay>(UnderWay{ticket, request, answer, std::move(process), deadline}));
    return {};
  }

  Result<Done> next() override {
    INVARIANT(!under_way_.empty(), "next() is called after start()");
    for (;;) {
      if (InterruptGuard::interrupted()) return fail(Fault::unavailable, "interrupted; 'nacelle experiments resume' goes on");
      for (std::size_t i = 0; i < under_way_.size(); ++i) {
        UnderWay& one = *under_way_[i];
        const bool late = Clock::now() > one.deadline;
        if (one.process.running() && !late) continue;
        const std::unique_ptr<UnderWay> ended = std::move(under_way_[i]);
        under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
        const bool stopped = ended->process.running();
        const int code = ended->process.stop(std::chrono::seconds{2});
        if (stopped)
          return Done{ended->ticket,
                      fail(Fault::timed_out, fmt::format("the trial took longer than {} s", ended->request.seconds))};
        return Done{ended->ticket, answer_of(ended->answer, code, ended->request)};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
  }

 private:
  struct UnderWay {
    std::size_t ticket;
    workbench::TrialRequest request;
    fs::path answer;
    ChildProcess process;
    Clock::time_point deadline;
  };
  fs::path folder_;
  std::size_t parallel_;
  std::size_t started_ = 0;
  std::vector<std::unique_ptr<UnderWay>> under_way_;
  InterruptGuard guard_;
};

void limit_memory(std::size_t megabytes) {
  const rlimit limit{.rlim_cur = rlim_t{megabytes} << 20, .rlim_max = rlim_t{megabytes} << 20};
  ::setrlimit(RLIMIT_AS, &limit);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

Result<json::Value> work(const fs::path& question, std::size_t& memory_mb) {
  TRY_LET(const json::Value document, read_document(question));
  TRY_LET(const workbench::TrialRequest request, workbench::TrialRequest::from_json(document));
  memory_mb = request.memory_mb;
  limit_memory(request.memory_mb);
  TRY_LET(const dataset::FleetTable table, workbench::load_fleet(request.source));
  return workbench::run_trial(request, table);
}

}  // namespace

std::unique_ptr<workbench::TrialWorkers> make_process_workers(fs::path folder, std::size_t parallel) {
  return std::make_unique<ProcessWorkers>(std::move(folder), parallel);
}

int do_trial(const fs::path& question, const fs::path& answer) {
  std::size_t memory_mb = 0;
  Result<json::Value> result = fail(Fault::conflict, "nothing was done");
  try {
    result = work(question, memory_mb);
  } catch (const std::bad_alloc&) {
    result = fail(Fault::conflict, fmt::format("the trial needs more memory than its limit of {} MiB", memory_mb));
  }
  const json::Value document =
      result ? *result : json::Value(json::Object{{"error", result.error().message}, {"fault", fault_text(result.error().fault)}});
  return workbench::write_whole(answer, json::print(document)) ? 0 : 1;
}

}  // namespace nacelle::app
