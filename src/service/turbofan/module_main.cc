#include "service/turbofan/module_main.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "net/socket/runtime.h"

namespace nacelle::turbofan {

namespace {

awaitable<Result<>> on_strand_of_its_own(ModuleBody body, ModuleEnvironment me, Variables variables) {
  co_await asio::this_coro::throw_if_cancelled(false);
  const Executor strand = co_await asio::this_coro::executor;  // the runtime runs its main coroutine on a strand
  co_return co_await body(strand, std::move(me), std::move(variables));
}

}  // namespace

int run_module(int argc, char** argv, const char* name, const char* purpose, ModuleBody body) {
  const bool help = argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0);
  if (argc > 1) {
    std::fprintf(
        help ? stdout : stderr,
        "%s: %s\n\nA module of an edge; it takes no arguments but its environment: the IOTEDGE_ variables and the workload\n"
        "socket, or EdgeHubConnectionString and EdgeModuleCACertificateFile. See docs/edge.md.\n",
        name, purpose);
    return help ? 0 : 2;
  }
  const Variables variables = [](const char* variable) -> const char* { return std::getenv(variable); };
  auto me = read_environment(variables);
  if (!me) {
    std::fprintf(stderr, "error: %s\n", me.error().message.c_str());
    return 2;
  }
  net::Runtime runtime(1);
  const auto ended = runtime.run(on_strand_of_its_own(std::move(body), std::move(*me), variables));
  if (ended) return 0;
  std::fprintf(stderr, "error: %s\n", ended.error().message.c_str());
  return ended.error().fault == Fault::invalid_input ? 2 : 1;
}

}  // namespace nacelle::turbofan
