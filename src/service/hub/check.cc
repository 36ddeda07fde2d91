#include "service/hub/check.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "net/tls/certificates.h"
#include "service/endpoint/open_namespace.h"
#include "service/hub/authority.h"
#include "service/hub/routes.h"
#include "storage/log/inspect.h"
#include "storage/tables/integrity.h"

namespace nacelle::hub {
namespace {

using State = Finding::State;
using storage::fs::path;

constexpr std::uint64_t gibibyte = 1ull << 30;
constexpr std::chrono::minutes clock_tolerance{5};  // of a folder written on a machine whose clock was a little ahead

Finding good(std::string subject, std::string what) { return {std::move(subject), State::good, std::move(what), {}}; }
Finding warning(std::string subject, std::string what, std::string mend) {
  return {std::move(subject), State::warning, std::move(what), std::move(mend)};
}
Finding problem(std::string subject, std::string what, std::string mend) {
  return {std::move(subject), State::problem, std::move(what), std::move(mend)};
}

// -- Permissions -----------------------------------------------------------------------------------------------------------

/// A file or folder that nobody but its owner may look into.
void check_private(const path& file, Findings& found) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return;  // what has to be there is missed elsewhere
  const unsigned mode = status.st_mode & 0777;
  const bool folder = S_ISDIR(status.st_mode);
  if ((mode & 077) != 0)
    found.push_back(problem("permissions", fmt::format("{} can be read or changed by others (mode {:03o})", file.string(), mode),
                            fmt::format("chmod {} {}", folder ? "700" : "600", file.string())));
  if (::access(file.c_str(), folder ? R_OK | W_OK | X_OK : R_OK) != 0)
    found.push_back(problem("permissions", fmt::format("{} cannot be used: {}", file.string(), std::strerror(errno)),
                            fmt::format("chown it to the user that runs the hub: chown -R USER {}", file.string())));
}

void check_permissions(const path& directory, Findings& found) {
  const std::size_t before = found.size();
  for (const char* name :
       {"", "hub.json", "registry.db", "registry.db-wal", "sessions.db", "sessions.db-wal", "capture.db", "broker.db",
        "routes.json", "certs/ca.key", "certs/intermediate.key", "certs/devices.key", "certs/server.key"})
    check_private(*name ? directory / name : directory, found);
  if (found.size() == before) found.push_back(good("permissions", "keys and data are for their owner only"));
}

// -- Certificates and the clock --------------------------------------------------------------------------------------------

std::string day(Timestamp time) { return format_iso8601(time, 0).substr(0, 10); }

void check_certificate(const path& certs, const std::string& name, Timestamp now, storage::FileSystem& files, Findings& found) {
  const std::string subject = "certificate " + name;
  const path file = certs / (name + ".pem");
  const bool renewed = name == "server" || name == "intermediate";  // by the hub, while it runs and at each start
  const std::string anew = renewed ? "start the hub again: it issues a new one"
                                   : "put back a copy of the folder certs/, or remove it to begin with a new authority";
  const std::string replaced =
      renewed ? anew : "others hold it, and it is not renewed by itself: plan how they get another (docs/certificates.md)";
  const auto pem = storage::read_file(files, file, 1_MiB);
  if (!pem) return found.push_back(problem(subject, pem.error().message, anew));
  const auto facts = net::inspect(*pem);
  if (!facts) return found.push_back(problem(subject, fmt::format("{}: {}", file.string(), facts.error().message), anew));
  if (const auto key = files.exists(certs / (name + ".key")); !key || !*key)
    return found.push_back(problem(subject, fmt::format("its key {} is not there", (certs / (name + ".key")).string()), anew));
  if (facts->not_before > now)
    return found.push_back(
        problem(subject, fmt::format("it is valid from {} on, and by this clock it is {}", day(facts->not_before), day(now)),
                "set the machine's clock (timedatectl set-ntp true)"));
  if (facts->not_after <= now) return found.push_back(problem(subject, fmt::format("it ended on {}", day(facts->not_after)), anew));
  if (facts->not_after - now < (renewed ? Authority::renew_before : Authority::warn_before))
    return found.push_back(warning(subject, fmt::format("it ends on {}", day(facts->not_after)), replaced));
  found.push_back(good(subject, fmt::format("good until {}", day(facts->not_after))));
}

/// A clock that was set back makes tokens last longer and lets retention keep too much; one that nobody sets drifts.
void check_clock(const path& directory, Timestamp now, storage::FileSystem& files, Findings& found) {
  const std::string mend = "set the machine's clock (timedatectl set-ntp true)";
  Timestamp newest{};
  for (const char* name : {"hub.json", "registry.db", "registry.db-wal", "capture.db-wal"})
    if (const auto info = files.info(directory / name); info && info->modified_at > newest) newest = info->modified_at;
  if (newest > now + clock_tolerance)
    return found.push_back(problem(
        "clock", fmt::format("it shows {}, but the folder was written to at {}", format_iso8601(now, 0), format_iso8601(newest, 0)),
        mend));
  struct timex state {};
  const int status = ::adjtimex(&state);
  if (status == TIME_ERROR || (status >= 0 && (state.status & STA_UNSYNC)))
    return found.push_back(warning("clock", "it is not synchronised with others: tokens and certificates depend on it", mend));
  found.push_back(good("clock", format_iso8601(now, 0)));
}

// -- What is kept ----------------------------------------------------------------------------------------------------------

void check_disk(const path& directory, Findings& found) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0)
    return found.push_back(problem("disk", fmt::format("{}: {}", directory.string(), std::strerror(errno)), "mount it"));
  DiskSpace space;
  space.free_bytes = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  space.total_bytes = static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize;
  space.free_inodes = status.f_favail;
  space.total_inodes = status.f_files;
  found.push_back(judge_disk(space));
}

