#pragma once
// An object as the body of an answer: read piece by piece, so that a large one costs no more memory than a small one.

#include "net/http/message.h"
#include "service/hub/disk.h"
#include "storage/objects/object_store.h"

namespace nacelle::hub {

/// 200 with the object; its reader is the answer's own. `disk` outlives the HTTP server.
net::HttpResponse object_response(Disk& disk, std::unique_ptr<storage::ObjectReader> object);

}  // namespace nacelle::hub
