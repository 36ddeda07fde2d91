#pragma once
// OCI images: files -> layers -> one tar in the OCI image layout, and back. Deterministic: the same files and settings
// give the same bytes. Source: OCI image-spec 1.0.2 (image-layout.md, manifest.md, config.md, layer.md).
//
//   TRY_LET(Layer program, make_layer({{.path = "bin/nacelle", .content = bytes, .mode = 0755}}));
//   TRY_LET(const Bytes tar, write_image({.layers = {program}, .entrypoint = {"/bin/nacelle"}}));

#include <map>
#include <string>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::oci {

/// A regular file, or a symbolic link if `link_target` is not empty. Folders are implied by the paths.
struct FileEntry {
  std::string path;  ///< relative to the image's root: `bin/nacelle`
  Bytes content;
  unsigned mode = 0644;
  std::string link_target;  ///< relative to the link's own folder
};

struct Layer {
  Bytes blob;           ///< tar, gzip
  std::string digest;   ///< `sha256:` of the blob
  std::string diff_id;  ///< `sha256:` of the tar before compression
};

/// Entries sorted by path, parent folders put in, owner 0, time 0. Fault::invalid_input for a path that is unsafe (see
/// check_path) or there twice.
Result<Layer> make_layer(std::vector<FileEntry> files);

struct Image {
  std::string architecture = "amd64";  ///< as Go names it: amd64, arm64
  std::string reference;               ///< `name:tag`; may be empty
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;  ///< default arguments behind the entry point
  std::vector<std::string> environment;
  std::vector<std::string> exposed_ports;  ///< `8080/tcp`
  std::map<std::string, std::string> labels;
  std::vector<Layer> layers;
};

/// The whole image as an uncompressed tar of its layout (`oci-layout`, `index.json`, `blobs/sha256/..`).
Result<Bytes> write_image(const Image& image);
/// The digest of the manifest, by which registries and engines name the image.
std::string image_digest(const Image& image);

/// An image read back: settings, and the files of all layers, the later over the earlier, sorted by path.
struct UnpackedImage {
  Image image;  ///< layers are left empty
  std::string digest;
  std::vector<FileEntry> files;
};

/// Checks every digest and every path. Fault::corrupt names the blob; Fault::denied the path that leads outside;
/// Fault::exhausted above `max_bytes` of content; Fault::invalid_input for what this reader does not know (white-outs,
/// devices, other compressions).
Result<UnpackedImage> read_image(BytesView tar, ByteCount max_bytes = 2_GiB);

/// Fault::denied unless `path` is relative, without `..`, empty or `.` segments and NUL.
Result<> check_path(std::string_view path);

}  // namespace nacelle::oci
