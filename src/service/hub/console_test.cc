#include "service/hub/console.h"

#include "codec/digest/digest.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

constexpr ConsoleFile sample[] = {
    {"index.html", "00112233445566778899aabbccddeeff0123456789", "<page>", "packed page"},
    {"assets/index-1a2b.js", "ff112233445566778899aabbccddeeff0123456789", "script", "packed script"}};

net::HttpRequest request(std::string method, std::string target, net::Headers headers = {}) {
  net::HttpRequest made;
  made.method = std::move(method);
  made.target = std::move(target);
  made.headers = std::move(headers);
  return made;
}

net::HttpResponse get(std::string target, net::Headers headers = {}) {
  auto answer = answer_console(request("GET", std::move(target), std::move(headers)), sample);
  return answer.value_or(net::HttpResponse{0, {}, {}});
}

TEST(Console, page_is_always_asked_for_again_and_hashed_files_never) {
  const auto page = get("/console/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "<page>");
  EXPECT_EQ(page.headers.get("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.headers.get("cache-control"), "no-cache");
  const auto script = get("/console/assets/index-1a2b.js?x=1");
  EXPECT_EQ(script.body, "script");
  EXPECT_EQ(script.headers.get("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(script.headers.get("cache-control"), "public, max-age=31536000, immutable");
}

TEST(Console, every_answer_keeps_the_browser_to_the_hub_itself) {
  for (const char* target : {"/console/", "/console/assets/index-1a2b.js", "/console/none", "/console"}) {
    const auto answer = get(target);
    EXPECT_TRUE(answer.headers.get("content-security-policy").starts_with("default-src 'none'; script-src 'self';")) << target;
    EXPECT_EQ(answer.headers.get("content-security-policy").find("unsafe"), std::string_view::npos);
    EXPECT_EQ(answer.headers.get("x-content-type-options"), "nosniff") << target;
    EXPECT_EQ(answer.headers.get("referrer-policy"), "no-referrer") << target;
  }
}

TEST(Console, packed_form_goes_to_who_takes_it_under_a_tag_of_its_own) {
  const auto packed = get("/console/", {{"Accept-Encoding", "br, gzip;q=0.8"}});
  EXPECT_EQ(packed.body, "packed page");
  EXPECT_EQ(packed.headers.get("content-encoding"), "gzip");
  for (const char* refusing : {"br", "gzip;q=0", ""}) {
    const auto plain = get("/console/", {{"Accept-Encoding", refusing}});
    EXPECT_EQ(plain.body, "<page>") << refusing;
    EXPECT_FALSE(plain.headers.contains("content-encoding"));
    EXPECT_NE(plain.headers.get("etag"), packed.headers.get("etag"));
  }
}

TEST(Console, what_the_browser_has_is_not_sent_again) {
  const std::string tag(get("/console/").headers.get("etag"));
  EXPECT_EQ(get("/console/", {{"If-None-Match", "\"other\", " + tag}}).status, 304);
  EXPECT_EQ(get("/console/", {{"If-None-Match", "\"other\""}}).status, 200);
  EXPECT_EQ(get("/console/assets/index-1a2b.js", {{"If-None-Match", tag}}).status, 200);
}

TEST(Console, it_is_only_read) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    const auto answer = answer_console(request(method, "/console/"), sample);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->status, 405) << method;
    EXPECT_EQ(answer->headers.get("allow"), "GET, HEAD");
  }
  EXPECT_EQ(answer_console(request("HEAD", "/console/"), sample)->status, 200);
}

TEST(Console, only_names_that_were_built_in_are_there) {
  for (const char* target : {"/console/../index.html", "/console/assets/", "/console/%69ndex.html", "/console//index.html"})
    EXPECT_EQ(get(target).status, 404) << target;
}

TEST(Console, browsers_are_led_there_and_callers_are_not) {
  const auto led = get("/", {{"Accept", "text/html,application/xhtml+xml"}});
  EXPECT_EQ(led.status, 302);
  EXPECT_EQ(led.headers.get("location"), "/console/");
  EXPECT_EQ(get("/console").headers.get("location"), "/console/");
  EXPECT_FALSE(answer_console(request("GET", "/", {{"Accept", "application/json"}}), sample));
  EXPECT_FALSE(answer_console(request("POST", "/", {{"Accept", "text/html"}}), sample));
  EXPECT_FALSE(answer_console(request("GET", "/devices/console"), sample));
  EXPECT_FALSE(answer_console(request("GET", "/consoles/"), sample));
}

TEST(Console, a_program_built_without_it_says_so) {
  const auto answer = answer_console(request("GET", "/console/"), std::span<const ConsoleFile>());
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 503);
  EXPECT_NE(answer->body.find("The console was not built"), std::string::npos);
}

TEST(Console, what_was_built_in_is_what_its_hash_says) {
  for (const ConsoleFile& file : console_files()) {
    EXPECT_EQ(digest::sha256_hex(file.plain), file.sha256) << file.path;
    EXPECT_TRUE(file.gzip.starts_with("\x1f\x8b")) << file.path;
  }
}

TEST_F(HubTest, console_needs_no_credentials_and_calls_still_do) {
  EXPECT_EQ(call("GET", "/", {}, {{"Accept", "text/html"}}, "-").status, 302);
  EXPECT_EQ(call("GET", "/console/", {}, {}, "-").status, console_files().empty() ? 503 : 200);
  EXPECT_EQ(call("GET", "/statistics/devices", {}, {}, "-").status, 401);
}

}  // namespace
}  // namespace nacelle::hub::testing
