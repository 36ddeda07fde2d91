#pragma once
// What rows of each source have (wire facts 2.4, 2.5).

#include <span>

#include "domain/query/query.h"

namespace nacelle::query {

std::span<const Field> fields_of(Source source);

/// Takes the alias or the source's own name off the front of `segments` and finds the field; Fault::invalid_input, without a place,
/// for a name that the source has not.
Result<Path> resolve(Source source, std::string_view alias, std::vector<std::string> segments);

}  // namespace nacelle::query
