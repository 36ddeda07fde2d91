#pragma once
// FaultFileSystem: a disk in memory for tests. It can fail or cut short any call, fill up, and lose power; then it keeps
// only what was synced, and of the rest whatever the seed says (a prefix, some sectors, everything, nothing).
//
//   FaultFileSystem disk(seed);
//   disk.cut_power_after(120);      // the 121st changing call happens by half, and nothing after it
//   ... use the disk until it fails ...
//   disk.restart();                 // power is back: open again and check what was promised

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include "storage/file/file.h"

namespace nacelle::storage {

enum class Call { append, sync, truncate, create, rename, remove, sync_directory, read, lock, make_room };

/// Any thread.
class FaultFileSystem final : public FileSystem {
 public:
  explicit FaultFileSystem(std::uint64_t seed);
  ~FaultFileSystem() override;

  // What to do wrong.
  void cut_power_after(std::uint64_t changing_calls);
  void cut_power_now();
  bool power_is_out() const;
  /// Power comes back: unsynced data and folder entries are kept or lost at random; open files and locks are dead.
  void restart();
  void set_room(ByteCount total);  ///< appends beyond it are cut short with Fault::exhausted
  /// The next `times` calls of this kind fail. A failing append writes a part, a failing sync loses what it had to sync.
  void fail_next(Call call, unsigned times = 1, Fault fault = Fault::unavailable);
  /// Every call of this kind fails with a chance of one in `n`; 0 ends it.
  void fail_one_in(Call call, unsigned n, Fault fault = Fault::unavailable);

  // What happened, and what is there.
  std::uint64_t changing_calls() const;
  std::uint64_t calls(Call call) const;
  ByteCount used() const;
  Bytes contents(const fs::path& path) const;            ///< empty if absent
  void set_contents(const fs::path& path, Bytes bytes);  ///< durable at once: damage done behind the store's back
  std::vector<std::string> paths() const;

  Result<std::unique_ptr<File>> open(const fs::path& path, OpenMode mode, unsigned permissions = 0644) override;
  Result<> rename(const fs::path& from, const fs::path& to) override;
  Result<> remove(const fs::path& path) override;
  Result<> make_directories(const fs::path& path) override;
  Result<> sync_directory(const fs::path& path) override;
  Result<bool> exists(const fs::path& path) const override;
  Result<FileInfo> info(const fs::path& path) const override;
  Result<std::vector<std::string>> list(const fs::path& directory) const override;
  Result<std::unique_ptr<FileLock>> lock(const fs::path& path) override;

 private:
  struct Node;
  struct Entry;
  struct Plan;
  class Handle;
  class Lock;
  using Names = std::map<std::string, std::shared_ptr<Node>>;

  bool chance(unsigned one_in);
  std::size_t below(std::size_t bound);
  Result<> step(Call call, const std::string& path, bool* half_done = nullptr);
  Result<> write(Call call, Node& node, const std::string& path, std::uint64_t& at, BytesView bytes);
  Result<> sync(Node& node, const std::string& path);
  Result<> truncate(Node& node, const std::string& path, std::uint64_t size);
  void settle(Node& node);
  void put(const std::string& path, std::shared_ptr<Node> node);
  static void apply(Names& names, const Entry& entry);

  mutable std::mutex mutex_;  // guards everything below
  std::mt19937_64 random_;
  std::uint64_t changing_ = 0;
  std::uint64_t cut_after_ = ~0ULL;
  bool out_ = false;
  std::uint64_t life_ = 0;  // counts restarts: handles of an earlier life are dead
  ByteCount room_ = ~0ULL;
  std::map<Call, Plan> plans_;
  Names names_;                                        // as programs see it
  Names durable_;                                      // as it would be after a power cut, at worst
  std::map<std::string, std::vector<Entry>> pending_;  // folder: entries changed since it was synced, in order
  std::set<std::string> folders_;
  std::set<std::string> locks_;
};

}  // namespace nacelle::storage
