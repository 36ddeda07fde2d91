#include "ml/dataset/row_batches.h"

#include <future>
#include <utility>

namespace nacelle::dataset {

namespace {
/// Some milliseconds of work and a few MiB: what a thread costs to start does not show beside it.
constexpr std::size_t batch_rows = 8192;
}  // namespace

ReadingRow RowBatch::row(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : line_end[index - 1];
  return {.unit = unit[index],
          .cycle = cycle[index],
          .values = std::span(values).subspan(index * columns, columns),
          .rul = rul[index],
          .line = std::string_view(text).substr(begin, line_end[index] - begin)};
}

void RowBatch::add(const ReadingRow& row) {
  columns = row.values.size();
  unit.push_back(row.unit);
  cycle.push_back(row.cycle);
  rul.push_back(row.rul);
  values.insert(values.end(), row.values.begin(), row.values.end());
  text += row.line;
  line_end.push_back(text.size());
}

void RowBatch::clear() {
  unit.clear();
  cycle.clear();
  rul.clear();
  values.clear();
  text.clear();
  line_end.clear();
}

Result<> read_in_batches(RowReader& rows, const std::function<Result<>(const RowBatch&)>& take) {
  RowBatch filling, taken;
  std::future<Result<>> busy;
  for (bool more = true; more;) {
    filling.clear();
    Result<> read;
    ReadingRow row;
    while (more && filling.size() < batch_rows) {
      const Result<bool> next = rows.next(row);
      if (!next) read = fail(next.error());
      more = next && *next;
      if (more) filling.add(row);
    }
    if (busy.valid()) TRY(busy.get());
    std::swap(filling, taken);
    if (taken.size() > 0) busy = std::async(std::launch::async, [&take, &taken] { return take(taken); });
    if (!read) {
      if (busy.valid()) TRY(busy.get());
      return read;
    }
  }
  return busy.valid() ? busy.get() : Result<>{};
}

}  // namespace nacelle::dataset
