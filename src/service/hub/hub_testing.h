#pragma once
// What the hub's tests share: a folder of their own, an event log to write to, capture files to read back.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include "codec/avro/container.h"
#include "domain/telemetry/capture.h"
#include "storage/log/event_log.h"
#include "storage/objects/object_store.h"

namespace nacelle::hub::testing {

/// Gone with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "nacelle-hub-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline telemetry::Message make_message(const std::string& device, const std::string& id, const std::string& body) {
  telemetry::Message message;
  message.system.set("connectionDeviceId", device);
  message.system.set("messageId", id);
  message.system.set("contentType", "application/json");
  message.system.set("contentEncoding", "utf-8");
  message.body = body;
  return message;
}

/// Appends and waits for the sync.
inline storage::Offset append(storage::EventLog& log, storage::Partition partition, const telemetry::Message& message) {
  std::promise<Result<storage::Offset>> synced;
  log.append(partition, telemetry::encode_record(message), [&](Result<storage::Offset> at) { synced.set_value(std::move(at)); });
  return synced.get_future().get().value();
}

/// Every record of every capture file below `prefix`, in the order of the files' names.
inline std::vector<telemetry::Message> read_captured(const storage::ObjectStore& objects, const std::string& prefix) {
  std::vector<telemetry::Message> messages;
  const auto files = objects.list(prefix).value();
  for (const auto& object : files) {
    const Bytes bytes = objects.get(object.name).value();
    auto reader = avro::ContainerReader::open(BytesView(bytes));
    EXPECT_TRUE(reader.has_value()) << object.name;
    const auto read = reader->each_record([&](avro::Decoder& record) -> Result<> {
      TRY_LET(telemetry::Message message, telemetry::read_capture_record(record));
      messages.push_back(std::move(message));
      return {};
    });
    EXPECT_TRUE(read.has_value()) << object.name;
  }
  return messages;
}

inline std::vector<std::string> message_ids(const std::vector<telemetry::Message>& messages) {
  std::vector<std::string> ids;
  for (const auto& message : messages) ids.emplace_back(message.system.get("messageId"));
  return ids;
}

}  // namespace nacelle::hub::testing
