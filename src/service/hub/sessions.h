#pragma once
// Sessions: MQTT subscriptions that outlive a connection, in DIR/sessions.db (wire facts 0.1: the Node SDK counts on it).

#include "net/mqtt/server.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Any thread: the database serialises.
class Sessions final : public net::MqttSessionStore {
 public:
  explicit Sessions(storage::Database tables) : tables_(std::move(tables)) {}
  Result<std::optional<net::MqttKeptSession>> load(const std::string& client_id) override;
  Result<> save(const std::string& client_id, const net::MqttKeptSession& session) override;
  Result<> forget(const std::string& client_id) override;
  Result<std::vector<std::string>> clients() override;

 private:
  storage::Database tables_;
};

}  // namespace nacelle::hub
