#pragma once
// Uploads: files from devices (wire facts 3): a grant, blocks put to the hub's own blob endpoint, a notification.

#include <functional>
#include <map>
#include <optional>
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
  ByteCount quota_of_device = 16_GiB;  ///< of files and of blocks that are not yet one; 0: no quota
  ByteCount quota_in_all = 256_GiB;
};

/// A file that is there.
struct UploadedFile {
  std::string device;
  std::string blob_name;
  ByteCount bytes = 0;
  Timestamp modified_at{};
};

/// Bookkeeping belongs to the tables strand; the functions that move bytes (store_*, assemble) may run on any thread,
/// each upload's by one request at a time or for different blocks.
class Uploads {
 public:
  /// Removes blocks left by an earlier run: they are of uploads nobody can finish.
  static Result<std::unique_ptr<Uploads>> open(storage::Database& tables, storage::ObjectStore& objects, const Clock& clock,
                                               Bytes secret, UploadLimits limits = {});

  // -- tables strand
  /// Fault::exhausted if the device has too many open ones, conflict if its quota is used up; invalid_input for a name that cannot
  /// be stored.
  Result<UploadGrant> grant(const std::string& device, const std::string& blob);
  /// Ends an upload. Of one that has succeeded and left a file, `tell` is called in the same transaction. Fault::not_found.
  using Tell = std::function<Result<>(const UploadedFile&)>;
  Result<> notify(const std::string& device, const std::string& correlation_id, bool success, const Tell& tell = {});
  /// Ends the uploads whose grants have expired; the objects of their blocks, to be discarded.
  Result<std::vector<std::string>> sweep();
  /// Makes room for a block of an open upload; the object it is to be stored as. Fault::denied if there is no open upload
  /// of that blob, exhausted beyond a limit, conflict beyond a quota.
  Result<std::string> reserve_block(const std::string& blob_name, const std::string& block_id, ByteCount bytes);
  /// The objects of a block list, in its order. Fault::invalid_input names a block that was not put.
  Result<std::vector<std::string>> blocks_of(const std::string& blob_name, const std::vector<std::string>& block_ids);
  /// Makes room for a blob put whole. Fault::denied if no upload of that blob is open, conflict beyond a quota.
  Result<> claim_whole(const std::string& blob_name, ByteCount bytes);
  /// The bytes of a block list; claim_blocks() counts them as those of a file. The blocks themselves count until release().
  ByteCount bytes_of(const std::string& blob_name, const std::vector<std::string>& block_ids) const;
  void claim_blocks(const std::string& blob_name, const std::vector<std::string>& block_ids);
  /// Bytes that are not there (any more): of a claim that came to nothing, of a file that was replaced or deleted.
  void give_back(const std::string& blob_name, ByteCount bytes);
  ByteCount used_by(const std::string& device) const;
  /// The staged blocks of the blob, which are then no longer counted: to be removed.
  std::vector<std::string> release(const std::string& blob_name);
  Result<std::uint64_t> completed() const;

  // -- any thread
  /// The signature and time of a blob request's query (`se`, `sp`, `sig`). Fault::denied.
  Result<> check_signature(const std::string& blob_name, const std::string& expiry, const std::string& permissions,
                           const std::string& signature) const;
  Result<> store_block(const std::string& object, BytesView bytes) { return objects_.put(object, bytes); }
  Result<> store_whole(const std::string& blob_name, BytesView bytes);
  ByteCount size_of(const std::string& blob_name) const;  ///< 0 if it is not there
  /// Of a device, or of all with an empty id; by name.
  Result<std::vector<UploadedFile>> files_of(const std::string& device) const;
  Result<ByteCount> remove(const std::string& blob_name);  ///< the bytes it had. Fault::not_found
  Result<> assemble(const std::string& blob_name, const std::vector<std::string>& blocks);
  void discard(const std::vector<std::string>& blocks);
  Result<std::unique_ptr<storage::ObjectReader>> open_file(const std::string& blob_name) const;

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
  Result<> count_files();
  Result<> check_quota(const std::string& device, ByteCount more, ByteCount less = 0) const;
  Result<std::optional<UploadedFile>> find(const std::string& blob_name) const;

  storage::Database& tables_;
  storage::ObjectStore& objects_;
  const Clock& clock_;
  const Bytes secret_;
  const UploadLimits limits_;
  std::map<std::string, Staged> staged_;    // by blob name
  std::map<std::string, ByteCount> files_;  // bytes by device
  ByteCount bytes_in_all_ = 0;              // of files_
};

/// The ids of a Put Block List body, in order. Fault::invalid_input.
Result<std::vector<std::string>> parse_block_list(std::string_view xml);

}  // namespace nacelle::hub
