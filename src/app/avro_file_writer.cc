// avro-file-writer: keeps full records in Avro files and uploads them.

#include "service/turbofan/module_main.h"

int main(int argc, char** argv) {
  return nacelle::turbofan::run_module(argc, argv, "avro-file-writer", "keeps full records in Avro files and uploads them",
                                       nacelle::turbofan::run_avro_writer);
}
