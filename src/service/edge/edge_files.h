#pragma once
// EdgeFiles: the edge's data folder: where each thing lies, and the cached documents that let it start offline (P4).
// Layout: docs/edge.md. Documents that hold keys are mode 0600.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "codec/json/value.h"
#include "domain/device/identity.h"
#include "foundation/result.h"
#include "storage/file/file.h"

namespace nacelle::edge {

namespace fs = std::filesystem;

/// `id` as one path segment: everything but letters, digits, `-` and `_` percent-escaped.
std::string file_name(std::string_view id);

class EdgeFiles {
 public:
  /// Makes the folders. `files` outlives this.
  static Result<EdgeFiles> open(const fs::path& directory, storage::FileSystem& files);

  const fs::path& root() const { return root_; }
  fs::path spools() const { return root_ / "spool"; }
  fs::path artifacts() const { return root_ / "artifacts"; }
  fs::path module_log(std::string_view module) const { return root_ / "logs" / (file_name(module) + ".log"); }
  fs::path module_data(std::string_view module) const { return root_ / "modules" / file_name(module); }
  fs::path twin(const device::IdentityName& who) const;
  fs::path scope() const { return root_ / "scope.json"; }
  fs::path authority() const { return root_ / "edge-ca.json"; }
  fs::path server_certificate() const { return root_ / "server-certificate.json"; }
  fs::path good_config(std::string_view system_module) const { return root_ / "config" / (file_name(system_module) + ".json"); }

  /// A cached document; nothing if there is none. A damaged one is set aside as `*.quarantined`, logged, and counts as none:
  /// the hub has it too.
  std::optional<json::Value> load(const fs::path& path) const;
  /// Whole or not at all, mode 0600.
  Result<> save(const fs::path& path, const json::Value& document) const;

  /// A short private folder for unix sockets (their paths may have 107 bytes): DIR/run, or, if that is too long, one made
  /// under $XDG_RUNTIME_DIR or /tmp, whose name is kept in DIR/run-folder.
  Result<fs::path> socket_folder() const;

  storage::FileSystem& file_system() const { return *files_; }

 private:
  EdgeFiles(fs::path root, storage::FileSystem& files) : root_(std::move(root)), files_(&files) {}
  fs::path root_;
  storage::FileSystem* files_;
};

}  // namespace nacelle::edge
