#pragma once
// Uploads: files from devices (wire facts 3): a grant, blocks put to the hub's own blob endpoint, a notification.

#include <map>
#include <string>
#include <vector>

#include "foundation/clock.h"
#include "storage/objects/object_store.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// The container that grants name; its blobs are the objects `uploads/{device}/{blob}`.
inline constexpr std::string_view upload_container = "uploads";

struct UploadGrant {
  std::string correlation_id;
  std::string blob_name;  ///< `{device}/{blob}`
  std::string sas_token;  ///< begins with `?`
};

struct UploadLimits {
  std::size_t open_per_device = 10;
  std::size_t blocks = 5000;       ///< of one upload
  ByteCount staged_bytes = 1_GiB;  ///< of one upload
  ByteCount staged_bytes_total = 4_GiB;
  std::chrono::hours life{1};
};

/// Bookkeeping belongs to the tables strand; the functions that move bytes (store_*, assemble) may run on any thread,
/// each upload's by one request at a time or for different blocks.
class Uploads {
 public:
  /// Removes blocks left by an earlier run: they are of uploads nobody can finish.
  static Result<std::unique_ptr<Uploads>> open(storage::Database& tables, storage::ObjectStore& objects, const Clock& clock,
                                               Bytes secret, UploadLimits limits = {});

  // -- tables strand
  /// Fault::exhausted if the device has too many open ones; invalid_input for a name that cannot be stored.
  Result<UploadGrant> grant(const std::string& device, const std::string& blob);
  /// Ends an upload. Fault::not_found.
  Result<> notify(const std::string& device, const std::string& correlation_id, bool success);
  /// Makes room for a block of an open upload; the object it is to be stored as. Fault::denied if there is no open upload
  /// of that blob, exhausted beyond a limit.
  Result<std::string> reserve_block(const std::string& blob_name, const std::string& block_id, ByteCount bytes);
  /// The objects of a block list, in its order. Fault::invalid_input names a block that was not put.
  Result<std::vector<std::string>> blocks_of(const std::string& blob_name, const std::vector<std::string>& block_ids);
  /// Fault::denied if no upload of that blob is open.
  Result<> check_open(const std::string& blob_name);
  /// The staged blocks of the blob, which are then no longer counted: to be removed.
  std::vector<std::string> release(const std::string& blob_name);
  Result<std::uint64_t> completed() const;

  // -- any thread
  /// The signature and time of a blob request's query (`se`, `sp`, `sig`). Fault::denied.
  Result<> check_signature(const std::string& blob_name, const std::string& expiry, const std::string& permissions,
                           const std::string& signature) const;
  Result<> store_block(const std::string& object, BytesView bytes) { return objects_.put(object, bytes); }
  Result<> store_whole(const std::string& blob_name, BytesView bytes);
  Result<> assemble(const std::string& blob_name, const std::vector<std::string>& blocks);
  void discard(const std::vector<std::string>& blocks);
  Result<Bytes> read(const std::string& blob_name) const;

 private:
  struct Staged {
    std::string correlation_id;
    std::map<std::string, ByteCount> blocks;  ///< by block id
    ByteCount bytes = 0;
  };
  Uploads(storage::Database& tables, storage::ObjectStore& objects, const Clock& clock, Bytes secret, UploadLimits limits)
      : tables_(tables), objects_(objects), clock_(clock), secret_(std::move(secret)), limits_(limits) {}
  std::string sign(const std::string& blob_name, const std::string& expiry, const std::string& permissions) const;
  Result<std::string> open_upload_of(const std::string& blob_name) const;

  storage::Database& tables_;
  storage::ObjectStore& objects_;
  const Clock& clock_;
  const Bytes secret_;
  const UploadLimits limits_;
  std::map<std::string, Staged> staged_;  // by blob name
};

/// The ids of a Put Block List body, in order. Fault::invalid_input.
Result<std::vector<std::string>> parse_block_list(std::string_view xml);

}  // namespace nacelle::hub
