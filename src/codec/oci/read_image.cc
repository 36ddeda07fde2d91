#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "codec/digest/digest.h"
#include "codec/json/value.h"
#include "codec/oci/detail/tar.h"
#include "codec/oci/image.h"

namespace nacelle::oci {
namespace {

using Files = std::map<std::string, FileEntry>;

Result<Files> layout_files(BytesView tar, ByteCount max_bytes) {
  TRY_LET(std::vector<FileEntry> entries, detail::read_tar(tar, max_bytes, "image"));
  Files files;
  for (FileEntry& entry : entries) files.insert_or_assign(entry.path, std::move(entry));
  return files;
}

Result<const Bytes*> file_of(const Files& files, const std::string& path) {
  const auto found = files.find(path);
  if (found == files.end()) return fail(Fault::corrupt, fmt::format("image: {} is missing", path));
  return &found->second.content;
}

/// The blob a descriptor points at, its digest checked.
Result<const Bytes*> blob_of(const Files& files, const json::Value& descriptor, std::string_view what) {
  TRY_LET(const std::string digest, json::get_string(descriptor, "digest", what));
  if (!digest.starts_with("sha256:") || digest.size() != 7 + 64 || digest.find('/') != std::string::npos)
    return fail(Fault::invalid_input, fmt::format("image: {}: expected a sha256 digest, found '{}'", what, digest));
  TRY_LET(const Bytes* bytes, file_of(files, "blobs/sha256/" + digest.substr(7)));
  if (digest::sha256_hex(*bytes) != digest.substr(7))
    return fail(Fault::corrupt, fmt::format("image: {} {} does not match its digest", what, digest));
  return bytes;
}

Result<std::vector<std::string>> text_list(const json::Value& object, std::string_view key) {
  std::vector<std::string> out;
  const json::Value* list = object.find(key);
  if (!list || list->is_null()) return out;
  if (!list->is_array()) return fail(Fault::corrupt, fmt::format("image configuration: {}: expected an array", key));
  for (const json::Value& item : list->as_array()) {
    if (!item.is_string()) return fail(Fault::corrupt, fmt::format("image configuration: {}: expected strings", key));
    out.push_back(item.as_string());
  }
  return out;
}

Result<json::Value> document(const Bytes& bytes, std::string_view what) {
  auto parsed = json::parse(bytes);
  if (!parsed) return fail(Fault::corrupt, fmt::format("image: {}: {}", what, parsed.error().message));
  return std::move(parsed).value();
}

Result<Image> read_config(const json::Value& config) {
  Image image;
  TRY_LET(image.architecture, json::get_string(config, "architecture", "image configuration"));
  const json::Value* run = config.find("config");
  if (!run) return image;
  TRY_LET(image.entrypoint, text_list(*run, "Entrypoint"));
  TRY_LET(image.command, text_list(*run, "Cmd"));
  TRY_LET(image.environment, text_list(*run, "Env"));
  TRY_LET(const json::Object* labels, json::get_object_or_null(*run, "Labels", "image configuration"));
  if (labels)
    for (const auto& [key, value] : *labels)
      if (value.is_string()) image.labels.emplace(key, value.as_string());
  TRY_LET(const json::Object* ports, json::get_object_or_null(*run, "ExposedPorts", "image configuration"));
  if (ports)
    for (const auto& [port, ignored] : *ports) image.exposed_ports.push_back(port);
  return image;
}

/// Fault::denied unless the link stays inside. `..` is taken at the target's beginning only: behind a name it could climb
/// out through another link.
Result<> check_link(const FileEntry& link) {
  const std::string_view target = link.link_target;
  const auto refused = [&] {
    return fail(Fault::denied, fmt::format("image: the link '{}' to '{}' leads outside", link.path, target));
  };
  if (target.starts_with('/') || target.find('\0') != std::string_view::npos) return refused();
  auto depth = std::count(link.path.begin(), link.path.end(), '/');
  bool named = false;
  for (std::size_t begin = 0; begin <= target.size();) {
    const std::size_t end = std::min(target.find('/', begin), target.size());
    const std::string_view segment = target.substr(begin, end - begin);
    begin = end + 1;
    if (segment == "..") {
      if (named || depth-- == 0) return refused();
    } else if (!segment.empty() && segment != ".") {
      named = true;
    }
  }
  return {};
}

/// No entry may lie below a link or a file: writing it would go through the link.
Result<> check_tree(const Files& files) {
  for (const auto& [path, entry] : files) {
    if (!entry.link_target.empty()) TRY(check_link(entry));
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
      if (files.contains(path.substr(0, slash)))
        return fail(Fault::denied, fmt::format("image: '{}' lies below '{}', which is no folder", path, path.substr(0, slash)));
  }
  return {};
}

Result<> add_layer(Files& files, const Bytes& blob, ByteCount& room, const std::string& what) {
  TRY_LET(std::vector<FileEntry> entries, detail::read_tar(blob, room, what));
  for (FileEntry& entry : entries) {
    const std::string name = entry.path.substr(entry.path.rfind('/') + 1);
    if (name.starts_with(".wh."))
      return fail(Fault::invalid_input, fmt::format("{}: white-out '{}' is not supported", what, entry.path));
    room -= entry.content.size();
    files.insert_or_assign(entry.path, std::move(entry));
  }
  return {};
}

}  // namespace

Result<UnpackedImage> read_image(BytesView tar, ByteCount max_bytes) {
  TRY_LET(const Files layout, layout_files(tar, max_bytes));
  TRY_LET(const Bytes* layout_version, file_of(layout, "oci-layout"));
  TRY_LET(const json::Value version, document(*layout_version, "oci-layout"));
  TRY_LET(const std::string number, json::get_string(version, "imageLayoutVersion", "oci-layout"));
  if (number != "1.0.0") return fail(Fault::invalid_input, fmt::format("image: expected layout version 1.0.0, found {}", number));

  TRY_LET(const Bytes* index_text, file_of(layout, "index.json"));
  TRY_LET(const json::Value index, document(*index_text, "index.json"));
  const json::Value* manifests = index.find("manifests");
  if (!manifests || !manifests->is_array() || manifests->as_array().size() != 1)
    return fail(Fault::invalid_input, "image: index.json: expected exactly one manifest");
  const json::Value& entry = manifests->as_array().front();
  TRY_LET(const Bytes* manifest_text, blob_of(layout, entry, "manifest"));
  TRY_LET(const json::Value manifest, document(*manifest_text, "manifest"));

  const json::Value* config_entry = manifest.find("config");
  const json::Value* layers = manifest.find("layers");
  if (!config_entry || !layers || !layers->is_array()) return fail(Fault::corrupt, "image: the manifest lacks config or layers");
  TRY_LET(const Bytes* config_text, blob_of(layout, *config_entry, "configuration"));
  TRY_LET(const json::Value config, document(*config_text, "configuration"));

  UnpackedImage out;
  TRY_LET(out.image, read_config(config));
  TRY_LET(out.digest, json::get_string(entry, "digest", "index.json"));
  if (const json::Value* reference = entry.at_path({"annotations", "org.opencontainers.image.ref.name"});
      reference && reference->is_string())
    out.image.reference = reference->as_string();

  Files files;
  ByteCount room = max_bytes;
  std::size_t number_of_layer = 0;
  for (const json::Value& layer : layers->as_array()) {
    const std::string what = fmt::format("layer {}", ++number_of_layer);
    TRY_LET(const Bytes* blob, blob_of(layout, layer, what));
    TRY(add_layer(files, *blob, room, what));
  }
  TRY(check_tree(files));
  for (auto& [path, file] : files) out.files.push_back(std::move(file));
  return out;
}

}  // namespace nacelle::oci
