#pragma once
// What the three module programs have in common: environment, runtime, exit code.

#include <functional>

#include "foundation/async.h"
#include "service/turbofan/module_environment.h"

namespace nacelle::turbofan {

/// A module's body: runs until cancelled. On one strand.
using ModuleBody = std::function<awaitable<Result<>>(Executor strand, ModuleEnvironment me, Variables variables)>;

/// Runs `body` with the environment of this process until SIGTERM; the program's exit code (2: the environment is wrong).
/// Answers --help and refuses other arguments.
int run_module(int argc, char** argv, const char* name, const char* purpose, ModuleBody body);

// The bodies.
awaitable<Result<>> run_router(Executor strand, ModuleEnvironment me, Variables variables);
awaitable<Result<>> run_classifier(Executor strand, ModuleEnvironment me, Variables variables);
awaitable<Result<>> run_avro_writer(Executor strand, ModuleEnvironment me, Variables variables);

}  // namespace nacelle::turbofan
