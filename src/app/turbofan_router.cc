// turbofan-router: routes readings, predictions and dead letters of turbofan engines.

#include "service/turbofan/module_main.h"

int main(int argc, char** argv) {
  return nacelle::turbofan::run_module(argc, argv, "turbofan-router",
                                       "routes readings, predictions and dead letters of turbofan engines",
                                       nacelle::turbofan::run_router);
}
