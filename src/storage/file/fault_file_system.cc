#include "storage/file/fault_file_system.h"

#include <fmt/format.h>

#include <algorithm>

namespace nacelle::storage {
namespace {

constexpr std::size_t sector = 512;  // the most a disk writes whole

std::string plain(const fs::path& path) {
  std::string text = path.lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

std::string folder_of(const std::string& path) { return plain(fs::path(path).parent_path()); }

std::string_view name_of(Call call) {
  constexpr std::string_view names[] = {"writing",  "syncing",        "truncating", "creating", "renaming",
                                        "removing", "syncing folder", "reading",    "locking",  "making room in"};
  return names[static_cast<std::size_t>(call)];
}

}  // namespace

/// A file's bytes: as programs read them, and as the disk holds them.
struct FaultFileSystem::Node {
  Bytes now;
  Bytes synced;
  std::size_t dirty_from = 0;                             // now and synced agree below
  std::vector<std::pair<std::size_t, std::size_t>> lost;  // ranges a failed sync forgot: no later sync brings them
};

struct FaultFileSystem::Entry {
  std::string removed;  // may be empty
  std::string added;    // may be empty
  std::shared_ptr<Node> node;
};

struct FaultFileSystem::Plan {
  unsigned next = 0;
  unsigned one_in = 0;
  Fault fault = Fault::unavailable;
  std::uint64_t calls = 0;
};

class FaultFileSystem::Handle final : public File {
 public:
  Handle(FaultFileSystem& disk, std::shared_ptr<Node> node, std::string path)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)), end_(node_->now.size()), life_(disk.life_) {}

  Result<> append(BytesView bytes) override {
    const std::lock_guard lock(disk_.mutex_);
    TRY(alive());
    return disk_.write(Call::append, *node_, path_, end_, bytes);
  }
  Result<> make_room(ByteCount bytes) override {
    const std::lock_guard lock(disk_.mutex_);
    TRY(alive());
    std::uint64_t at = std::max<std::uint64_t>(end_, node_->now.size());
    return at < end_ + bytes ? disk_.write(Call::make_room, *node_, path_, at, Bytes(end_ + bytes - at, '\0')) : Result<>();
  }
  Result<Bytes> read_at(std::uint64_t offset, std::size_t count) const override {
    const std::lock_guard lock(disk_.mutex_);
    TRY(alive());
    TRY(disk_.step(Call::read, path_));
    if (offset >= node_->now.size()) return Bytes();
    return node_->now.substr(offset, count);
  }
  Result<> sync() override {
    const std::lock_guard lock(disk_.mutex_);
    TRY(alive());
    return disk_.sync(*node_, path_);
  }
  Result<> truncate(std::uint64_t size) override {
    const std::lock_guard lock(disk_.mutex_);
    TRY(alive());
    TRY(disk_.truncate(*node_, path_, size));
    end_ = size;
    return {};
  }
  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(disk_.mutex_);
    TRY(alive());
    return std::min<std::uint64_t>(end_, node_->now.size());
  }

 private:
  Result<> alive() const {
    if (life_ == disk_.life_) return {};
    return fail(Fault::unavailable, fmt::format("{}: opened before the power cut", path_));
  }

  FaultFileSystem& disk_;
  std::shared_ptr<Node> node_;
  std::string path_;
  std::uint64_t end_;  // where the next append goes
  std::uint64_t life_;
};

class FaultFileSystem::Lock final : public FileLock {
 public:
  Lock(FaultFileSystem& disk, std::string path) : disk_(disk), path_(std::move(path)), life_(disk.life_) {}
  ~Lock() override {
    const std::lock_guard lock(disk_.mutex_);
    if (life_ == disk_.life_) disk_.locks_.erase(path_);
  }

 private:
  FaultFileSystem& disk_;
  std::string path_;
  std::uint64_t life_;
};

FaultFileSystem::FaultFileSystem(std::uint64_t seed) : random_(seed) {}
FaultFileSystem::~FaultFileSystem() = default;

// --- what to do wrong

void FaultFileSystem::cut_power_after(std::uint64_t changing_calls) {
  const std::lock_guard lock(mutex_);
  cut_after_ = changing_ + changing_calls;
}

