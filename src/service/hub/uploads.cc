#include "service/hub/uploads.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view staging_prefix = "staging/";
constexpr ByteCount largest_block = 100_MiB;

std::string object_of(const std::string& blob_name) { return fmt::format("{}/{}", upload_container, blob_name); }

std::string device_of(const std::string& blob_name) { return blob_name.substr(0, blob_name.find('/')); }

// Block ids are the client's text: hashed, they are safe as names.
std::string block_object(const std::string& correlation_id, const std::string& block_id) {
  return fmt::format("{}{}/{}", staging_prefix, correlation_id, digest::sha256_hex(block_id));
}

}  // namespace

Result<std::unique_ptr<Uploads>> Uploads::open(storage::Database& tables, storage::ObjectStore& objects, const Clock& clock,
                                               Bytes secret, UploadLimits limits) {
  std::unique_ptr<Uploads> uploads(new Uploads(tables, objects, clock, std::move(secret), limits));
  TRY_LET(const auto left, objects.list(staging_prefix));
  std::vector<std::string> names;
  for (const auto& object : left) names.push_back(object.name);
  uploads->discard(names);
  TRY(uploads->count_files());
  return uploads;
}

Result<> Uploads::count_files() {
  TRY_LET(const auto found, files_of({}));
  for (const UploadedFile& file : found) {
    files_[file.device] += file.bytes;
    bytes_in_all_ += file.bytes;
  }
  return {};
}

// -- Quota -----------------------------------------------------------------------------------------------------------------

ByteCount Uploads::used_by(const std::string& device) const {
  const auto at = files_.find(device);
  ByteCount used = at == files_.end() ? 0 : at->second;
  for (auto staged = staged_.lower_bound(device + "/"); staged != staged_.end() && staged->first.starts_with(device + "/");
       ++staged)
    used += staged->second.bytes;
  return used;
}

/// `less`: bytes that the new ones take the place of.
Result<> Uploads::check_quota(const std::string& device, ByteCount more, ByteCount less) const {
  const ByteCount of_device = used_by(device);
  if (limits_.quota_of_device > 0 && of_device - less + more > limits_.quota_of_device)
    return fail(Fault::conflict, fmt::format("device '{}' has uploaded {} bytes; {} more are above its quota of {}", device,
                                             of_device - less, more, limits_.quota_of_device));
  ByteCount in_all = bytes_in_all_;
  for (const auto& [name, staged] : staged_) in_all += staged.bytes;
  if (limits_.quota_in_all > 0 && in_all - less + more > limits_.quota_in_all)
    return fail(Fault::conflict, fmt::format("devices have uploaded {} bytes; {} more are above the quota of {} for all",
                                             in_all - less, more, limits_.quota_in_all));
  return {};
}

Result<> Uploads::claim_whole(const std::string& blob_name, ByteCount bytes) {
  TRY(open_upload_of(blob_name));
  const std::string device = device_of(blob_name);
  TRY(check_quota(device, bytes));
  files_[device] += bytes;
  bytes_in_all_ += bytes;
  return {};
}

ByteCount Uploads::bytes_of(const std::string& blob_name, const std::vector<std::string>& block_ids) const {
  const auto at = staged_.find(blob_name);
  if (at == staged_.end()) return 0;
  ByteCount bytes = 0;
  for (const auto& id : block_ids)
    if (const auto block = at->second.blocks.find(id); block != at->second.blocks.end()) bytes += block->second;
  return bytes;
}

void Uploads::claim_blocks(const std::string& blob_name, const std::vector<std::string>& block_ids) {
  const ByteCount bytes = bytes_of(blob_name, block_ids);
  files_[device_of(blob_name)] += bytes;
  bytes_in_all_ += bytes;
}

void Uploads::give_back(const std::string& blob_name, ByteCount bytes) {
  ByteCount& of_device = files_[device_of(blob_name)];
  of_device -= std::min(of_device, bytes);
  bytes_in_all_ -= std::min(bytes_in_all_, bytes);
}

// -- Files that are there --------------------------------------------------------------------------------------------------

Result<std::vector<UploadedFile>> Uploads::files_of(const std::string& device) const {
  const std::string container = std::string(upload_container) + "/";
  TRY_LET(const auto objects, objects_.list(device.empty() ? container : object_of(device) + "/"));
  std::vector<UploadedFile> found;
  for (const auto& object : objects) {
    const std::string blob_name = object.name.substr(container.size());
    found.push_back({device_of(blob_name), blob_name, object.bytes, object.modified_at});
  }
  return found;
}

Result<std::optional<UploadedFile>> Uploads::find(const std::string& blob_name) const {
  TRY_LET(const auto objects, objects_.list(object_of(blob_name)));
  for (const auto& object : objects)
    if (object.name == object_of(blob_name))
      return std::optional(UploadedFile{device_of(blob_name), blob_name, object.bytes, object.modified_at});
  return std::optional<UploadedFile>{};
}

