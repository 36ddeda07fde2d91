// A hub whose event log meets a full disk.
#include <set>

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

/// The real disk; while it is full, nothing can be appended below a folder `events`.
class FillableDisk final : public storage::FileSystem {
 public:
  std::atomic<bool> full{false};

  Result<std::unique_ptr<storage::File>> open(const storage::fs::path& path, storage::OpenMode mode,
                                              unsigned permissions) override {
    TRY_LET(auto file, real_.open(path, mode, permissions));
    if (path.string().find("/events/") == std::string::npos) return file;
    return std::unique_ptr<storage::File>(std::make_unique<FullFile>(*this, std::move(file)));
  }
  Result<> rename(const storage::fs::path& from, const storage::fs::path& to) override { return real_.rename(from, to); }
  Result<> remove(const storage::fs::path& path) override { return real_.remove(path); }
  Result<> make_directories(const storage::fs::path& path) override { return real_.make_directories(path); }
  Result<> sync_directory(const storage::fs::path& path) override { return real_.sync_directory(path); }
  Result<bool> exists(const storage::fs::path& path) const override { return real_.exists(path); }
  Result<storage::FileInfo> info(const storage::fs::path& path) const override { return real_.info(path); }
  Result<std::vector<std::string>> list(const storage::fs::path& directory) const override { return real_.list(directory); }
  Result<std::unique_ptr<storage::FileLock>> lock(const storage::fs::path& path) override { return real_.lock(path); }

 private:
  class FullFile final : public storage::File {
   public:
    FullFile(FillableDisk& disk, std::unique_ptr<storage::File> inner) : disk_(disk), inner_(std::move(inner)) {}
    Result<> append(BytesView bytes) override {
      if (!disk_.full) return inner_->append(bytes);
      TRY(inner_->append(bytes.substr(0, bytes.size() / 2)));  // as a disk does: what still fits is written
      return fail(Fault::exhausted, "no space left on device");
    }
    Result<Bytes> read_at(std::uint64_t offset, std::size_t count) const override { return inner_->read_at(offset, count); }
    Result<> sync() override { return inner_->sync(); }
    Result<> truncate(std::uint64_t size) override { return inner_->truncate(size); }
    Result<std::uint64_t> size() const override { return inner_->size(); }

   private:
    FillableDisk& disk_;
    const std::unique_ptr<storage::File> inner_;
  };
  storage::FileSystem& real_ = storage::real_file_system();
};

class FullDiskTest : public HubTest {
 protected:
  FullDiskTest() {
    stop();
    HubOptions options;
    options.directory = folder.path() / "hub";
    options.bind = "127.0.0.1";
    hub = Hub::open(runtime.executor(), options, clock, disk).value();
    client.emplace(endpoint::HubClient::make(hub->found_at(), clock).value());
  }
  ~FullDiskTest() override { stop(); }
  FillableDisk disk;
};

TEST_F(FullDiskTest, what_does_not_fit_is_not_acknowledged_and_all_else_goes_on_until_there_is_room) {
  const auto device = add("Client_001");
  const auto connection = connected(device);
  send(*connection, "Client_001", 0, 10);

  disk.full = true;
  std::promise<Result<>> late;
  const std::string topic = telemetry::event_topic("Client_001", {}, "%24.mid=late");
  connection->publish(topic, "{}", mqtt::QoS::at_least_once, [&](Result<> acked) { late.set_value(std::move(acked)); });
  auto late_acked = late.get_future();
  Counters& counters = hub->services().counters;
  for (int i = 0; i < 20'000 && counters.refused_messages == 0; ++i) get("/statistics/messages");
  EXPECT_EQ(counters.refused_messages, 1u);
  EXPECT_EQ(late_acked.wait_for(std::chrono::seconds{0}), std::future_status::timeout) << "refused is not acknowledged";
  EXPECT_TRUE(hub->services().endpoint.connected(device.name)) << "the connection is kept";
  EXPECT_EQ(get("/events?from=start&waitSeconds=0").find("events")->as_array().size(), 10u) << "reading goes on";
  EXPECT_EQ(call("POST", "/devices/Client_001/messages/events", "{}", {}, token(device)).status, 503)
      << "and says why where it can";
  flush();

  disk.full = false;
  send(*connection, "Client_001", 10, 10);  // by itself, on the same connection
  hub->services().endpoint.disconnect(device.name, "so that the client sends again what was not acknowledged");
  EXPECT_TRUE(late_acked.get().has_value());
  const auto events = get("/events?from=start&waitSeconds=0");
  std::multiset<std::string> seen;
  for (const auto& event : events.find("events")->as_array())
    seen.insert(event.at_path({"systemProperties", "messageId"})->as_string());
  EXPECT_EQ(seen.size(), 21u);
  EXPECT_EQ(seen.count("late"), 1u);
  run(connection->close());
}

}  // namespace
}  // namespace nacelle::hub::testing