void check_tables(const path& directory, Findings& found) {
  struct Tables {
    const char* file;
    const char* mend;
  };
  const Tables tables[] = {
      {"registry.db", "the devices' keys are in it: put back a copy, or move it away to begin with no devices"},
      {"sessions.db", "stop the hub and move it away: clients subscribe again"},
      {"capture.db", "stop the hub and move it away: capture begins anew, and files may hold messages twice"},
      {"broker.db", "stop the hub and move it away: retained messages and what waits for MQTT clients are lost"}};
  for (const auto& [file, mend] : tables) {
    const std::string subject = std::string("tables ") + file;
    const bool optional = std::string_view(file) == "broker.db";  // of the open namespace
    if (std::error_code error; optional && !storage::fs::exists(directory / file, error)) continue;
    const auto wrong = storage::check_integrity(directory / file);
    if (!wrong)
      found.push_back(problem(subject, wrong.error().message, mend));
    else if (!wrong->empty())
      found.push_back(problem(subject, fmt::format("{} is damaged: {}", file, wrong->front()), mend));
    else
      found.push_back(good(subject, "sound"));
  }
}

void check_log(const path& directory, storage::FileSystem& files, Findings& found) {
  const auto log = storage::inspect_event_log(directory / "events", files);
  if (!log) return found.push_back(problem("event log", log.error().message, "make it readable for the user that runs the hub"));
  for (const auto& file : log->damaged)
    found.push_back(problem("event log", fmt::format("{} is damaged", file),
                            "check the disk; the next start of the hub puts the damaged part aside and serves the rest"));
  for (const auto& file : log->quarantined)
    found.push_back(warning("event log", fmt::format("{} was put aside, damaged, by an earlier start", file),
                            "check the disk; remove the file when it is not needed any more"));
  if (log->damaged.empty())
    found.push_back(good("event log", fmt::format("{} partitions, {} segments", log->partitions, log->segments)));
}

void check_configuration(const path& directory, storage::FileSystem& files, Findings& found) {
  const std::size_t before = found.size();
  const auto hub = endpoint::read_hub_file(directory);
  if (!hub) found.push_back(problem("configuration", hub.error().message, "start the hub: it writes hub.json"));
  if (const auto there = files.exists(directory / "routes.json"); there && *there)
    if (const auto routes = load_routes(directory / "routes.json", files); !routes)
      found.push_back(problem("configuration", routes.error().message,
                              "mend the file (docs/formats/routes.md), or remove it for the routes of the beginning"));
  const path rules = directory / "namespace.json";
  if (const auto there = files.exists(rules); there && *there) {
    const auto read = [&]() -> Result<> {
      TRY_LET(const Bytes text, storage::read_file(files, rules, 1_MiB));
      TRY_LET(const json::Value document, in(json::parse(text), rules.string()));
      TRY(in(endpoint::AccessRules::parse(document), rules.string()));
      return {};
    };
    if (const auto good = read(); !good)
      found.push_back(problem("configuration", good.error().message, "mend the file (docs/mqtt.md)"));
  }
  if (found.size() == before) found.push_back(good("configuration", "hub.json, routes and access rules can be read"));
}

}  // namespace

Finding judge_disk(const DiskSpace& space) {
  const std::string mend = "make room on the disk, or move the hub's folder to a larger one (--data)";
  const auto gib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / static_cast<double>(gibibyte); };
  const std::string what = fmt::format("{:.1f} of {:.1f} GiB are free", gib(space.free_bytes), gib(space.total_bytes));
  if (space.free_bytes < gibibyte / 4) return problem("disk", what + ": the hub is about to refuse data", mend);
  if (space.total_inodes > 0 && space.free_inodes < 1000)
    return problem("disk", fmt::format("{} more files can be made on it", space.free_inodes), "remove small files from the disk");
  if (space.free_bytes < 2 * gibibyte) return warning("disk", what, mend);
  return good("disk", what);
}

bool runs_on(const path& directory, storage::FileSystem& files) {
  const auto there = files.exists(directory / "hub.lock");
  if (!there || !*there) return false;
  const auto lock = files.lock(directory / "hub.lock");
  return !lock && lock.error().fault == Fault::conflict;
}

Findings check_folder(const path& directory, const Clock& clock, storage::FileSystem& files) {
  Findings found;
  const auto registry = files.exists(directory / "registry.db");
  if (!registry || !*registry) {
    found.push_back(problem(
        "folder", fmt::format("{} is no hub's folder", directory.string()),
        fmt::format("start a hub on it: nacelle hub --data {}; or name another with --hub or NACELLE_HUB", directory.string())));
    return found;
  }
  check_permissions(directory, found);
  check_configuration(directory, files, found);
  for (const char* name : {"ca", "intermediate", "devices", "server"})
    check_certificate(directory / "certs", name, clock.now(), files, found);
  check_clock(directory, clock.now(), files, found);
  check_disk(directory, found);
  check_tables(directory, found);
  check_log(directory, files, found);
  return found;
}

}  // namespace nacelle::hub