ByteCount Uploads::size_of(const std::string& blob_name) const {
  const auto file = find(blob_name);
  return file && *file ? (*file)->bytes : 0;
}

Result<ByteCount> Uploads::remove(const std::string& blob_name) {
  TRY_LET(const auto file, find(blob_name));
  if (!file) return fail(Fault::not_found, fmt::format("there is no uploaded file '{}'", blob_name));
  TRY(objects_.remove(object_of(blob_name)));
  return file->bytes;
}

// -- An upload's life ------------------------------------------------------------------------------------------------------

Result<UploadGrant> Uploads::grant(const std::string& device, const std::string& blob) {
  if (blob.empty() || blob.size() > 1024) return fail(Fault::invalid_input, "blobName: expected 1 to 1024 characters");
  const std::string blob_name = device + "/" + blob;
  TRY(in(objects_.exists(object_of(blob_name)), "blobName"));  // refuses what is no name for an object
  const std::int64_t now = unix_seconds(clock_.now());
  TRY_LET(const auto open,
          tables_.query("SELECT count(*) FROM upload WHERE device = ? AND state = 'open' AND expires_at > ?", device, now));
  if (static_cast<std::size_t>(storage::integer(open[0][0])) >= limits_.open_per_device)
    return fail(Fault::exhausted,
                fmt::format("device '{}' has {} open uploads, the most a device may have", device, limits_.open_per_device));

  TRY(check_quota(device, 1));  // a device without room learns it before it sends
  const std::int64_t expires = unix_seconds(clock_.now() + limits_.life);
  UploadGrant grant{random_uuid(), blob_name, {}};
  TRY(tables_.run("INSERT INTO upload VALUES (?, ?, ?, ?, 'open')", grant.correlation_id, device, blob_name, expires));
  const std::string expiry = format_iso8601(from_unix_seconds(expires), 0);
  const std::string permissions = "rw";
  grant.sas_token =
      fmt::format("?sv=2018-03-28&sr=b&sig={}&se={}&sp={}", text::percent_encode_strict(sign(blob_name, expiry, permissions)),
                  text::percent_encode_strict(expiry), permissions);
  return grant;
}

std::string Uploads::sign(const std::string& blob_name, const std::string& expiry, const std::string& permissions) const {
  return text::base64_encode(
      digest::hmac_sha256(secret_, fmt::format("blob\n{}\n{}\n{}\n{}", upload_container, blob_name, expiry, permissions)));
}

Result<> Uploads::check_signature(const std::string& blob_name, const std::string& expiry, const std::string& permissions,
                                  const std::string& signature) const {
  if (!digest::equal_constant_time(signature, sign(blob_name, expiry, permissions)))
    return fail(Fault::denied, "the signature does not fit the blob, its expiry and permissions");
  TRY_LET(const Timestamp expires, parse_iso8601(expiry));
  if (expires <= clock_.now()) return fail(Fault::denied, "the grant has expired");
  return {};
}

Result<> Uploads::notify(const std::string& device, const std::string& correlation_id, bool success, const Tell& tell) {
  TRY_LET(const auto rows,
          tables_.query("SELECT blob FROM upload WHERE correlation = ? AND device = ? AND state = 'open'", correlation_id, device));
  if (rows.empty()) return fail(Fault::not_found, fmt::format("device '{}' has no open upload of that correlation id", device));
  TRY_LET(const auto file, find(storage::text(rows[0][0])));
  const auto end = [&]() -> Result<> {
    TRY(tables_.run("UPDATE upload SET state = ? WHERE correlation = ?", success ? "completed" : "failed", correlation_id));
    if (success && file && tell) return tell(*file);
    return {};
  };
  return tables_.transaction(end);
}

Result<std::vector<std::string>> Uploads::sweep() {
  // What has succeeded is counted for ever (completed()); of the rest nobody asks.
  TRY(tables_.run("DELETE FROM upload WHERE state <> 'completed' AND expires_at <= ?", unix_seconds(clock_.now())));
  std::vector<std::string> stale;
  for (const auto& [blob_name, staged] : staged_)
    if (const auto open = open_upload_of(blob_name); !open && open.error().fault == Fault::denied) stale.push_back(blob_name);
  std::vector<std::string> objects;
  for (const auto& blob_name : stale) {
    const auto blocks = release(blob_name);
    objects.insert(objects.end(), blocks.begin(), blocks.end());
  }
  return objects;
}

Result<std::string> Uploads::open_upload_of(const std::string& blob_name) const {
  TRY_LET(const auto rows, tables_.query("SELECT correlation FROM upload WHERE blob = ? AND state = 'open' AND expires_at > ? "
                                         "ORDER BY expires_at DESC LIMIT 1",
                                         blob_name, unix_seconds(clock_.now())));
  if (rows.empty()) return fail(Fault::denied, "no upload of this blob is open");
  return storage::text(rows[0][0]);
}

