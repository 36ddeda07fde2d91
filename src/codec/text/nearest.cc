#include "codec/text/nearest.h"

#include <algorithm>
#include <vector>

#include "codec/text/encoding.h"

namespace nacelle::text {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = equal_ignoring_case(a.substr(i - 1, 1), b.substr(j - 1, 1));
      const std::size_t changed = diagonal + (same ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> known, std::size_t most) {
  constexpr std::size_t longest = 64;  // beyond it a name is no typing mistake
  std::string_view best;
  std::size_t least = std::min(most, name.size() > 1 ? name.size() - 1 : 0) + 1;
  for (const std::string_view candidate : known) {
    if (name.size() > longest) break;
    const std::size_t changes = edit_distance(name, candidate);
    if (changes < least) {
      least = changes;
      best = candidate;
    }
  }
  return best;
}

}  // namespace nacelle::text
