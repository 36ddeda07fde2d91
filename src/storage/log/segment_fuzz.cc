// A segment file with any bytes changed, cut off or added: read through as the last one and as an earlier one. What is salvaged
// from it is a whole segment with the same records.
#include <algorithm>
#include <cstdlib>

#include "storage/log/detail/segment_format.h"

namespace {

using namespace nacelle;
using namespace nacelle::storage;
using namespace nacelle::storage::detail;

constexpr Offset first = 5;
constexpr std::uint32_t salt = 7;

void check(BytesView file, const Standing& standing) {
  const auto scan = scan_segment(file, standing);
  if (!scan) return;
  if (scan->intact_bytes > file.size() || scan->past < scan->next) std::abort();
  if (!scan->damaged) return;
  const auto salvaged = scan_segment(scan->salvaged, {standing.partition, standing.first, false, scan->next});
  if (!salvaged || salvaged->damaged || salvaged->records != scan->records || salvaged->next != scan->next) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const unsigned char* const end = data + size;
  const auto take = [&] { return data == end ? std::size_t{0} : std::size_t{*data++}; };
  Bytes file = encode_segment_header({3, first, first, salt, false});
  const std::size_t records = take() % 8;
  for (std::size_t i = 0; i < records; ++i) {
    const Bytes payload(take(), static_cast<char>(take()));
    encode_record(file, {first + i, Timestamp{}, take() % 2 == 0, payload}, salt);
  }
  file.resize(file.size() - std::min(take(), file.size()));
  file.append(take() % 2 == 0 ? take() * 16 : 0, '\0');
  while (data != end) {
    const std::size_t at = take() * 256 + take();
    const auto value = static_cast<char>(take());
    if (at < file.size())
      file[at] = value;
    else
      file += value;
  }
  check(file, {3, first, true});
  check(file, {3, first, false, first + records});
  check(file, {3, first, false});
  return 0;
}
