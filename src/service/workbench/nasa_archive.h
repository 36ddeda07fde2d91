#pragma once
// NASA's public archive of the C-MAPSS data: fetched once into the user's cache folder, each file checked by its SHA-256.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "foundation/async.h"
#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::workbench {

/// Item 6 of NASA's prognostics data repository: a zip that holds a zip that holds twelve text files.
inline constexpr const char* nasa_archive_url =
    "https://phm-datasets.s3.amazonaws.com/NASA/6.+Turbofan+Engine+Degradation+Simulation+Data+Set.zip";

/// File name -> SHA-256 of its text, as measured on the files that three independent public copies agree on.
using KnownSums = std::map<std::string, std::string, std::less<>>;
const KnownSums& cmapss_sums();

/// Where fetched data go: $XDG_CACHE_HOME/nacelle/cmapss, else ~/.cache/nacelle/cmapss. Fault::not_found without either.
Result<std::filesystem::path> data_cache_folder();

/// The body at `url` (http or https, the system's trusted roots). Fault::unavailable, timed_out; invalid_input for the URL.
/// No coroutine is held longer than a minute.
awaitable<Result<Bytes>> download(std::string url);

/// Both: the archive at `url` into `folder`; the names of the files.
awaitable<Result<std::vector<std::string>>> fetch_cmapss(std::string url, std::filesystem::path folder);

/// Writes every file of `archive` (a zip, or a zip in a zip) that is in `sums` to `folder`, once all of them were found and are
/// right; their names in order. Fault::corrupt names the file that is missing or has another sum, and nothing is written.
Result<std::vector<std::string>> unpack_checked(BytesView archive, const KnownSums& sums, const std::filesystem::path& folder);

}  // namespace nacelle::workbench
