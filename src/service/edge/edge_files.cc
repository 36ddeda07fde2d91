#include "service/edge/edge_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>

#include "foundation/log.h"

namespace nacelle::edge {

namespace {

// sun_path holds 108 bytes with its NUL; the longest name below the folder is "/0123abcd/w.sock".
constexpr std::size_t max_socket_folder = 107 - 16;

bool private_folder_of_ours(const fs::path& path) {
  struct stat facts {};
  return ::lstat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode) && facts.st_uid == ::geteuid() && (facts.st_mode & 077) == 0;
}

}  // namespace

std::string file_name(std::string_view id) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string name;
  for (const unsigned char c : id) {
    if (std::isalnum(c) || c == '-' || c == '_') {
      name += static_cast<char>(c);
    } else {
      name += '%';
      name += digits[c >> 4];
      name += digits[c & 15];
    }
  }
  return name;
}

Result<EdgeFiles> EdgeFiles::open(const fs::path& directory, storage::FileSystem& files) {
  std::error_code error;
  const fs::path root = fs::absolute(directory, error);
  if (error) return fail(Fault::invalid_input, "data folder " + directory.string() + ": " + error.message());
  for (const char* folder : {"", "spool", "logs", "modules", "twins", "config", "artifacts"})
    TRY(files.make_directories(root / folder));
  for (const char* folder : {"twins", "config", "modules"}) {
    fs::permissions(root / folder, fs::perms::owner_all, error);
    if (error) return fail(Fault::unavailable, "making " + (root / folder).string() + " private: " + error.message());
  }
  return EdgeFiles(root, files);
}

fs::path EdgeFiles::twin(const device::IdentityName& who) const {
  const std::string name =
      who.is_module() ? file_name(who.device.str()) + "." + file_name(who.module.str()) : file_name(who.device.str());
  return root_ / "twins" / (name + ".json");
}

std::optional<json::Value> EdgeFiles::load(const fs::path& path) const {
  auto bytes = storage::read_file(*files_, path);
  if (!bytes) {
    if (bytes.error().fault != Fault::not_found) log::warn("edge", "{}", bytes.error().message);
    return std::nullopt;
  }
  auto document = json::parse(*bytes);
  if (document) return std::move(document).value();
  log::error("edge", "{} is damaged and set aside: {}", path.string(), document.error().message);
  if (auto moved = files_->rename(path, path.string() + ".quarantined"); !moved) log::error("edge", "{}", moved.error().message);
  return std::nullopt;
}

Result<> EdgeFiles::save(const fs::path& path, const json::Value& document) const {
  return storage::write_file_atomic(*files_, path, json::print(document), 0600);
}

Result<fs::path> EdgeFiles::socket_folder() const {
  std::error_code error;
  const fs::path near = root_ / "run";
  if (near.string().size() <= max_socket_folder) {
    TRY(files_->make_directories(near));
    fs::permissions(near, fs::perms::owner_all, error);
    if (error) return fail(Fault::unavailable, "making " + near.string() + " private: " + error.message());
    return near;
  }
  const fs::path note = root_ / "run-folder";
  if (auto kept = storage::read_file(*files_, note, 4096); kept && private_folder_of_ours(*kept)) return fs::path(*kept);
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  std::string pattern =
      std::string(runtime && std::string_view(runtime).size() < 60 && ::access(runtime, W_OK) == 0 ? runtime : "/tmp") +
      "/nacelle-XXXXXX";
  if (!::mkdtemp(pattern.data())) return fail(Fault::unavailable, "no folder for unix sockets could be made as " + pattern);
  TRY(storage::write_file_atomic(*files_, note, pattern, 0600));
  return fs::path(pattern);
}

}  // namespace nacelle::edge
