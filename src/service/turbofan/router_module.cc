// The turbofan-router's body: I/O around router_logic.

#include "foundation/log.h"
#include "net/socket/runtime.h"
#include "service/turbofan/module_client.h"
#include "service/turbofan/module_main.h"
#include "service/turbofan/router_logic.h"

namespace nacelle::turbofan {

namespace {

constexpr std::chrono::seconds report_every{30};

class Router : public std::enable_shared_from_this<Router> {
 public:
  explicit Router(ReadingForm form) : form_(std::move(form)) {}

  void set_client(std::shared_ptr<ModuleClient> client) {
    client_ = std::move(client);
    auto early = std::exchange(early_, {});
    for (auto& [input, message, done] : early) take(std::move(input), std::move(message), std::move(done));
  }

  /// The input is acknowledged once all that comes of it is on the edge's disk: nothing is lost between.
  void take(std::string from, telemetry::Message message, std::function<void()> done) {
    if (!client_) return early_.emplace_back(std::move(from), std::move(message), std::move(done)), void();
    std::vector<Outgoing> out;
    if (from == input::device) {
      ++readings_;
      out.push_back(route_reading(message));
    } else if (from == input::rul) {
      ++predictions_;
      out = route_prediction(message, form_);
    } else {
      out.push_back(dead_letter(message, "the router has no input '" + from + "'"));
    }
    auto left = std::make_shared<std::size_t>(out.size());
    for (Outgoing& outgoing : out) {
      if (outgoing.output == output::dead) {
        ++dead_;
        log::warn("router", "dead letter from {}: {}", outgoing.message.application.get(original_device),
                  outgoing.message.application.get("DeadLetterReason"));
      } else {
        log::debug("router", "{} -> {}", from, outgoing.output);
      }
      client_->send_surely(outgoing.output, std::move(outgoing.message), [left, done] {
        if (--*left == 0) done();
      });
    }
  }

  void set_log_level(const json::Value& desired) {
    const json::Value* wanted = desired.find("LogLevel");
    if (!wanted) wanted = desired.find("logLevel");
    if (!wanted || !wanted->is_string()) return;
    const std::string& level = wanted->as_string();
    if (level == "Error")
      log::set_level(log::Level::error);
    else if (level == "Warning")
      log::set_level(log::Level::warn);
    else if (level == "Information")
      log::set_level(log::Level::info);
    else if (level == "Verbose")
      log::set_level(log::Level::debug);
    else
      return log::warn("router", "LogLevel '{}': expected Error, Warning, Information or Verbose", level);
    if (client_) client_->report(json::Object{{"LogLevel", level}});
  }

  void report() {
    const json::Object counters{{"readings", readings_}, {"predictions", predictions_}, {"deadLetters", dead_}};
    if (client_) client_->report(json::Object{{"counters", counters}});
  }

 private:
  const ReadingForm form_;
  std::shared_ptr<ModuleClient> client_;
  std::vector<std::tuple<std::string, telemetry::Message, std::function<void()>>> early_;
  std::int64_t readings_ = 0, predictions_ = 0, dead_ = 0;
};

}  // namespace

awaitable<Result<>> run_router(Executor strand, ModuleEnvironment me, Variables variables) {
  const SystemClock clock;
  CO_TRY_LET(ReadingForm form, ReadingForm::of(variables));
  const auto router = std::make_shared<Router>(std::move(form));
  ModuleClient::Handlers handlers;
  handlers.on_input = [router](std::string input, telemetry::Message message, std::function<void()> done) {
    router->take(std::move(input), std::move(message), std::move(done));
  };
  handlers.on_desired = [router](const json::Value& desired) { router->set_log_level(desired); };
  auto client = co_await ModuleClient::connect(strand, std::move(me), clock, std::move(handlers));
  if (!client) co_return fail(std::move(client).error());
  router->set_client(*client);
  log::info("router", "ready");
  while (true) {
    const bool slept = co_await sleep_for(report_every);
    if (!slept) break;
    router->report();
  }
  co_await (*client)->close();
  co_return Result<>{};
}

}  // namespace nacelle::turbofan
