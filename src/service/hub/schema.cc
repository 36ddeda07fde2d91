#include "service/hub/schema.h"

#include "foundation/log.h"

namespace nacelle::hub {
namespace {

namespace fs = std::filesystem;
using storage::Database;

// Each entry is run once, in order; entries are only ever added.
const std::vector<std::string> registry_migrations{
    R"sql(
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE policy (
  name TEXT PRIMARY KEY, primary_key TEXT NOT NULL, secondary_key TEXT NOT NULL,
  registry_read INTEGER NOT NULL, registry_write INTEGER NOT NULL, service_connect INTEGER NOT NULL, device_connect INTEGER NOT NULL
) STRICT;
CREATE TABLE identity (
  device TEXT NOT NULL, module TEXT NOT NULL, generation TEXT NOT NULL, etag INTEGER NOT NULL,
  enabled INTEGER NOT NULL, status_reason TEXT NOT NULL, authentication TEXT NOT NULL,
  primary_key TEXT NOT NULL, secondary_key TEXT NOT NULL, primary_thumbprint TEXT NOT NULL, secondary_thumbprint TEXT NOT NULL,
  edge INTEGER NOT NULL, scope TEXT NOT NULL, parent_scopes TEXT NOT NULL, managed_by TEXT NOT NULL,
  PRIMARY KEY (device, module)
) STRICT;
CREATE INDEX identity_scope ON identity (scope);
CREATE TABLE twin (device TEXT NOT NULL, module TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (device, module)) STRICT;
CREATE TABLE checkpoint (
  consumer_group TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (consumer_group, partition)
) STRICT;
CREATE TABLE upload (
  correlation TEXT PRIMARY KEY, device TEXT NOT NULL, blob TEXT NOT NULL, expires_at INTEGER NOT NULL, state TEXT NOT NULL
) STRICT;
CREATE INDEX upload_device ON upload (device, state);
)sql",
    R"sql(
CREATE TABLE cloud_message (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, record BLOB NOT NULL, expires_at INTEGER NOT NULL,
  delivery_count INTEGER NOT NULL, lock_token TEXT NOT NULL, locked_until INTEGER NOT NULL
) STRICT;
CREATE INDEX cloud_message_device ON cloud_message (device, sequence);
CREATE INDEX cloud_message_expiry ON cloud_message (expires_at);
CREATE TABLE service_message (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, record TEXT NOT NULL, enqueued_at INTEGER NOT NULL,
  lock_token TEXT NOT NULL, locked_until INTEGER NOT NULL
) STRICT;
CREATE INDEX service_message_queue ON service_message (queue, sequence);
)sql",
    // What concerns many devices at once: jobs, configurations, enrolments.
    R"sql(
CREATE TABLE job (
  id TEXT PRIMARY KEY, type TEXT NOT NULL, document TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL,
  start_at TEXT NOT NULL, ended_at TEXT NOT NULL, max_seconds INTEGER NOT NULL, failure TEXT NOT NULL
) STRICT;
CREATE INDEX job_status ON job (status);
CREATE TABLE device_job (
  job TEXT NOT NULL, device TEXT NOT NULL, module TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL,
  started_at TEXT NOT NULL, ended_at TEXT NOT NULL, outcome TEXT NOT NULL, error TEXT NOT NULL,
  PRIMARY KEY (job, device, module)
) STRICT;
CREATE INDEX device_job_status ON device_job (job, status);
CREATE TABLE configuration (
  id TEXT PRIMARY KEY, document TEXT NOT NULL, priority INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  etag INTEGER NOT NULL
) STRICT;
CREATE TABLE configuration_target (
  configuration TEXT NOT NULL, device TEXT NOT NULL, module TEXT NOT NULL, status TEXT NOT NULL,
  PRIMARY KEY (device, module, configuration)
) STRICT;
CREATE INDEX configuration_target_configuration ON configuration_target (configuration, status);
CREATE TABLE enrollment (
  kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, etag INTEGER NOT NULL, created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL, PRIMARY KEY (kind, id)
) STRICT;
CREATE TABLE registration (
  id TEXT PRIMARY KEY, enrollment_group TEXT NOT NULL, document TEXT NOT NULL, etag INTEGER NOT NULL
) STRICT;
CREATE INDEX registration_group ON registration (enrollment_group);
)sql",
    // Authorities whose certificates let devices in.
    R"sql(
CREATE TABLE authority (
  name TEXT PRIMARY KEY, certificate TEXT NOT NULL, verified INTEGER NOT NULL, code TEXT NOT NULL, created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL, etag INTEGER NOT NULL
) STRICT;
)sql",
    // Rights of the provisioning service, apart from those of the registry.
    R"sql(
ALTER TABLE policy ADD COLUMN enrollment_read INTEGER NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN enrollment_write INTEGER NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN registration_read INTEGER NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN registration_write INTEGER NOT NULL DEFAULT 0;
UPDATE policy SET enrollment_read = 1, enrollment_write = 1, registration_read = 1, registration_write = 1
  WHERE name IN ('iothubowner', 'provisioningserviceowner');
