#include "service/workbench/nasa_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include "codec/digest/digest.h"
#include "net/http/server.h"
#include "net/socket/runtime.h"
#include "service/workbench/files.h"

namespace nacelle::workbench {
namespace {

Bytes zip_of(const std::vector<std::pair<std::string, Bytes>>& files) {
  Bytes out(1 << 20, '\0');
  std::size_t used = 0;
  archive* handle = archive_write_new();
  archive_write_set_format_zip(handle);
  EXPECT_EQ(archive_write_open_memory(handle, out.data(), out.size(), &used), ARCHIVE_OK);
  for (const auto& [name, content] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(handle, entry);
    archive_write_data(handle, content.data(), content.size());
    archive_entry_free(entry);
  }
  archive_write_close(handle);
  archive_write_free(handle);
  out.resize(used);
  return out;
}

struct NasaArchive : testing::Test {
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder = fs::path(testing::TempDir()) / fmt::format("nasa-{}-{}", ::getpid(), info->name());
  }
  void TearDown() override { fs::remove_all(folder); }

  const Bytes one = "1 1 0.5\n", two = "2 1 0.25\n";
  const KnownSums sums{{"one.txt", digest::sha256_hex(one)}, {"two.txt", digest::sha256_hex(two)}};
  fs::path folder;
};

TEST_F(NasaArchive, files_of_the_inner_zip_are_written_and_nothing_else) {
  const Bytes inner = zip_of({{"one.txt", one}, {"readme.txt", "x"}, {"../../two.txt", two}});
  const auto names = unpack_checked(zip_of({{"6. Turbofan/CMAPSSData.zip", inner}}), sums, folder);
  ASSERT_TRUE(names) << names.error().message;
  EXPECT_EQ(*names, (std::vector<std::string>{"one.txt", "two.txt"}));
  EXPECT_EQ(files_below(folder).value(), (std::vector<fs::path>{folder / "one.txt", folder / "two.txt"}));
}

TEST_F(NasaArchive, another_sum_is_named_and_nothing_is_written) {
  const auto names = unpack_checked(zip_of({{"one.txt", one}, {"two.txt", "2 1 0.26\n"}}), sums, folder);
  ASSERT_FALSE(names);
  EXPECT_EQ(names.error().fault, Fault::corrupt);
  EXPECT_NE(names.error().message.find("two.txt"), std::string::npos) << names.error().message;
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(NasaArchive, a_missing_file_is_named) {
  const auto names = unpack_checked(zip_of({{"one.txt", one}}), sums, folder);
  ASSERT_FALSE(names);
  EXPECT_NE(names.error().message.find("two.txt is missing"), std::string::npos) << names.error().message;
}

TEST_F(NasaArchive, cut_anywhere_it_is_refused_and_nothing_is_written) {
  const Bytes whole = zip_of({{"one.txt", one}, {"two.txt", two}});
  // The directory at a zip's end repeats what streamed reading has seen: from its begin on the files are complete.
  const std::size_t directory = whole.find("PK\x01\x02");
  ASSERT_NE(directory, Bytes::npos);
  for (std::size_t size = 0; size < directory; ++size) {
    const auto names = unpack_checked(BytesView(whole).substr(0, size), sums, folder);
    ASSERT_FALSE(names) << size;
    ASSERT_FALSE(fs::exists(folder)) << size;
  }
}

TEST_F(NasaArchive, zips_are_opened_two_deep_only) {
  Bytes nested = zip_of({{"one.txt", one}, {"two.txt", two}});
  for (int i = 0; i < 2; ++i) nested = zip_of({{"inner.zip", nested}});
  EXPECT_FALSE(unpack_checked(nested, sums, folder));
}

awaitable<net::HttpResponse> answer(net::HttpRequest request) {
  co_return request.path() == "/a+b.zip" ? net::text_response(200, "bytes") : net::text_response(404, "none");
}

awaitable<Result<>> fetch_from_own_server(Result<Bytes>* there, Result<Bytes>* gone) {
  const Executor executor = co_await asio::this_coro::executor;
  net::Endpoint any;
  any.host = "127.0.0.1";
  CO_TRY_LET(const auto server, net::HttpServer::listen(executor, any, nullptr, answer));
  *there = co_await download(fmt::format("http://127.0.0.1:{}/a+b.zip", server->port()));
  *gone = co_await download(fmt::format("http://127.0.0.1:{}/other", server->port()));
  co_await server->close();
  co_return Result<>{};
}

TEST(Download, body_of_a_200_and_an_error_for_anything_else) {
  Result<Bytes> there = Bytes(), gone = Bytes();
  net::Runtime runtime;
  ASSERT_TRUE(runtime.run(fetch_from_own_server(&there, &gone)));
  EXPECT_EQ(there.value(), "bytes");
  ASSERT_FALSE(gone);
  EXPECT_NE(gone.error().message.find("404"), std::string::npos);
}

awaitable<Result<>> fetch_into(std::string url, Result<Bytes>* out) {
  *out = co_await download(std::move(url));
  co_return Result<>{};
}

TEST(Download, what_is_no_web_address_is_refused) {
  for (const char* url : {"", "ftp://host/x", "https://", "host/x"}) {
    Result<Bytes> got = Bytes();
    net::Runtime runtime;
    ASSERT_TRUE(runtime.run(fetch_into(url, &got)));
    ASSERT_FALSE(got) << url;
    EXPECT_EQ(got.error().fault, Fault::invalid_input) << url;
  }
}

}  // namespace
}  // namespace nacelle::workbench
