#include "codec/oci/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "codec/digest/digest.h"
#include "codec/json/value.h"
#include "codec/oci/detail/tar.h"

namespace nacelle::oci {
namespace {

constexpr std::string_view manifest_type = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view config_type = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view layer_type = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr std::string_view reference_key = "org.opencontainers.image.ref.name";

std::string digest_of(BytesView bytes) { return "sha256:" + digest::sha256_hex(bytes); }

json::Array texts(const std::vector<std::string>& values) { return json::Array(values.begin(), values.end()); }

json::Value descriptor(std::string_view type, std::string_view digest, std::size_t size) {
  return json::Object{{"mediaType", type}, {"digest", digest}, {"size", static_cast<std::int64_t>(size)}};
}

std::string config_json(const Image& image) {
  json::Object run;
  if (!image.exposed_ports.empty()) {
    json::Object ports;
    for (const std::string& port : image.exposed_ports) ports.set(port, json::Object{});
    run.set("ExposedPorts", std::move(ports));
  }
  if (!image.environment.empty()) run.set("Env", texts(image.environment));
  if (!image.entrypoint.empty()) run.set("Entrypoint", texts(image.entrypoint));
  if (!image.command.empty()) run.set("Cmd", texts(image.command));
  if (!image.labels.empty()) {
    json::Object labels;
    for (const auto& [key, value] : image.labels) labels.set(key, value);
    run.set("Labels", std::move(labels));
  }
  json::Array diff_ids;
  for (const Layer& layer : image.layers) diff_ids.push_back(layer.diff_id);
  json::Object config;
  // No time of making: it would make two equal images differ. The epoch is what reproducible builders write.
  config.set("created", "1970-01-01T00:00:00Z");
  config.set("architecture", image.architecture);
  config.set("os", "linux");
  config.set("config", std::move(run));
  config.set("rootfs", json::Object{{"type", "layers"}, {"diff_ids", std::move(diff_ids)}});
  return json::print(config);
}

std::string manifest_json(const Image& image, const std::string& config) {
  json::Array layers;
  for (const Layer& layer : image.layers) layers.push_back(descriptor(layer_type, layer.digest, layer.blob.size()));
  json::Object manifest;
  manifest.set("schemaVersion", 2);
  manifest.set("mediaType", manifest_type);
  manifest.set("config", descriptor(config_type, digest_of(config), config.size()));
  manifest.set("layers", std::move(layers));
  return json::print(manifest);
}

std::string index_json(const Image& image, const std::string& manifest) {
  json::Value entry = descriptor(manifest_type, digest_of(manifest), manifest.size());
  if (!image.reference.empty()) entry.as_object().set("annotations", json::Object{{std::string(reference_key), image.reference}});
  entry.as_object().set("platform", json::Object{{"architecture", image.architecture}, {"os", "linux"}});
  json::Array manifests;
  manifests.push_back(std::move(entry));
  json::Object index;
  index.set("schemaVersion", 2);
  index.set("mediaType", "application/vnd.oci.image.index.v1+json");
  index.set("manifests", std::move(manifests));
  return json::print(index);
}

std::string blob_path(std::string_view digest) { return "blobs/sha256/" + std::string(digest.substr(7)); }

}  // namespace

Result<> check_path(std::string_view path) {
  const auto refused = [&](std::string_view why) { return fail(Fault::denied, fmt::format("path '{}' {}", path, why)); };
  if (path.empty()) return refused("is empty");
  if (path.front() == '/') return refused("is absolute");
  if (path.find('\0') != std::string_view::npos) return fail(Fault::denied, "a path holds a NUL");
  if (path.size() > 4096) return fail(Fault::denied, "a path is longer than 4096 bytes");
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    if (segment == "..") return refused("leads outside");
    if (segment.empty() || segment == ".") return refused("has an empty segment");
    begin = end + 1;
  }
  return {};
}

Result<Layer> make_layer(std::vector<FileEntry> files) {
  std::sort(files.begin(), files.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (auto safe = check_path(files[i].path); !safe) return fail(Fault::invalid_input, "layer: " + safe.error().message);
    if (i > 0 && files[i].path == files[i - 1].path)
      return fail(Fault::invalid_input, fmt::format("layer: '{}' is there twice", files[i].path));
  }
  TRY_LET(const Bytes tar, detail::write_tar(files, true));
  Layer layer;
  layer.diff_id = digest_of(tar);
  TRY_LET(layer.blob, detail::gzip(tar));
  layer.digest = digest_of(layer.blob);
  return layer;
}

std::string image_digest(const Image& image) { return digest_of(manifest_json(image, config_json(image))); }

Result<Bytes> write_image(const Image& image) {
  const std::string config = config_json(image);
  const std::string manifest = manifest_json(image, config);
  std::map<std::string, Bytes> blobs{{blob_path(digest_of(config)), config}, {blob_path(digest_of(manifest)), manifest}};
  for (const Layer& layer : image.layers) blobs.emplace(blob_path(layer.digest), layer.blob);
  std::vector<FileEntry> files;
  files.push_back({.path = "oci-layout", .content = R"({"imageLayoutVersion":"1.0.0"})"});
  files.push_back({.path = "index.json", .content = index_json(image, manifest)});
  for (auto& [path, bytes] : blobs) files.push_back({.path = path, .content = std::move(bytes)});
  return detail::write_tar(files, true);
}

}  // namespace nacelle::oci
