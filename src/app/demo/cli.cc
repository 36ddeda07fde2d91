#include "app/demo/cli.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <optional>

#include "app/demo/story.h"

namespace nacelle::app::demo {
namespace {

std::vector<std::string> command_line(const std::vector<std::string>& arguments) {
  std::vector<std::string> command{own_program().string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

/// The last lines of a log, for the error of a command that failed. Commands print no secrets, so neither does this.
std::string tail_of(const std::filesystem::path& log) {
  std::ifstream in(log);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  while (text.ends_with('\n')) text.pop_back();
  constexpr std::size_t shown = 600;
  if (text.size() > shown) text = "..." + text.substr(text.size() - shown);
  return text.empty() ? "it said nothing" : text;
}

std::string_view last_line(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const auto at = text.rfind('\n');
  return at == std::string_view::npos ? text : text.substr(at + 1);
}

std::string name_of(const std::vector<std::string>& arguments) {
  std::string name = arguments.front();
  if (arguments.size() > 1 && !arguments[1].starts_with('-') && arguments[1].find('/') == std::string::npos)
    name += "-" + arguments[1];
  return name;
}

}  // namespace

void Cli::show(const std::vector<std::string>& arguments) const {
  if (!verbose_) return;
  std::string line = "    $ nacelle";
  for (const std::string& argument : arguments) {
    // A connection string holds a key.
    const bool secret = argument.find("SharedAccessKey=") != std::string::npos;
    line += ' ' + (secret ? argument.substr(0, argument.find("SharedAccessKey=")) + "SharedAccessKey=..." : argument);
  }
  say(line);
}

Result<std::string> Cli::text(const std::vector<std::string>& arguments, std::chrono::seconds within) const {
  show(arguments);
  const std::string name = name_of(arguments);
  TRY_LET(Finished finished, in(run_to_end(command_line(arguments), {.log = log_of(name)}, within), "nacelle " + name));
  if (finished.code != 0)
    return fail(Fault::unavailable, fmt::format("nacelle {} ended with code {}: {}", name, finished.code, tail_of(log_of(name))));
  return std::move(finished.output);
}

Result<json::Value> Cli::json(std::vector<std::string> arguments, std::chrono::seconds within) const {
  const std::string name = name_of(arguments);
  arguments.emplace_back("--json");
  TRY_LET(const std::string output, text(arguments, within));
  // Most print one line; an indented document is taken whole.
  auto whole = json::parse(output);
  if (whole) return whole;
  return in(json::parse(last_line(output)), fmt::format("the output of nacelle {}", name));
}

Result<json::Value> Cli::watch(std::vector<std::string> arguments, const std::function<void(const json::Value& line)>& told,
                               std::chrono::seconds within) const {
  const std::string name = name_of(arguments);
  TRY_LET(ChildProcess process, begin(std::move(arguments)));
  const auto deadline = std::chrono::steady_clock::now() + within;
  std::optional<json::Value> last;
  while (true) {
    const auto line = process.read_line(deadline - std::chrono::steady_clock::now());
    if (!line && (line.error().fault != Fault::unavailable || InterruptGuard::interrupted())) return fail(line.error());
    if (!line) break;
    if (last) told(*last);
    TRY_LET(last, in(json::parse(*line), fmt::format("the output of nacelle {}", name)));
  }
  TRY_LET(const int code, in(process.wait(deadline - std::chrono::steady_clock::now()), name));
  if (code != 0 || !last)
    return fail(Fault::unavailable, fmt::format("nacelle {} ended with code {}: {}", name, code, tail_of(log_of(name))));
  return std::move(*last);
}

Result<Cli::Service> Cli::start(const std::string& name, const std::vector<std::string>& arguments,
                                const std::map<std::string, std::string>& environment, std::chrono::seconds within) const {
  show(arguments);
  TRY_LET(ChildProcess process,
          in(ChildProcess::start(command_line(arguments), {.log = log_of(name), .environment = environment}), name));
  auto line = process.read_line(within);
  if (!line)
    return fail(line.error().fault,
                fmt::format("{} did not become ready: {}: {}", name, line.error().message, tail_of(log_of(name))));
  TRY_LET(json::Value ready, in(json::parse(*line), "the ready line of " + name));
  return Service{std::move(process), std::move(ready)};
}

Result<ChildProcess> Cli::begin(std::vector<std::string> arguments) const {
  const std::string name = name_of(arguments);
  arguments.emplace_back("--json");
  show(arguments);
  return in(ChildProcess::start(command_line(arguments), {.log = log_of(name)}), "nacelle " + name);
}

Result<json::Value> Cli::finish(ChildProcess process, const std::string& name, std::chrono::seconds within) const {
  auto line = process.read_line(within);
  TRY_LET(const int code, in(process.wait(within), name));
  if (code != 0) return fail(Fault::unavailable, fmt::format("{} ended with code {}: {}", name, code, tail_of(log_of(name))));
  TRY_LET(const std::string text, in(std::move(line), name));
  return in(json::parse(text), "the output of " + name);
}

}  // namespace nacelle::app::demo
