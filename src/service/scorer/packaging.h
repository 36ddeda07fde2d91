#pragma once
// Packs a model and this program into an OCI image that runs FROM scratch, and unpacks such an image into a folder where
// it runs as a plain process, without any container engine.
//
//   TRY_LET(const PackedImage packed, pack_image({.model = artifact_bytes, .model_name = "rul:1"}));
//   TRY(storage::write_file_atomic(files, "image.tar", packed.tar));

#include <filesystem>
#include <string>
#include <vector>

#include "codec/oci/image.h"
#include "foundation/result.h"

namespace nacelle::scorer {

struct PackRequest {
  Bytes model;  ///< the artifact's bytes
  std::string model_name;
  std::string model_hash;    ///< SHA-256 hex of `model`
  std::string architecture;  ///< what the image shall be for; empty: the program's own
  std::string reference;     ///< `name:tag`; may be empty
};

struct PackedImage {
  Bytes tar;
  std::string digest;
  std::vector<std::string> files;  ///< the paths in the image
};

/// The files this very process runs from: `bin/nacelle`, every shared library it has loaded under `lib/`, and its dynamic
/// loader where the program looks for it. Blocking; deterministic for one build and machine.
Result<std::vector<oci::FileEntry>> program_files();

/// Layer 1 the program, layer 2 the model: a new model leaves layer 1 and its digest as they were. Fault::invalid_input if
/// `architecture` is not the program's.
Result<PackedImage> pack_image(const PackRequest& request);
/// The same with the program given, for tests.
Result<PackedImage> pack_image(const PackRequest& request, std::vector<oci::FileEntry> program);

/// Writes the image's files below `into`, which must be empty or absent. Nothing is written before all of it is checked.
Result<oci::UnpackedImage> unpack_image(BytesView tar, const std::filesystem::path& into);

/// The command line that runs the unpacked image's entry point through its own loader and libraries. `arguments` take the
/// place of the image's default ones. Arguments of the entry point that name a file of the image are led to it.
Result<std::vector<std::string>> plain_command(const oci::UnpackedImage& image, const std::filesystem::path& root,
                                               const std::vector<std::string>& arguments);

}  // namespace nacelle::scorer
