#include "service/scorer/packaging.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "codec/digest/digest.h"
#include "foundation/random.h"

namespace nacelle::scorer {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("nacelle-packaging-" + random_uuid())) {}
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

PackRequest request_for(Bytes model) {
  PackRequest request;
  request.model_hash = digest::sha256_hex(model);
  request.model = std::move(model);
  request.model_name = "rul";
  request.reference = "rul:1";
  return request;
}

PackedImage checked(Result<PackedImage> packed) {
  EXPECT_TRUE(packed) << packed.error().message;
  return std::move(packed).value();
}

/// With the loader and the C library only: compressing all of them takes seconds.
PackedImage pack(const PackRequest& request) {
  auto program = program_files();
  EXPECT_TRUE(program) << program.error().message;
  std::erase_if(*program, [](const oci::FileEntry& file) { return file.path.starts_with("lib/") && file.path != "lib/libc.so.6"; });
  return checked(pack_image(request, std::move(program).value()));
}

TEST(PackImage, the_same_model_gives_the_same_bytes_and_digest) {
  const PackedImage first = pack(request_for("model a")), again = pack(request_for("model a")),
                    other = pack(request_for("model b"));
  EXPECT_EQ(first.digest, again.digest);
  EXPECT_EQ(first.tar, again.tar);
  EXPECT_NE(first.digest, other.digest);
}

TEST(PackImage, another_architecture_than_the_programs_is_refused) {
  PackRequest request = request_for("model");
  request.architecture = "riscv64";
  const auto packed = pack_image(request, program_files().value());
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().fault, Fault::invalid_input);
}

TEST(UnpackImage, what_is_unpacked_holds_all_it_needs_and_runs_through_its_own_loader) {
  const Folder folder;
  const PackedImage packed = checked(pack_image(request_for("model")));
  const auto has = [&](std::string_view part) {
    return std::any_of(packed.files.begin(), packed.files.end(),
                       [&](const std::string& path) { return path.find(part) != std::string::npos; });
  };
  EXPECT_TRUE(has("bin/nacelle"));
  EXPECT_TRUE(has("ld-linux"));
  EXPECT_TRUE(has("lib/libstdc++.so.6"));
  const auto image = unpack_image(packed.tar, folder.path());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_TRUE(fs::exists(folder.path() / "model.nacelle"));
  const auto command = plain_command(*image, folder.path(), {"--port", "0"});
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_NE(command->front().find("ld-linux"), std::string::npos);
  EXPECT_EQ(command->at(2), (folder.path() / "lib").string());
  const std::vector<std::string> tail(command->begin() + 3, command->end());
  EXPECT_EQ(tail, (std::vector<std::string>{(folder.path() / "bin/nacelle").string(), "score", "--model",
                                            (folder.path() / "model.nacelle").string(), "--port", "0"}));
  // This test program is what was packed: asked for its list of tests it must start.
  const std::string line =
      command->front() + " --library-path " + command->at(2) + " " + command->at(3) + " --gtest_list_tests > /dev/null";
  EXPECT_EQ(std::system(line.c_str()), 0);
}

TEST(UnpackImage, a_folder_with_something_in_it_is_refused) {
  const Folder folder;
  fs::create_directories(folder.path() / "already");
  const auto image = unpack_image(pack(request_for("model")).tar, folder.path());
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().fault, Fault::conflict);
}

TEST(UnpackImage, a_damaged_image_leaves_nothing_behind) {
  const Folder folder;
  Bytes tar = pack(request_for("model")).tar;
  tar[tar.size() / 2] ^= 1;
  EXPECT_FALSE(unpack_image(tar, folder.path()));
  EXPECT_FALSE(fs::exists(folder.path()));
}

}  // namespace
}  // namespace nacelle::scorer
