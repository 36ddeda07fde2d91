// The rul-classifier's body: I/O around EngineMemory and ClassifierStore.

#include <deque>

#include "foundation/log.h"
#include "service/turbofan/classifier_store.h"
#include "service/turbofan/module_client.h"
#include "service/turbofan/module_main.h"
#include "service/turbofan/router_logic.h"

namespace nacelle::turbofan {

namespace {

constexpr std::string_view answers = "amlOutput";
constexpr std::chrono::seconds report_every{30};

class Classifier : public std::enable_shared_from_this<Classifier> {
 public:
  Classifier(Executor strand, std::unique_ptr<ClassifierStore> store, ReadingForm form)
      : strand_(strand), store_(std::move(store)), memory_(std::move(form)) {}

  void set_client(std::shared_ptr<ModuleClient> client) {
    client_ = std::move(client);
    take_what_waits();
  }

  /// The model the twin names. The one in place goes on until the new one is ready.
  void want(const json::Value& desired) {
    const json::Value* sha = desired.at_path({"model", "sha256"});
    if (!sha || !sha->is_string() || sha->as_string() == wanted_) return;
    wanted_ = sha->as_string();
    if (!loading_)
      asio::co_spawn(strand_, load(shared_from_this()), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
      });
  }

  void take(telemetry::Message message, std::function<void()> done) {
    waiting_.push_back({std::move(message), std::move(done)});  // at most what the edge sends unacknowledged
    take_what_waits();
  }

  void report_counts() {
    if (client_)
      client_->report(
          json::Object{{"counters", json::Object{{"predictions", predictions_}, {"repeated", repeated_}, {"refused", refused_}}}});
  }

 private:
  struct Waiting {
    telemetry::Message message;
    std::function<void()> done;
  };
  /// An answer in the order its question came; it leaves once its readings are synced.
  struct Answer {
    telemetry::Message message;
    std::function<void()> done;
    std::size_t unsynced = 0;
  };

  void take_what_waits() {
    while (client_ && memory_.has_model() && !waiting_.empty()) {
      Waiting next = std::move(waiting_.front());
      waiting_.pop_front();
      classify(std::move(next.message), std::move(next.done));
    }
  }

  void classify(telemetry::Message message, std::function<void()> done) {
    auto answer = std::make_shared<Answer>();
    answer->done = std::move(done);
    const std::string engine = origin_of(message);
    const std::uint64_t hash = message_hash(message.system.get("correlationId"));
    auto body = json::parse(message.body, {.max_bytes = telemetry::max_message_bytes});
    Result<> well = body ? Result<>() : fail(body.error());
    if (well) well = predict_all(engine, hash, *body, answer);
    message.application.erase(enqueued_at_edge);
    if (well) {
      message.body = json::print(*body);
    } else {
      ++refused_;
      message.application.set("ClassifierError", well.error().message);
      log::debug("classifier", "{}: {}", engine, well.error().message);
    }
    answer->message = std::move(message);
    leaving_.push_back(answer);
    send_ready();
    if (auto kept = store_->snapshot(memory_, false); !kept) give_up(kept.error());
  }

  Result<> predict_all(const std::string& engine, std::uint64_t hash, json::Value& body, const std::shared_ptr<Answer>& answer) {
    if (!body.is_array()) return predict(engine, hash, body, answer);
    for (json::Value& record : body.as_array()) TRY(predict(engine, hash, record, answer));
    return {};
  }

  Result<> predict(const std::string& engine, std::uint64_t hash, json::Value& record, const std::shared_ptr<Answer>& answer) {
    TRY_LET(SeenReading reading, read_reading(record, memory_.form()));
    reading.message = hash;
    TRY_LET(const EngineMemory::Answer found, memory_.step(engine, reading));
    record.as_object().set("PredictedRul", found.prediction);
    ++(found.is_new ? predictions_ : repeated_);
    if (!found.is_new) return {};
    ++answer->unsynced;
    store_->append(engine, found.reading, [weak = weak_from_this(), strand = strand_, answer](Result<> synced) {
      asio::post(strand, [weak, answer, synced = std::move(synced)] {
        const auto self = weak.lock();
        if (!self) return;
        if (!synced) return self->give_up(synced.error());
        --answer->unsynced;
        self->send_ready();
      });
    });
    return {};
  }