Result<std::string> Uploads::reserve_block(const std::string& blob_name, const std::string& block_id, ByteCount bytes) {
  TRY_LET(const std::string correlation_id, open_upload_of(blob_name));
  if (block_id.empty() || block_id.size() > 128) return fail(Fault::invalid_input, "blockid: expected 1 to 128 characters");
  const auto before = staged_.find(blob_name);
  const bool known = before != staged_.end() && before->second.blocks.contains(block_id);
  TRY(check_quota(device_of(blob_name), bytes, known ? before->second.blocks.at(block_id) : 0));
  ByteCount total = 0;
  for (const auto& [name, other] : staged_) total += other.bytes;
  Staged& staged = staged_[blob_name];
  staged.correlation_id = correlation_id;
  const auto found = staged.blocks.find(block_id);
  const ByteCount replaced = found == staged.blocks.end() ? 0 : found->second;
  const bool too_many = found == staged.blocks.end() && staged.blocks.size() >= limits_.blocks;
  const bool too_much =
      staged.bytes - replaced + bytes > limits_.staged_bytes || total - replaced + bytes > limits_.staged_bytes_total;
  if (too_many || too_much)
    return fail(Fault::exhausted, "the upload is beyond the hub's bounds for blocks that are not yet a blob");
  staged.blocks[block_id] = bytes;
  staged.bytes += bytes - replaced;
  return block_object(correlation_id, block_id);
}

Result<std::vector<std::string>> Uploads::blocks_of(const std::string& blob_name, const std::vector<std::string>& block_ids) {
  TRY(open_upload_of(blob_name));
  const auto at = staged_.find(blob_name);
  std::vector<std::string> objects;
  for (const auto& id : block_ids) {
    if (at == staged_.end() || !at->second.blocks.contains(id))
      return fail(Fault::invalid_input, "the block list names a block that was not put");
    objects.push_back(block_object(at->second.correlation_id, id));
  }
  return objects;
}

std::vector<std::string> Uploads::release(const std::string& blob_name) {
  std::vector<std::string> objects;
  const auto at = staged_.find(blob_name);
  if (at == staged_.end()) return objects;
  for (const auto& [id, bytes] : at->second.blocks) objects.push_back(block_object(at->second.correlation_id, id));
  staged_.erase(at);
  return objects;
}

Result<std::uint64_t> Uploads::completed() const {
  TRY_LET(const auto rows, tables_.query("SELECT count(*) FROM upload WHERE state = 'completed'"));
  return static_cast<std::uint64_t>(storage::integer(rows[0][0]));
}

Result<> Uploads::store_whole(const std::string& blob_name, BytesView bytes) { return objects_.put(object_of(blob_name), bytes); }

Result<> Uploads::assemble(const std::string& blob_name, const std::vector<std::string>& blocks) {
  TRY_LET(const auto blob, objects_.create(object_of(blob_name)));
  for (const auto& block : blocks) {
    TRY_LET(const Bytes bytes, objects_.get(block, largest_block));
    TRY(blob->write(bytes));
  }
  return blob->commit();
}

void Uploads::discard(const std::vector<std::string>& blocks) {
  for (const auto& block : blocks)
    if (const auto removed = objects_.remove(block); !removed)
      log::warn("hub", "removing an upload's block: {}", removed.error().message);
}

Result<std::unique_ptr<storage::ObjectReader>> Uploads::open_file(const std::string& blob_name) const {
  return objects_.open(object_of(blob_name));
}

Result<std::vector<std::string>> parse_block_list(std::string_view xml) {
  constexpr std::string_view names[] = {"Latest", "Committed", "Uncommitted"};
  if (xml.find("<BlockList") == std::string_view::npos) return fail(Fault::invalid_input, "block list: expected <BlockList>");
  std::vector<std::string> ids;
  std::size_t at = 0;
  while ((at = xml.find('<', at)) != std::string_view::npos) {
    const std::size_t end = xml.find('>', at);
    if (end == std::string_view::npos) return fail(Fault::invalid_input, "block list: a tag is not closed");
    const std::string_view tag = xml.substr(at + 1, end - at - 1);
    at = end + 1;
    for (const auto name : names) {
      if (tag != name) continue;
      const std::size_t close = xml.find(fmt::format("</{}>", name), at);
      if (close == std::string_view::npos) return fail(Fault::invalid_input, fmt::format("block list: <{}> is not closed", name));
      ids.emplace_back(text::trim(xml.substr(at, close - at)));
      at = close;
      break;
    }
  }
  return ids;
}

}  // namespace nacelle::hub