void FaultFileSystem::cut_power_now() {
  const std::lock_guard lock(mutex_);
  out_ = true;
}

bool FaultFileSystem::power_is_out() const {
  const std::lock_guard lock(mutex_);
  return out_;
}

void FaultFileSystem::restart() {
  const std::lock_guard lock(mutex_);
  // A journalling file system keeps one folder's changes in order: some first part of them survives.
  for (auto& [folder, entries] : pending_) {
    const std::size_t kept = below(entries.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) apply(durable_, entries[i]);
  }
  pending_.clear();
  names_ = durable_;
  std::set<Node*> settled;
  for (auto& [path, node] : names_)
    if (settled.insert(node.get()).second) settle(*node);
  locks_.clear();
  plans_.clear();
  out_ = false;
  cut_after_ = ~0ULL;
  ++life_;
}

void FaultFileSystem::set_room(ByteCount total) {
  const std::lock_guard lock(mutex_);
  room_ = total;
}

void FaultFileSystem::fail_next(Call call, unsigned times, Fault fault) {
  const std::lock_guard lock(mutex_);
  plans_[call].next = times;
  plans_[call].fault = fault;
}

void FaultFileSystem::fail_one_in(Call call, unsigned n, Fault fault) {
  const std::lock_guard lock(mutex_);
  plans_[call].one_in = n;
  plans_[call].fault = fault;
}

std::uint64_t FaultFileSystem::changing_calls() const {
  const std::lock_guard lock(mutex_);
  return changing_;
}

std::uint64_t FaultFileSystem::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  const auto plan = plans_.find(call);
  return plan == plans_.end() ? 0 : plan->second.calls;
}

ByteCount FaultFileSystem::used() const {
  const std::lock_guard lock(mutex_);
  ByteCount sum = 0;
  for (const auto& [path, node] : names_) sum += node->now.size();
  return sum;
}

Bytes FaultFileSystem::contents(const fs::path& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(plain(path));
  return found == names_.end() ? Bytes() : found->second->now;
}

void FaultFileSystem::set_contents(const fs::path& path, Bytes bytes) {
  const std::lock_guard lock(mutex_);
  auto node = std::make_shared<Node>();
  node->now = node->synced = std::move(bytes);
  node->dirty_from = node->now.size();
  names_[plain(path)] = node;
  durable_[plain(path)] = node;
}

std::vector<std::string> FaultFileSystem::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [path, node] : names_) all.push_back(path);
  return all;
}

// --- chance and power

bool FaultFileSystem::chance(unsigned one_in) { return one_in != 0 && random_() % one_in == 0; }
std::size_t FaultFileSystem::below(std::size_t bound) { return bound == 0 ? 0 : static_cast<std::size_t>(random_() % bound); }

/// Counts a call and decides whether it works. `half_done` tells that it failed, but may have begun.
Result<> FaultFileSystem::step(Call call, const std::string& path, bool* half_done) {
  if (half_done) *half_done = false;
  if (out_) return fail(Fault::unavailable, fmt::format("{} {}: the power is out", name_of(call), path));
  Plan& plan = plans_[call];
  ++plan.calls;
  const bool changes = call != Call::read && call != Call::lock;
  if (changes && changing_++ >= cut_after_) {
    out_ = true;
    if (half_done) *half_done = chance(2);
    return fail(Fault::unavailable, fmt::format("{} {}: the power went out", name_of(call), path));
  }
  if (plan.next > 0 || chance(plan.one_in)) {
    if (plan.next > 0) --plan.next;
    if (half_done) *half_done = true;
    return fail(plan.fault, fmt::format("{} {}: failed on purpose", name_of(call), path));
  }
  return {};
}

