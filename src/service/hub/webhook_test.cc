#include "service/hub/webhook.h"

#include <mutex>
#include <set>

#include "net/http/server.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

/// A receiver of batches, on loopback; answers with `status`, or with what is in `first_answers` before.
class WebhookTest : public HubTest {
 protected:
  WebhookTest() {
    auto handler = [this](net::HttpRequest request) { return answer(std::move(request)); };
    server = net::HttpServer::listen(runtime.executor(), {"127.0.0.1", 0, {}}, nullptr, handler).value();
  }
  ~WebhookTest() override {
    stop();
    run(server->close());
  }

  awaitable<net::HttpResponse> answer(net::HttpRequest request) {
    const std::lock_guard lock(mutex);
    ++requests;
    if (!first_answers.empty()) {
      const int status = first_answers.back();
      first_answers.pop_back();
      co_return net::text_response(status, "not now");
    }
    const auto batch = json::parse(request.body).value();
    largest_batch = std::max(largest_batch, batch.as_array().size());
    for (const auto& event : batch.as_array()) {
      ids.push_back(event.at_path({"systemProperties", "messageId"})->as_string());
      EXPECT_EQ(event.at_path({"body", "OperationalSetting1"})->as_number(), 0.5);
      EXPECT_EQ(request.path(), "/in");
    }
    co_return net::text_response(200, "");
  }

  void route_to(const std::string& path, const std::string& condition = "true") {
    const std::string url = "http://127.0.0.1:" + std::to_string(server->port()) + path;
    const std::string routes = R"({"routes":[{"name":"alarms","condition":")" + condition +
                               R"(","endpoint":{"type":"webhook","url":")" + url +
                               R"(","maxBatch":100}},{"name":"events","endpoint":{"type":"events"}}]})";
    const auto put = call("PUT", "/routes", routes);
    ASSERT_EQ(put.status, 200) << put.body;
  }
  json::Value endpoint() { return get("/endpoints").find("endpoints")->as_array().at(0); }
  /// Asks until the endpoint says so.
  template <class Condition>
  bool eventually(Condition condition) {
    for (int i = 0; i < 20'000; ++i)
      if (condition(endpoint())) return true;
    return false;
  }
  bool delivered(std::int64_t count) {
    return eventually([count](const Json& one) { return one.find("delivered")->as_integer() == count; });
  }
  std::vector<std::string> expected(int first, int count) {
    std::vector<std::string> all;
    for (int i = first; i < first + count; ++i) all.push_back("Client_001:" + std::to_string(i));
    return all;
  }

  std::mutex mutex;
  std::vector<std::string> ids;    // guarded by mutex
  std::vector<int> first_answers;  // guarded by mutex
  std::size_t largest_batch = 0;   // guarded by mutex
  int requests = 0;                // guarded by mutex
  std::unique_ptr<net::HttpServer> server;
};

TEST_F(WebhookTest, batches_arrive_in_order_after_failures_and_only_the_rest_after_a_restart) {
  const auto device = add("Client_001");
  auto connection = connected(device);
  send(*connection, "Client_001", 900, 5);  // before the route
  route_to("/in?key=secret");
  first_answers = {503};
  send(*connection, "Client_001", 0, 250);
  EXPECT_TRUE(delivered(250));
  EXPECT_EQ(ids, expected(0, 250));
  EXPECT_LE(largest_batch, 100u);
  EXPECT_EQ(endpoint().find("health")->as_string(), "healthy");
  EXPECT_EQ(endpoint().find("behind")->as_integer(), 0);
  EXPECT_EQ(endpoint().find("endpoint")->as_string().find("secret"), std::string::npos);
  run(connection->close());
  stop();
  start();
  connection = connected(device);
  send(*connection, "Client_001", 250, 10);
  EXPECT_TRUE(delivered(10));
  EXPECT_EQ(ids, expected(0, 260)) << "nothing again, nothing left out";
  run(connection->close());
}

TEST_F(WebhookTest, a_failing_endpoint_says_why_is_dead_after_five_minutes_and_holds_up_nobody) {
  const auto device = add("Client_001");
  const auto connection = connected(device);
  route_to("/in");
  first_answers.assign(1000, 500);
  send(*connection, "Client_001", 0, 3);
  EXPECT_TRUE(eventually([](const Json& one) { return one.find("health")->as_string() == "degraded"; }));
  EXPECT_EQ(endpoint().find("why")->as_string(), "answered 500");
  EXPECT_EQ(endpoint().find("behind")->as_integer(), 3);
  EXPECT_EQ(get("/events?from=start&waitSeconds=0").find("events")->as_array().size(), 3u);
  clock.advance(std::chrono::minutes{6});
  EXPECT_TRUE(eventually([](const Json& one) { return one.find("health")->as_string() == "dead"; }));
  run(connection->close());
}

TEST_F(WebhookTest, only_what_the_condition_takes_is_sent) {
  const auto device = add("Client_001");
  const auto connection = connected(device);
  route_to("/in", "$body.CycleTime = 7");
  send(*connection, "Client_001", 0, 20);
  EXPECT_TRUE(delivered(1));
  EXPECT_EQ(ids, expected(7, 1));
  run(connection->close());
}

TEST(WebhookSettings, addresses_are_https_or_this_machine) {
  const auto place = [](const std::string& url) { return WebhookSettings{url}.place(); };
  const auto far = place("https://example.com/a/b?c=d");
  ASSERT_TRUE(far.has_value());
  EXPECT_EQ(far->host, "example.com");
  EXPECT_EQ(far->port, 443);
  EXPECT_EQ(far->target, "/a/b?c=d");
  EXPECT_TRUE(far->tls);
  EXPECT_EQ(place("https://example.com:8443")->port, 8443);
  EXPECT_EQ(place("http://localhost:1/x")->port, 1);
  for (const char* url :
       {"", "example.com", "ftp://a/", "http://example.com/", "https://", "https:///x", "https://me@host/", "https://host/a b"})
    EXPECT_FALSE(place(url).has_value()) << url;
}

}  // namespace
}  // namespace nacelle::hub::testing
