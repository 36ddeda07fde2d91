// Whatever bytes are given as C-MAPSS text, CSV, RUL list, Avro file or lines of JSON (plain or gzip), reading them ends with a
// fault or a table.

#include <cstdint>
#include <sstream>

#include "ml/dataset/captured.h"
#include "ml/dataset/cmapss.h"
#include "ml/dataset/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacelle::dataset;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  std::istringstream text(bytes), csv(bytes), rul(bytes), avro(bytes), lines(bytes);
  (void)read_cmapss(text, "fuzz");
  (void)read_csv(csv, "fuzz");
  (void)read_rul(rul, "fuzz");
  TableBuilder rows;
  ImportCounts counts;
  if (read_avro(avro, "fuzz", rows, counts)) (void)rows.finish(&counts);
  TableBuilder rows_of_lines;
  if (read_json_capture(lines, "fuzz", rows_of_lines, counts)) (void)rows_of_lines.finish(&counts);
  return 0;
}
