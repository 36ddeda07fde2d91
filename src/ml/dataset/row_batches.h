#pragma once
// Rows of a file handed on in batches, so that what is done with them goes on beside the reading of the next ones.

#include <functional>
#include <string>
#include <vector>

#include "ml/dataset/row_reader.h"

namespace nacelle::dataset {

/// Consecutive rows, with values and lines of their own.
struct RowBatch {
  std::vector<std::int64_t> unit, cycle;
  std::vector<double> rul;
  std::vector<double> values;         ///< row-major
  std::string text;                   ///< the lines, one after the other
  std::vector<std::size_t> line_end;  ///< of each, in text
  std::size_t columns = 0;

  std::size_t size() const { return unit.size(); }
  ReadingRow row(std::size_t index) const;
  void add(const ReadingRow& row);
  void clear();
};

/// Reads all rows; `take` gets them in order, batch by batch, on another thread, at most two batches are held at once. What is
/// taken does not depend on how fast either side is. The first failure ends it: of the reader, once `take` has had all rows before;
/// or of `take`.
Result<> read_in_batches(RowReader& rows, const std::function<Result<>(const RowBatch&)>& take);

}  // namespace nacelle::dataset
