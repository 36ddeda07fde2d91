#include "service/edge/message_store.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "codec/text/encoding.h"
#include "foundation/binary.h"
#include "foundation/log.h"
#include "service/edge/edge_files.h"

namespace nacelle::edge {

namespace {

// DIR/upstream/P and DIR/inputs/MODULE/INPUT/P
fs::path folder_of(const fs::path& root, const QueueName& name) {
  const fs::path endpoint = name.endpoint.upstream()
                                ? fs::path("upstream")
                                : fs::path("inputs") / file_name(name.endpoint.module) / file_name(name.endpoint.input);
  return root / endpoint / std::to_string(name.priority);
}

std::vector<std::string> names_in(const storage::FileSystem& files, const fs::path& folder) {
  auto listed = files.list(folder);
  return listed ? *listed : std::vector<std::string>{};
}

void add_priorities(const storage::FileSystem& files, const fs::path& folder, const EndpointName& endpoint,
                    std::vector<QueueName>& found) {
  for (const std::string& name : names_in(files, folder))
    if (const auto priority = text::parse_integer(name, "priority"); priority && *priority >= 0 && *priority <= 0xffffffffll)
      found.push_back({endpoint, static_cast<std::uint32_t>(*priority)});
}

std::vector<QueueName> queues_on_disk(const storage::FileSystem& files, const fs::path& root) {
  std::vector<QueueName> found;
  add_priorities(files, root / "upstream", {}, found);
  for (const std::string& module : names_in(files, root / "inputs"))
    for (const std::string& input : names_in(files, root / "inputs" / module)) {
      const auto module_id = text::percent_decode(module);
      const auto input_name = text::percent_decode(input);
      if (module_id && input_name) add_priorities(files, root / "inputs" / module / input, {*module_id, *input_name}, found);
    }
  return found;
}

}  // namespace

Bytes encode_stored(const StoredMessage& stored) {
  Bytes out;
  binary::put(out, std::int64_t{stored.expires_at.time_since_epoch().count()});
  out += telemetry::encode_record(stored.message);
  return out;
}

Result<StoredMessage> decode_stored(BytesView record) {
  binary::Reader in{record};
  const auto micros = in.take<std::int64_t>();
  if (!in.good) return fail(Fault::corrupt, "edge store record: shorter than its expiry");
  TRY_LET(telemetry::Message message, telemetry::decode_record(in.rest));
  return StoredMessage{Timestamp{std::chrono::microseconds{micros}}, std::move(message)};
}

Result<std::unique_ptr<MessageStore>> MessageStore::open(Options options, const Clock& clock, storage::FileSystem& files) {
  auto store = std::unique_ptr<MessageStore>(new MessageStore(std::move(options), clock, files));
  TRY(files.make_directories(store->options_.directory));
  for (const QueueName& name : queues_on_disk(files, store->options_.directory)) TRY(store->queue(name));
  return store;
}

Result<storage::Spool*> MessageStore::queue(const QueueName& name) {
  if (const auto known = spools_.find(name); known != spools_.end()) return known->second.get();
  storage::SpoolOptions options;
  options.directory = folder_of(options_.directory, name);
  options.max_bytes = options_.max_bytes / (name.endpoint.upstream() ? 2 : 8);
  // Dropping goes by whole segments: enough of them that one is a small part of what waits.
  options.segment_bytes = std::clamp<ByteCount>(options.max_bytes / 16, 256_KiB, 16_MiB);
  TRY(files_.make_directories(options.directory));
  TRY_LET(auto spool, storage::Spool::open(std::move(options), clock_, files_));
  storage::Spool* made = spool.get();
  spools_.emplace(name, std::move(spool));
  if (on_new_queue) on_new_queue(name);
  return made;
}

void MessageStore::append(const telemetry::Message& message, const std::vector<Target>& targets,
                          std::function<void(Result<>)> done) {
  struct Waiting {
    std::mutex mutex;
    std::size_t left;
    Result<> outcome;  // guarded by mutex: the first failure stays
    std::function<void(Result<>)> done;
  };
  std::vector<storage::Spool*> spools;
  for (const Target& target : targets) {
    auto spool = queue(target.queue);
    if (!spool) return done(fail(std::move(spool).error().in("storing for " + target.queue.endpoint.text())));
    spools.push_back(*spool);
  }
  if (spools.empty()) return done({});
  auto waiting = std::make_shared<Waiting>();
  waiting->left = spools.size();
  waiting->done = std::move(done);
  for (std::size_t i = 0; i < spools.size(); ++i) {
    const std::int64_t life = targets[i].time_to_live_seconds;
    const Timestamp expires = life < 0 ? never_expires : message.enqueued_at + std::chrono::seconds(life);
    spools[i]->append(encode_stored({expires, message}), [waiting](Result<storage::Offset> at) {
      bool last = false;
      {
        const std::lock_guard lock(waiting->mutex);
        if (!at && waiting->outcome) waiting->outcome = fail(std::move(at).error());
        last = --waiting->left == 0;
      }
      if (last) waiting->done(std::move(waiting->outcome));
    });
  }
}

std::vector<std::pair<QueueName, storage::Spool*>> MessageStore::queues(const EndpointName& endpoint) const {
  std::vector<std::pair<QueueName, storage::Spool*>> found;
  for (auto at = spools_.lower_bound({endpoint, 0}); at != spools_.end() && at->first.endpoint == endpoint; ++at)
    found.emplace_back(at->first, at->second.get());
  return found;
}

std::vector<EndpointName> MessageStore::endpoints() const {
  std::vector<EndpointName> found;
  for (const auto& [name, spool] : spools_)
    if (found.empty() || found.back() != name.endpoint) found.push_back(name.endpoint);
  return found;
}

std::uint64_t MessageStore::waiting() const {
  std::uint64_t sum = 0;
  for (const auto& [name, spool] : spools_) sum += spool->waiting();
  return sum;
}

std::uint64_t MessageStore::dropped() const {
  std::uint64_t sum = 0;
  for (const auto& [name, spool] : spools_) sum += spool->dropped();
  return sum;
}

}  // namespace nacelle::edge