/// What the disk holds of a file after a power cut.
void FaultFileSystem::settle(Node& node) {
  Bytes& now = node.now;
  Bytes& old = node.synced;
  for (const auto& [begin, end] : node.lost)  // pages marked clean that never reached the disk
    for (std::size_t i = begin; i < std::min(end, now.size()); ++i) now[i] = i < old.size() ? old[i] : '\0';
  const std::size_t from = std::min(node.dirty_from, std::min(now.size(), old.size()));
  switch (below(4)) {
    case 0: now = old; break;  // nothing unsynced survived
    case 1:                    // a first part
      now.resize(from + below(now.size() - from + 1));
      if (now.size() < old.size()) now.append(old, now.size());
      break;
    case 2: {  // any sectors, in any order
      const std::size_t size =
          std::min(now.size(), old.size()) + below(std::max(now.size(), old.size()) - std::min(now.size(), old.size()) + 1);
      Bytes mixed = old;
      mixed.resize(size, '\0');
      for (std::size_t at = from / sector * sector; at < size; at += sector)
        if (chance(2))
          for (std::size_t i = at; i < std::min(at + sector, size); ++i) mixed[i] = i < now.size() ? now[i] : '\0';
      now = std::move(mixed);
      break;
    }
    default: break;  // everything
  }
  old = now;
  node.dirty_from = now.size();
  node.lost.clear();
}

// --- files

/// `at` goes along, also when not all of it is written.
Result<> FaultFileSystem::write(Call call, Node& node, const std::string& path, std::uint64_t& at, BytesView bytes) {
  bool begun = false;
  auto outcome = step(call, path, &begun);
  if (!outcome && !begun) return outcome;
  if (!outcome) bytes = bytes.substr(0, below(bytes.size() + 1));
  ByteCount used = 0;
  if (room_ != ~0ULL)
    for (const auto& [name, other] : names_) used += other->now.size();
  const std::uint64_t largest = room_ == ~0ULL ? room_ : node.now.size() + (room_ > used ? room_ - used : 0);
  const bool fits = at + bytes.size() <= largest;
  if (!fits) bytes = bytes.substr(0, largest - at);
  node.dirty_from = std::min<std::size_t>(node.dirty_from, at);
  node.now.resize(std::max<std::size_t>(node.now.size(), at + bytes.size()));
  node.now.replace(at, bytes.size(), bytes);
  at += bytes.size();
  if (!fits && outcome) return fail(Fault::exhausted, fmt::format("writing {}: no space left on device", path));
  return outcome;
}

Result<> FaultFileSystem::sync(Node& node, const std::string& path) {
  bool begun = false;
  auto outcome = step(Call::sync, path, &begun);
  if (!outcome) {
    if (!out_) {  // the kernel marks the pages clean though they were lost
      node.lost.emplace_back(node.dirty_from, node.now.size());
      node.dirty_from = node.now.size();
      return outcome;
    }
    if (!begun) return outcome;  // power went out before it; else just after it
  }
  std::size_t from = std::min(node.dirty_from, node.synced.size());
  node.synced.resize(from);
  node.synced.append(node.now, from);
  for (const auto& [begin, end] : node.lost)
    for (std::size_t i = begin; i < std::min(end, node.synced.size()); ++i) node.synced[i] = '\0';
  node.dirty_from = node.now.size();
  return outcome;
}

Result<> FaultFileSystem::truncate(Node& node, const std::string& path, std::uint64_t size) {
  bool begun = false;
  auto outcome = step(Call::truncate, path, &begun);
  if (!outcome && !(out_ && begun)) return outcome;
  node.now.resize(size, '\0');
  node.dirty_from = std::min<std::size_t>(node.dirty_from, size);
  for (auto& range : node.lost) range.second = std::min<std::size_t>(range.second, size);
  std::erase_if(node.lost, [](const auto& range) { return range.first >= range.second; });
  return outcome;
}

// --- names

void FaultFileSystem::apply(Names& names, const Entry& entry) {
  if (!entry.removed.empty()) names.erase(entry.removed);
  if (!entry.added.empty()) names[entry.added] = entry.node;
}

void FaultFileSystem::put(const std::string& path, std::shared_ptr<Node> node) {
  const Entry entry{"", path, std::move(node)};
  apply(names_, entry);
  pending_[folder_of(path)].push_back(entry);
}

