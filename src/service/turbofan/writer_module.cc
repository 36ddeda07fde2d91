// The avro-file-writer's body: I/O around SliceFiles and the uploader.

#include "foundation/log.h"
#include "service/turbofan/module_client.h"
#include "service/turbofan/module_main.h"
#include "service/turbofan/slice_files.h"
#include "service/turbofan/uploader.h"

namespace nacelle::turbofan {

namespace {

using std::chrono::seconds;

constexpr std::string_view input_name = "avroModuleInput";
constexpr seconds report_every{30};

/// T-45's times; the environment or the twin may say others: sliceSeconds, idleSeconds, uploadSeconds.
struct Times {
  seconds slice{300};
  seconds idle{600};
  seconds upload{60};
};

Result<Times> read_times(const Variables& variables) {
  constexpr std::int64_t day = 86'400;
  Times times;
  TRY_LET(const std::int64_t slice, number_variable(variables, "SLICE_SECONDS", times.slice.count(), 1, day));
  TRY_LET(const std::int64_t idle, number_variable(variables, "IDLE_SECONDS", times.idle.count(), 0, day));
  TRY_LET(const std::int64_t upload, number_variable(variables, "UPLOAD_SECONDS", times.upload.count(), 1, day));
  return Times{seconds(slice), seconds(idle), seconds(upload)};
}

void read_time(const json::Value& desired, std::string_view name, seconds& time) {
  const json::Value* value = desired.find(name);
  if (!value) return;
  if (value->is_integer() && value->as_integer() >= 0 && value->as_integer() <= 86'400)
    time = seconds(value->as_integer());
  else
    log::warn("avro-writer", "desired property {}: expected 0 to 86400", name);
}

class Writer : public std::enable_shared_from_this<Writer> {
 public:
  Writer(Executor strand, std::unique_ptr<SliceFiles> files, Times times, ReadingForm form)
      : strand_(strand), files_(std::move(files)), times_(times), form_(std::move(form)) {}

  void set_client(std::shared_ptr<ModuleClient> client) { client_ = std::move(client); }

  void take(std::string_view from, telemetry::Message message, std::function<void()> done) {
    auto data = from == input_name ? read_engine_data(message, form_)
                                   : Result<EngineData>(fail(Fault::invalid_input, "it came on another input"));
    if (!data) {
      ++refused_;
      log::warn("avro-writer", "a message that is no full record is passed over: {}", data.error().message);
      return done();
    }
    records_.push_back(std::move(*data));
    dones_.push_back(std::move(done));
    if (std::exchange(write_posted_, true)) return;
    // Behind everything that has arrived by now: one block and one sync for all of it.
    asio::post(strand_, [self = shared_from_this()] { self->write(); });
  }

  void set_times(const json::Value& desired) {
    read_time(desired, "sliceSeconds", times_.slice);
    read_time(desired, "idleSeconds", times_.idle);
    read_time(desired, "uploadSeconds", times_.upload);
    times_.slice = std::max(times_.slice, seconds(1));
    times_.upload = std::max(times_.upload, seconds(1));
    files_->set_times(times_.slice, times_.idle);
  }

  void report() {
    if (!client_) return;
    const json::Object counters{{"written", written_},
                                {"repeated", static_cast<std::int64_t>(files_->repeated())},
                                {"refused", refused_},
                                {"uploaded", uploaded_}};
    client_->report(json::Object{{"counters", counters}});
  }

  /// One round after the other: a file is never uploaded twice at once.
  static awaitable<void> upload_rounds(std::shared_ptr<Writer> self) {
    auto next_report = std::chrono::steady_clock::now() + report_every;
    while (true) {
      const bool slept = co_await sleep_for(self->times_.upload);
      if (!slept) co_return;
      if (auto ticked = self->files_->tick(); !ticked) log::error("avro-writer", "{}", ticked.error().message);
      const auto names = self->files_->complete();
      if (!names) {
        log::error("avro-writer", "{}", names.error().message);
        continue;
      }
      for (const std::string& name : *names) {
        const bool well = co_await upload_one(self, name);
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) co_return;
        if (!well) break;  // most likely the network: the rest waits for the next round
      }
      if (std::chrono::steady_clock::now() < next_report) continue;
      next_report += report_every;
      self->report();
    }
  }

 private:
  void write() {
    write_posted_ = false;
    const std::vector<EngineData> records = std::exchange(records_, {});
    const auto dones = std::exchange(dones_, {});
    auto added = files_->add(records);
    if (!added) {
      // A file whose last write failed is in doubt; recovery at the next start clears it, and the edge sends again.
      log::error("avro-writer", "writing failed: {}", added.error().message);
      std::_Exit(1);
    }
    written_ += static_cast<std::int64_t>(*added);
    for (const auto& done : dones) done();
  }

  static awaitable<bool> upload_one(std::shared_ptr<Writer> self, std::string name) {
    UploadTools tools{self->client_->workload(), self->client_->tls()};
    const std::filesystem::path path = self->files_->path_of(name);
    const auto uploaded = co_await upload_file(tools, path, name);
    if (!uploaded) {
      log::warn("avro-writer", "{} was not uploaded; the next round tries again: {}", name, uploaded.error().message);
      co_return false;
    }
    ++self->uploaded_;
    log::info("avro-writer", "{} uploaded", name);
    if (auto removed = self->files_->remove(name); !removed) log::error("avro-writer", "{}", removed.error().message);
    co_return true;
  }

  Executor strand_;
  std::unique_ptr<SliceFiles> files_;
  Times times_;
  const ReadingForm form_;
  std::shared_ptr<ModuleClient> client_;
  std::vector<EngineData> records_;
  std::vector<std::function<void()>> dones_;
  bool write_posted_ = false;
  std::int64_t written_ = 0, refused_ = 0, uploaded_ = 0;
};

}  // namespace

awaitable<Result<>> run_avro_writer(Executor strand, ModuleEnvironment me, Variables variables) {
  const SystemClock clock;
  CO_TRY_LET(const Times times, read_times(variables));
  SliceOptions options;
  const char* folder = variables("AVRO_FOLDER");
  options.folder = folder ? std::filesystem::path(folder) : me.folder / "avrofiles";
  options.notes = me.folder / "written.json";
  options.slice = times.slice;
  options.idle = times.idle;
  CO_TRY_LET(const ReadingForm form, ReadingForm::of(variables));
  options.form = form;
  CO_TRY_LET(auto files, SliceFiles::open(std::move(options), clock, storage::real_file_system()));
  const auto writer = std::make_shared<Writer>(strand, std::move(files), times, form);
  ModuleClient::Handlers handlers;
  handlers.on_input = [writer](std::string input, telemetry::Message message, std::function<void()> done) {
    writer->take(input, std::move(message), std::move(done));
  };
  handlers.on_desired = [writer](const json::Value& desired) { writer->set_times(desired); };
  auto client = co_await ModuleClient::connect(strand, std::move(me), clock, std::move(handlers));
  if (!client) co_return fail(std::move(client).error());
  writer->set_client(*client);
  log::info("avro-writer", "ready");
  co_await Writer::upload_rounds(writer);
  co_await (*client)->close();
  co_return Result<>{};
}

}  // namespace nacelle::turbofan
