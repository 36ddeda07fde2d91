#pragma once
// Fleet: what concerns many devices at once, over the registry.

#include "service/hub/queries.h"

namespace nacelle::hub {

struct Fleet {
  Fleet(storage::Database& tables, const Registry& registry) : queries(tables, registry) {}
  Queries queries;
};

}  // namespace nacelle::hub