Result<std::unique_ptr<File>> FaultFileSystem::open(const fs::path& path, OpenMode mode, unsigned) {
  const std::lock_guard lock(mutex_);
  const std::string name = plain(path);
  const auto found = names_.find(name);
  if (mode == OpenMode::create && found != names_.end()) return fail(Fault::conflict, fmt::format("creating {}: it exists", name));
  if (mode == OpenMode::read && found == names_.end()) return fail(Fault::not_found, fmt::format("opening {}: no such file", name));
  if (out_) return fail(Fault::unavailable, fmt::format("opening {}: the power is out", name));
  if (found != names_.end()) return std::unique_ptr<File>(std::make_unique<Handle>(*this, found->second, name));
  if (!folders_.contains(folder_of(name))) return fail(Fault::not_found, fmt::format("creating {}: no such folder", name));
  bool begun = false;
  auto outcome = step(Call::create, name, &begun);
  if (!outcome && !(out_ && begun)) return fail(std::move(outcome).error());
  auto node = std::make_shared<Node>();
  put(name, node);
  if (!outcome) return fail(std::move(outcome).error());
  return std::unique_ptr<File>(std::make_unique<Handle>(*this, node, name));
}

Result<> FaultFileSystem::rename(const fs::path& from, const fs::path& to) {
  const std::lock_guard lock(mutex_);
  const std::string source = plain(from);
  const std::string target = plain(to);
  const auto found = names_.find(source);
  if (found == names_.end()) return fail(Fault::not_found, fmt::format("renaming {}: no such file", source));
  if (!folders_.contains(folder_of(target))) return fail(Fault::not_found, fmt::format("renaming to {}: no such folder", target));
  bool begun = false;
  auto outcome = step(Call::rename, source, &begun);
  if (!outcome && !(out_ && begun)) return outcome;
  const Entry entry{source, target, found->second};
  apply(names_, entry);
  pending_[folder_of(target)].push_back(entry);
  return outcome;
}

Result<> FaultFileSystem::remove(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  const std::string name = plain(path);
  if (!names_.contains(name)) return {};
  bool begun = false;
  auto outcome = step(Call::remove, name, &begun);
  if (!outcome && !(out_ && begun)) return outcome;
  const Entry entry{name, "", nullptr};
  apply(names_, entry);
  pending_[folder_of(name)].push_back(entry);
  return outcome;
}

Result<> FaultFileSystem::make_directories(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  if (out_) return fail(Fault::unavailable, "making a folder: the power is out");
  for (fs::path at = plain(path); !at.empty(); at = at.parent_path()) {
    if (names_.contains(at.string())) return fail(Fault::invalid_input, fmt::format("making folder {}: it is a file", at.string()));
    folders_.insert(at.string());
    if (at == at.parent_path()) break;
  }
  return {};
}

Result<> FaultFileSystem::sync_directory(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  const std::string name = plain(path);
  bool begun = false;
  auto outcome = step(Call::sync_directory, name, &begun);
  if (!outcome && !(out_ && begun)) return outcome;
  for (const Entry& entry : pending_[name]) apply(durable_, entry);
  pending_[name].clear();
  return outcome;
}

Result<bool> FaultFileSystem::exists(const fs::path& path) const {
  const std::lock_guard lock(mutex_);
  return names_.contains(plain(path)) || folders_.contains(plain(path));
}

Result<FileInfo> FaultFileSystem::info(const fs::path& path) const {
  const std::lock_guard lock(mutex_);
  const std::string name = plain(path);
  if (folders_.contains(name)) return FileInfo{.is_directory = true};
  const auto found = names_.find(name);
  if (found == names_.end()) return fail(Fault::not_found, fmt::format("looking at {}: no such file", name));
  return FileInfo{.bytes = found->second->now.size()};
}

Result<std::vector<std::string>> FaultFileSystem::list(const fs::path& directory) const {
  const std::lock_guard lock(mutex_);
  const std::string name = plain(directory);
  if (!folders_.contains(name)) return fail(Fault::not_found, fmt::format("listing {}: no such folder", name));
  std::set<std::string> found;
  for (const auto& [path, node] : names_)
    if (folder_of(path) == name) found.insert(fs::path(path).filename().string());
  for (const std::string& path : folders_)
    if (path != name && folder_of(path) == name) found.insert(fs::path(path).filename().string());
  return std::vector<std::string>(found.begin(), found.end());
}

Result<std::unique_ptr<FileLock>> FaultFileSystem::lock(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  const std::string name = plain(path);
  TRY(step(Call::lock, name));
  if (!locks_.insert(name).second) return fail(Fault::conflict, fmt::format("{} is held: another process has it open", name));
  return std::unique_ptr<FileLock>(std::make_unique<Lock>(*this, name));
}

}  // namespace nacelle::storage
