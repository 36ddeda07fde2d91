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
  /// A machine's rows wait in memory until its end is known; beyond so many bytes the end is looked up further on in the file.
  std::size_t waiting_bytes = std::size_t{32} << 20;
};

struct Prepared {
  DataProfile profile;
  std::array<std::uint64_t, 4> classes{};  ///< rows, by LifeClass
};

/// Reads what `open` opens once, profiles it and writes it to `out` as CSV, its fields as they stand, with RUL, RULCapped and
/// LifeClass behind; one thread reads while another profiles and writes. It is opened again only for machines of very many rows.
/// Same rows and labels as write_csv() of the table, if rows come machine by machine in ascending order. Fault::conflict if they do
/// not, repeat themselves, or are labelled already: then a table must be made of them. Fault::invalid_input as RowReader. The
/// caller checks `out`, and drops what was written if this fails.
Result<Prepared> prepare_rows(const std::function<Result<std::unique_ptr<std::istream>>()>& open, const std::string& name,
                              std::shared_ptr<const FleetSchema> schema, const PrepareOptions& options, std::ostream& out);

}  // namespace nacelle::dataset
