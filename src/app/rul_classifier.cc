// rul-classifier: predicts the remaining useful life of turbofan engines.

#include "service/turbofan/module_main.h"

int main(int argc, char** argv) {
  return nacelle::turbofan::run_module(argc, argv, "rul-classifier", "predicts the remaining useful life of turbofan engines",
                                       nacelle::turbofan::run_classifier);
}
