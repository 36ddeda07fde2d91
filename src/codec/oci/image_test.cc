#include "codec/oci/image.h"

#include <gtest/gtest.h>

#include "codec/digest/digest.h"
#include "codec/json/value.h"
#include "codec/oci/detail/tar.h"

namespace nacelle::oci {
namespace {

Layer layer_of(std::vector<FileEntry> files) {
  auto layer = make_layer(std::move(files));
  EXPECT_TRUE(layer) << layer.error().message;
  return std::move(layer).value();
}

Image sample_image() {
  Image image;
  image.reference = "rul:1";
  image.entrypoint = {"/bin/nacelle", "score"};
  image.command = {"--port", "8080"};
  image.environment = {"A=1"};
  image.exposed_ports = {"8080/tcp"};
  image.labels = {{"nacelle.model", "abc"}};
  image.layers = {layer_of({{.path = "bin/nacelle", .content = std::string(100'000, 'x'), .mode = 0755},
                            {.path = "lib/libz.so.1", .content = "z"}}),
                  layer_of({{.path = "model.nacelle", .content = "model"}})};
  return image;
}

Bytes tar_of(const Image& image) {
  auto tar = write_image(image);
  EXPECT_TRUE(tar) << tar.error().message;
  return std::move(tar).value();
}

/// An image whose only layer is a tar of these entries as they stand, digests and all, as an attacker would make it.
Bytes image_with_raw_layer(const std::vector<FileEntry>& entries) {
  const Bytes tar = detail::write_tar(entries, false).value();
  Image image;
  Layer layer;
  layer.blob = detail::gzip(tar).value();
  layer.digest = "sha256:" + digest::sha256_hex(layer.blob);
  layer.diff_id = "sha256:" + digest::sha256_hex(tar);
  image.layers = {layer};
  return tar_of(image);
}

TEST(WriteImage, the_same_files_give_the_same_bytes_whatever_their_order) {
  Image other = sample_image();
  other.layers[0] = layer_of(
      {{.path = "lib/libz.so.1", .content = "z"}, {.path = "bin/nacelle", .content = std::string(100'000, 'x'), .mode = 0755}});
  EXPECT_EQ(tar_of(sample_image()), tar_of(other));
  EXPECT_EQ(image_digest(sample_image()), image_digest(other));
}

TEST(WriteImage, another_content_gives_another_digest) {
  Image other = sample_image();
  other.layers[1] = layer_of({{.path = "model.nacelle", .content = "modem"}});
  EXPECT_NE(image_digest(sample_image()), image_digest(other));
}

TEST(WriteImage, the_digest_of_known_bytes_stays_the_same_for_ever) {
  // Changes only if the format changes: then every image gets another name, which must be meant.
  EXPECT_EQ(layer_of({{.path = "a/b", .content = "hello"}}).diff_id,
            "sha256:" + digest::sha256_hex(detail::write_tar({{.path = "a/b", .content = "hello"}}, true).value()));
  const Bytes tar = detail::write_tar({{.path = "a/b", .content = "hello"}}, true).value();
  ASSERT_EQ(tar.size() % 512, 0u);
  EXPECT_EQ(tar.substr(0, 2), "a/");
  EXPECT_EQ(tar.substr(136, 11), "00000000000");  // mtime
  EXPECT_EQ(tar.substr(108, 6), "000000");        // uid
}

TEST(ReadImage, gives_back_what_was_written) {
  const Image image = sample_image();
  const auto read = read_image(tar_of(image));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->digest, image_digest(image));
  EXPECT_EQ(read->image.entrypoint, image.entrypoint);
  EXPECT_EQ(read->image.command, image.command);
  EXPECT_EQ(read->image.environment, image.environment);
  EXPECT_EQ(read->image.labels, image.labels);
  EXPECT_EQ(read->image.reference, "rul:1");
  ASSERT_EQ(read->files.size(), 3u);
  EXPECT_EQ(read->files[0].path, "bin/nacelle");
  EXPECT_EQ(read->files[0].mode, 0755u);
  EXPECT_EQ(read->files[2].content, "model");
}

TEST(ReadImage, a_later_layer_covers_an_earlier_one) {
  Image image = sample_image();
  image.layers.push_back(layer_of({{.path = "model.nacelle", .content = "newer"}}));
  EXPECT_EQ(read_image(tar_of(image))->files[2].content, "newer");
}

TEST(ReadImage, every_truncation_is_refused) {
  const Bytes tar = tar_of(sample_image());
  // The tar's end marker is two empty blocks of 512 bytes; without them tar readers, ours too, accept the rest.
  for (std::size_t size = 0; size + 1024 < tar.size(); size += 97) EXPECT_FALSE(read_image(BytesView(tar).substr(0, size))) << size;
}

TEST(ReadImage, a_changed_byte_in_a_blob_is_found) {
  Bytes tar = tar_of(sample_image());
  const auto at = tar.find("\x1f\x8b");
  ASSERT_NE(at, std::string::npos);
  tar[at + 40] ^= 1;
  const auto read = read_image(tar);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().fault, Fault::corrupt);
}

TEST(ReadImage, paths_that_lead_outside_are_refused) {
  for (const char* path : {"../evil", "a/../../evil", "/etc/passwd", "a//b"}) {
    const auto read = read_image(image_with_raw_layer({{.path = path, .content = "x"}}));
    ASSERT_FALSE(read) << path;
    EXPECT_EQ(read.error().fault, Fault::denied) << path << ": " << read.error().message;
  }
}

TEST(ReadImage, links_that_lead_outside_are_refused) {
  for (const char* target : {"/etc/passwd", "../../etc/passwd", "../..", "x/../../../y", "x/.."}) {
    const auto read = read_image(image_with_raw_layer({{.path = "a/link", .content = {}, .mode = 0777, .link_target = target}}));
    ASSERT_FALSE(read) << target;
    EXPECT_EQ(read.error().fault, Fault::denied) << target;
  }
  const auto inside = read_image(image_with_raw_layer({{.path = "a/link", .content = {}, .mode = 0777, .link_target = "../b/c"}}));
  EXPECT_TRUE(inside) << inside.error().message;
}

TEST(ReadImage, nothing_is_written_through_a_link) {
  const auto read = read_image(
      image_with_raw_layer({{.path = "a", .content = {}, .mode = 0777, .link_target = "b"}, {.path = "a/file", .content = "x"}}));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().fault, Fault::denied);
}

TEST(ReadImage, more_content_than_allowed_is_refused) {
  const auto read = read_image(tar_of(sample_image()), 50'000);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().fault, Fault::exhausted);
}

TEST(MakeLayer, unsafe_and_repeated_paths_are_refused) {
  EXPECT_FALSE(make_layer({{.path = "/a", .content = "x"}}));
  EXPECT_FALSE(make_layer({{.path = "a/../b", .content = "x"}}));
  EXPECT_FALSE(make_layer({{.path = "a", .content = "x"}, {.path = "a", .content = "y"}}));
}

}  // namespace
}  // namespace nacelle::oci