UPDATE policy SET registry_read = 0, registry_write = 0 WHERE name = 'provisioningserviceowner';
)sql",
    // Import and export of the registry.
    R"sql(
CREATE TABLE transfer (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, input TEXT NOT NULL,
  output TEXT NOT NULL, with_keys INTEGER NOT NULL, status TEXT NOT NULL, progress INTEGER NOT NULL, started_at TEXT NOT NULL,
  ended_at TEXT NOT NULL, failure TEXT NOT NULL
) STRICT;
)sql",
    // How far an import is, and what it could not take.
    R"sql(
ALTER TABLE transfer ADD COLUMN lines INTEGER NOT NULL DEFAULT 0;
CREATE TABLE transfer_error (job TEXT NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (job, line)) STRICT;
)sql",
    // When a device's status was last changed, and the model it says it has.
    R"sql(
ALTER TABLE identity ADD COLUMN status_changed_at TEXT NOT NULL DEFAULT '';
ALTER TABLE identity ADD COLUMN model TEXT NOT NULL DEFAULT '';
UPDATE identity SET managed_by = 'IotEdge' WHERE managed_by = 'iotEdge';
)sql"};

const std::vector<std::string> session_migrations{
    "CREATE TABLE session (client TEXT PRIMARY KEY, subscriptions TEXT NOT NULL) STRICT;"};

const std::vector<std::string> broker_migrations{R"sql(
CREATE TABLE cursor (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;
CREATE TABLE retained (
  topic TEXT PRIMARY KEY, partition INTEGER NOT NULL, record INTEGER NOT NULL, expires_at INTEGER, packet BLOB NOT NULL
) STRICT;
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY, session TEXT NOT NULL, partition INTEGER NOT NULL, record INTEGER NOT NULL, qos INTEGER NOT NULL,
  retain INTEGER NOT NULL, subscription_ids TEXT NOT NULL, packet_id INTEGER NOT NULL, received INTEGER NOT NULL
) STRICT;
CREATE INDEX delivery_session ON delivery (session);
CREATE TABLE identifier (
  session TEXT NOT NULL, packet_id INTEGER NOT NULL, since INTEGER NOT NULL, partition INTEGER NOT NULL, record INTEGER NOT NULL,
  released INTEGER NOT NULL, PRIMARY KEY (session, packet_id)
) STRICT;
CREATE INDEX identifier_released ON identifier (released) WHERE released = 1;
CREATE TABLE will (id INTEGER PRIMARY KEY, session TEXT NOT NULL, due INTEGER NOT NULL, sender TEXT NOT NULL, packet BLOB NOT NULL) STRICT;
)sql"};

const std::vector<std::string> capture_migrations{
    R"sql(
CREATE TABLE cursor (
  container TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, records INTEGER NOT NULL, files INTEGER NOT NULL,
  planned_file TEXT NOT NULL, planned_next INTEGER NOT NULL, planned_records INTEGER NOT NULL,
  PRIMARY KEY (container, partition)
) STRICT;
)sql",
    R"sql(
CREATE TABLE endpoint_cursor (
  route TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (route, partition)
) STRICT;
)sql"};

Result<Database> open_or_begin_anew(const fs::path& file, const std::vector<std::string>& migrations) {
  auto opened = Database::open(file, migrations);
  if (opened || opened.error().fault != Fault::corrupt) return opened;
  log::error("hub", "{}; put aside as {}.quarantined, a new one is begun", opened.error().message, file.string());
  std::error_code error;
  fs::rename(file, file.string() + ".quarantined", error);
  if (error) return fail(Fault::corrupt, file.string() + " is damaged and cannot be put aside: " + error.message());
  for (const char* companion : {"-wal", "-shm"}) fs::remove(file.string() + companion, error);
  return Database::open(file, migrations);
}

}  // namespace

Result<Database> open_registry_tables(const fs::path& directory) {
  auto opened = Database::open(directory / "registry.db", registry_migrations);
  if (!opened && opened.error().fault == Fault::corrupt)
    return fail(Fault::corrupt, opened.error().message +
                                    "; the devices' keys are in it: put back a copy, or move it away to begin with no devices");
  return in(std::move(opened), "opening the device registry");
}
Result<Database> open_session_tables(const fs::path& directory) {
  return in(open_or_begin_anew(directory / "sessions.db", session_migrations), "opening the MQTT sessions");
}
Result<Database> open_broker_tables(const fs::path& directory) {
  return in(open_or_begin_anew(directory / "broker.db", broker_migrations), "opening what waits for MQTT clients");
}
Result<Database> open_capture_tables(const fs::path& directory) {
  return in(open_or_begin_anew(directory / "capture.db", capture_migrations), "opening capture's cursors");
}

}  // namespace nacelle::hub