  void send_ready() {
    while (!leaving_.empty() && leaving_.front()->unsynced == 0) {
      const auto answer = leaving_.front();
      leaving_.pop_front();
      client_->send_surely(std::string(answers), std::move(answer->message), answer->done);
    }
  }

  /// The state on disk and the one in memory have parted: only a new start, from disk, brings them together.
  void give_up(const Error& why) {
    log::error("classifier", "the state cannot be kept: {}", why.message);
    std::_Exit(1);
  }

  static awaitable<void> load(std::shared_ptr<Classifier> self) {
    self->loading_ = true;
    std::chrono::seconds wait{1};
    while (self->wanted_ != self->tried_) {
      const std::string sha = self->wanted_;
      while (!self->client_)
        if (const bool slept = co_await sleep_for(std::chrono::milliseconds(50)); !slept) co_return;
      auto bytes = co_await self->client_->workload().artifact(sha);
      if (!bytes && (bytes.error().fault == Fault::unavailable || bytes.error().fault == Fault::timed_out)) {
        log::warn("classifier", "model {}: {}; trying again", sha, bytes.error().message);
        const bool slept = co_await sleep_for(wait);
        if (!slept) co_return;
        wait = std::min(wait * 2, std::chrono::seconds(30));
        continue;
      }
      self->tried_ = sha;
      Result<> in_place = bytes ? self->put_in_place(*bytes) : fail(bytes.error());
      self->report_model(sha, in_place);
      self->take_what_waits();
    }
    self->loading_ = false;
  }

  Result<> put_in_place(const Bytes& artifact) {
    TRY_LET(auto model, model::Estimator::parse(artifact));
    const std::string name = model->name();
    const bool first = !memory_.has_model();
    TRY(memory_.use(std::move(model)));
    if (first) {
      if (auto restored = store_->restore(memory_); !restored) give_up(restored.error());
    }
    // From here on a restart needs the new pipeline's states.
    if (auto kept = store_->snapshot(memory_, true); !kept) give_up(kept.error());
    log::info("classifier", "model {} in place, {} engines remembered", name, memory_.engines().size());
    return {};
  }

  void report_model(const std::string& sha, const Result<>& in_place) {
    if (!in_place) log::error("classifier", "model {}: {}", sha, in_place.error().message);
    const json::Object model{{"sha256", sha},
                             {"status", in_place ? "active" : "failed"},
                             {"message", in_place ? std::string() : in_place.error().message}};
    client_->report(json::Object{{"model", model}});
  }

  Executor strand_;
  std::unique_ptr<ClassifierStore> store_;
  std::shared_ptr<ModuleClient> client_;
  EngineMemory memory_;
  std::deque<Waiting> waiting_;
  std::deque<std::shared_ptr<Answer>> leaving_;
  std::string wanted_, tried_;
  bool loading_ = false;
  std::int64_t predictions_ = 0, repeated_ = 0, refused_ = 0;
};

}  // namespace

awaitable<Result<>> run_classifier(Executor strand, ModuleEnvironment me, Variables variables) {
  const SystemClock clock;
  CO_TRY_LET(ReadingForm form, ReadingForm::of(variables));
  CO_TRY_LET(auto store, ClassifierStore::open(me.folder / "state", clock, storage::real_file_system(), form));
  const auto classifier = std::make_shared<Classifier>(strand, std::move(store), std::move(form));
  ModuleClient::Handlers handlers;
  handlers.on_input = [classifier](std::string, telemetry::Message message, std::function<void()> done) {
    classifier->take(std::move(message), std::move(done));
  };
  handlers.on_desired = [classifier](const json::Value& desired) { classifier->want(desired); };
  auto client = co_await ModuleClient::connect(strand, std::move(me), clock, std::move(handlers));
  if (!client) co_return fail(std::move(client).error());
  classifier->set_client(*client);
  log::info("classifier", "ready");
  while (true) {
    const bool slept = co_await sleep_for(report_every);
    if (!slept) break;
    classifier->report_counts();
  }
  co_await (*client)->close();
  co_return Result<>{};
}

}  // namespace nacelle::turbofan
