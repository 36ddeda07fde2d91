// Step 6: the scoring service packed as a container image, run from it as a plain process, tested singly and in bulk.

#include <fmt/format.h>

#include <fstream>
#include <map>

#include "app/demo/stage.h"
#include "net/http/client.h"
#include "net/socket/runtime.h"
#include "service/simulator/replay.h"

namespace nacelle::app::demo {
namespace {

namespace fs = std::filesystem;

awaitable<Result<net::HttpResponse>> post(net::HttpClient* client, std::string target, std::string body) {
  net::HttpRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers.set("Content-Type", "application/json");
  request.body = std::move(body);
  auto response = co_await client->send(std::move(request));
  co_return response;
}

/// The service as its users see it.
class ScoreClient {
 public:
  explicit ScoreClient(std::uint16_t port) : client_({.endpoint = {.host = "127.0.0.1", .port = port, .unix_path = {}}}) {}

  Result<json::Value> score(const std::string& body) {
    TRY_LET(const net::HttpResponse response, runtime_.block_on(post(&client_, "/score", body)));
    if (response.status != 200)
      return fail(Fault::unavailable, fmt::format("POST /score answered {}: {}", response.status, response.body.substr(0, 300)));
    return json::parse(response.body);
  }

 private:
  net::Runtime runtime_{1};
  net::HttpClient client_;
};

/// A reading that names its engine.
std::string named_body(const dataset::FleetTable& table, std::size_t row) {
  std::string body = simulator::reading_body(table, row);
  body.insert(1, fmt::format("\"unit\":{},", table.unit[row]));
  return body;
}

/// The process that the image's launcher started.
Result<int> only_child_of(int pid) {
  std::ifstream in(fmt::format("/proc/{0}/task/{0}/children", pid));
  int child = 0;
  if (!(in >> child)) return fail(Fault::not_found, "the image's process was not found");
  return child;
}

/// Files that a process has mapped and that are not below `root`.
std::size_t mapped_from_elsewhere(int pid, const fs::path& root) {
  std::ifstream in(fmt::format("/proc/{}/maps", pid));
  std::size_t foreign = 0;
  for (std::string line; std::getline(in, line);) {
    const auto slash = line.find('/');
    if (slash != std::string::npos && !line.substr(slash).starts_with(root.string() + "/")) ++foreign;
  }
  return foreign;
}

/// Each engine's last prediction, as the command line makes it.
Result<std::map<std::int64_t, double>> predicted_by_command(const Stage& stage) {
  TRY_LET(const json::Value answer, stage.cli.json({"predict", "--model", std::string(model_name) + ":1", "--data",
                                                    stage.data.test.string(), "--workbench", stage.text("workbench")}));
  std::map<std::int64_t, double> last;
  const json::Value* engines = answer.find("engines");
  if (!engines || !engines->is_array()) return fail(Fault::invalid_input, "predict answered without engines");
  for (const json::Value& engine : engines->as_array()) {
    TRY_LET(const std::uint64_t unit, count_in(engine, {"unit"}));
    TRY_LET(const double rul, number_in(engine, {"rul"}));
    last[static_cast<std::int64_t>(unit)] = rul;
  }
  return last;
}

Result<> test_service(Step& step, Stage& stage, std::uint16_t port) {
  ScoreClient service(port);
  const dataset::FleetTable& table = *stage.data.test_table;
  std::uint64_t single = 0;
  for (std::size_t row = 0; row < std::min<std::size_t>(5, table.row_count()); ++row) {
    TRY_LET(const json::Value answer, service.score(simulator::reading_body(table, row)));
    TRY(number_in(answer, {"PredictedRul"}));
    ++single;
  }
  TRY(step.check("single", 5, single));

  std::string all = "[";
  for (std::size_t row = 0; row < table.row_count(); ++row) all += (row == 0 ? "" : ",") + named_body(table, row);
  all += "]";
  TRY_LET(const json::Value answers, service.score(all));
  if (!answers.is_array()) return fail(Fault::invalid_input, "the bulk answer is no list");
  TRY(step.check("in one request", stage.test_rows(), answers.as_array().size()));

  TRY_LET(const auto expected, predicted_by_command(stage));
  std::uint64_t equal = 0;
  for (const dataset::EngineRows& engine : table.engines) {
    TRY_LET(const double served, number_in(answers.as_array()[engine.end - 1], {"PredictedRul"}));
    const auto known = expected.find(engine.unit);
    if (known != expected.end() && known->second == served) ++equal;
  }
  return step.check("engines predicted as by 'nacelle predict', bit for bit", stage.test_engines(), equal);
}

}  // namespace

Result<> pack_and_serve(Stage& stage) {
  Step step(6, "scoring service packed and tested");
  TRY_LET(const json::Value packed,
          stage.cli.json({"package", "--model", std::string(model_name) + ":1", "--out", stage.text("image.tar"), "--tag",
                          std::string(model_name) + ":1", "--workbench", stage.text("workbench")}));
  TRY_LET(const std::string digest, text_in(packed, {"digest"}));
  TRY_LET(const std::uint64_t bytes, count_in(packed, {"bytes"}));
  step.note(fmt::format("{} ({:.0f} MiB)", digest.substr(0, 19), static_cast<double>(bytes) / (1 << 20)));
  TRY_LET(Cli::Service service, stage.cli.start("package-run", {"package", "run", stage.text("image.tar"), "--port", "0", "--into",
                                                                stage.text("image")}));
  TRY_LET(const std::uint64_t port, count_in(service.ready, {"port"}));
  TRY_LET(const std::string sha256, text_in(service.ready, {"sha256"}));
  TRY(step.check("serves the registered model", sha256 == stage.champion_sha256, "it serves " + sha256));
  TRY_LET(const int pid, only_child_of(service.process.pid()));
  TRY(step.check("files from outside the image", 0, mapped_from_elsewhere(pid, fs::canonical(stage.path("image")))));
  TRY(test_service(step, stage, static_cast<std::uint16_t>(port)));
  service.process.stop();
  step.done();
  return {};
}

}  // namespace nacelle::app::demo
