#include "service/scorer/packaging.h"

#include <fmt/format.h>
#include <link.h>

#include <algorithm>
#include <system_error>

#include "service/scorer/detail/elf.h"
#include "storage/file/file.h"

namespace nacelle::scorer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view program_path = "bin/nacelle";
constexpr std::string_view model_path = "model.nacelle";
constexpr ByteCount max_program_bytes = 1_GiB;

/// The paths under which the dynamic loader opened this process's libraries. Their last segments are the names by which
/// the program asks for them, which is what a loader in the image will look for.
std::vector<fs::path> loaded_libraries() {
  std::vector<fs::path> libraries;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        const std::string_view name = info->dlpi_name ? info->dlpi_name : "";
        // The program itself has no name; the kernel's vDSO has one without a folder.
        if (name.find('/') != std::string_view::npos) static_cast<std::vector<fs::path>*>(out)->emplace_back(name);
        return 0;
      },
      &libraries);
  std::sort(libraries.begin(), libraries.end());
  return libraries;
}

std::string strip_root(std::string_view absolute) {
  while (absolute.starts_with('/')) absolute.remove_prefix(1);
  return std::string(absolute);
}

const oci::FileEntry* find_file(const std::vector<oci::FileEntry>& files, std::string_view path) {
  const auto found = std::find_if(files.begin(), files.end(), [&](const oci::FileEntry& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

Result<std::vector<oci::FileEntry>> program_files() {
  storage::FileSystem& disk = storage::real_file_system();
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(Fault::unavailable, "the program's own file was not found: " + error.message());
  std::vector<oci::FileEntry> files;
  TRY_LET(Bytes program, storage::read_file(disk, self, max_program_bytes));
  TRY_LET(const detail::ElfFacts facts, detail::read_elf(program));
  if (facts.interpreter.empty())
    return fail(Fault::invalid_input, fmt::format("{}: expected a dynamically linked program", self.string()));
  TRY_LET(Bytes loaded_part, detail::without_unloaded_parts(program));
  files.push_back({.path = std::string(program_path), .content = std::move(loaded_part), .mode = 0755});
  TRY_LET(Bytes loader, storage::read_file(disk, facts.interpreter, max_program_bytes));
  files.push_back({.path = strip_root(facts.interpreter), .content = std::move(loader), .mode = 0755});
  for (const fs::path& library : loaded_libraries()) {
    if (library.filename() == fs::path(facts.interpreter).filename()) continue;
    TRY_LET(Bytes content, storage::read_file(disk, library, max_program_bytes));
    files.push_back({.path = "lib/" + library.filename().string(), .content = std::move(content), .mode = 0755});
  }
  return files;
}

Result<PackedImage> pack_image(const PackRequest& request) {
  TRY_LET(std::vector<oci::FileEntry> program, program_files());
  return pack_image(request, std::move(program));
}

Result<PackedImage> pack_image(const PackRequest& request, std::vector<oci::FileEntry> program) {
  const oci::FileEntry* main = find_file(program, program_path);
  if (!main) return fail(Fault::invalid_input, fmt::format("image: expected the program at {}", program_path));
  TRY_LET(const detail::ElfFacts facts, detail::read_elf(main->content));
  if (!request.architecture.empty() && request.architecture != facts.architecture)
    return fail(Fault::invalid_input,
                fmt::format("architecture: this program is for {}; an image for {} is packed by the program built there",
                            facts.architecture, request.architecture));

  PackedImage packed;
  for (const oci::FileEntry& file : program) packed.files.push_back(file.path);
  packed.files.emplace_back(model_path);

  oci::Image image;
  image.architecture = facts.architecture;
  image.reference = request.reference;
  image.entrypoint = {"/" + std::string(program_path), "score", "--model", "/" + std::string(model_path)};
  image.command = {"--host", "0.0.0.0", "--port", "8080"};
  image.environment = {"LD_LIBRARY_PATH=/lib", "OMP_WAIT_POLICY=passive"};
  image.exposed_ports = {"8080/tcp"};
  image.labels = {{"org.opencontainers.image.title", "Nacelle scoring service"},
                  {"io.nacelle.model.name", request.model_name},
                  {"io.nacelle.model.sha256", request.model_hash}};
  TRY_LET(oci::Layer program_layer, oci::make_layer(std::move(program)));
  TRY_LET(oci::Layer model_layer, oci::make_layer({{.path = std::string(model_path), .content = request.model}}));
  image.layers.push_back(std::move(program_layer));
  image.layers.push_back(std::move(model_layer));
  packed.digest = oci::image_digest(image);
  TRY_LET(packed.tar, oci::write_image(image));
  return packed;
}

Result<oci::UnpackedImage> unpack_image(BytesView tar, const fs::path& into) {
  TRY_LET(oci::UnpackedImage image, oci::read_image(tar));
  storage::FileSystem& disk = storage::real_file_system();
  TRY(disk.make_directories(into));
  TRY_LET(const std::vector<std::string> present, disk.list(into));
  if (!present.empty()) return fail(Fault::conflict, fmt::format("{}: expected an empty folder", into.string()));
  for (const oci::FileEntry& file : image.files) {
    const fs::path path = into / file.path;
    TRY(disk.make_directories(path.parent_path()));
    if (file.link_target.empty()) {
      TRY(storage::write_file_atomic(disk, path, file.content, file.mode));
      continue;
    }
    std::error_code error;
    fs::create_symlink(file.link_target, path, error);
    if (error) return fail(Fault::unavailable, fmt::format("{}: {}", path.string(), error.message()));
  }
  return image;
}

Result<std::vector<std::string>> plain_command(const oci::UnpackedImage& image, const fs::path& root,
                                               const std::vector<std::string>& arguments) {
  if (image.image.entrypoint.empty()) return fail(Fault::invalid_input, "image: it has no entry point");
  const std::string program = strip_root(image.image.entrypoint.front());
  const oci::FileEntry* file = find_file(image.files, program);
  if (!file) return fail(Fault::corrupt, fmt::format("image: the entry point {} is not in it", image.image.entrypoint.front()));
  TRY_LET(const detail::ElfFacts facts, detail::read_elf(file->content));
  std::vector<std::string> command;
  if (!facts.interpreter.empty()) {
    const std::string loader = strip_root(facts.interpreter);
    if (!find_file(image.files, loader))
      return fail(Fault::corrupt, fmt::format("image: the loader {} is not in it", facts.interpreter));
    command = {(root / loader).string(), "--library-path", (root / "lib").string()};
  }
  command.push_back((root / program).string());
  for (std::size_t i = 1; i < image.image.entrypoint.size(); ++i) {
    const std::string& argument = image.image.entrypoint[i];
    const bool names_a_file = argument.starts_with('/') && find_file(image.files, strip_root(argument));
    command.push_back(names_a_file ? (root / strip_root(argument)).string() : argument);
  }
  const std::vector<std::string>& rest = arguments.empty() ? image.image.command : arguments;
  command.insert(command.end(), rest.begin(), rest.end());
  return command;
}

}  // namespace nacelle::scorer
