#pragma once
// Uploader: one file to the hub by its file-upload protocol (wire facts 3), block by block: never the whole file in memory.

#include <filesystem>
#include <memory>
#include <string>

#include "foundation/async.h"
#include "net/tls/context.h"
#include "service/turbofan/workload_client.h"

namespace nacelle::turbofan {

struct UploadTools {
  const WorkloadClient& workload;              ///< asks the edge for the grant, and tells the hub of the end through it
  std::shared_ptr<net::TlsClientContext> tls;  ///< trusts the hub's root
};

inline constexpr std::size_t upload_block_bytes = 1 << 20;

/// Uploads `file` as `blob_name`; back when the hub has confirmed it. On failure nothing is taken for uploaded, and the hub
/// is told so if it can be.
awaitable<Result<>> upload_file(UploadTools tools, std::filesystem::path file, std::string blob_name);

}  // namespace nacelle::turbofan
