#pragma once
// Labels laid beside rows while they stream from one file to another, in memory that grows with the machines, not the rows.

#include <functional>
#include <istream>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "ml/dataset/labels.h"
#include "ml/dataset/profile.h"

namespace nacelle::dataset {

struct PrepareOptions {
  double cap = 125;
  std::vector<double> end_rul;  ///< by machine in ascending order; empty: all ran to failure
};

struct Prepared {
  DataProfile profile;
  std::array<std::uint64_t, 4> classes{};  ///< rows, by LifeClass
};

/// Reads what `open` opens twice: the first time to profile it and to see where each machine ends, the second to write it to `out`
/// as CSV, its fields as they stand, with RUL, RULCapped and LifeClass behind. Same rows and labels as write_csv() of the table, if
/// rows come machine by machine in ascending order. Fault::conflict if they do not, repeat themselves, or are labelled already:
/// then a table must be made of them. Fault::invalid_input as RowReader. The caller checks `out`.
Result<Prepared> prepare_rows(const std::function<Result<std::unique_ptr<std::istream>>()>& open, const std::string& name,
                              std::shared_ptr<const FleetSchema> schema, const PrepareOptions& options, std::ostream& out);

}  // namespace nacelle::dataset
