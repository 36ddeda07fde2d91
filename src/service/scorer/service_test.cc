#include "service/scorer/service.h"

#include <gtest/gtest.h>

#include "net/http/client.h"
#include "net/socket/runtime.h"
#include "service/scorer/sample_model_test.h"

namespace nacelle::scorer {
namespace {

class Service : public testing::Test {
 protected:
  Service() {
    auto started = ScoringService::start(runtime_.executor(), {}, sample_estimator());
    INVARIANT(started, "a free port is there");
    service_ = std::move(started).value();
  }
  ~Service() override { runtime_.block_on(service_->close()); }

  static awaitable<Result<net::HttpResponse>> send(net::HttpClientOptions options, net::HttpRequest request) {
    net::HttpClient client(std::move(options));
    auto response = co_await client.send(std::move(request));
    co_return response;
  }
  net::HttpResponse call(std::string method, std::string target, std::string body = {}, std::string type = "application/json") {
    net::HttpClientOptions options;
    options.endpoint.port = service_->port();
    net::HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    if (!request.body.empty()) request.headers.set("Content-Type", type);
    auto response = runtime_.block_on(send(options, request));
    EXPECT_TRUE(response) << response.error().message;
    return response ? *response : net::HttpResponse{};
  }

 private:
  net::Runtime runtime_{2};
  std::unique_ptr<ScoringService> service_;
};

TEST_F(Service, scores_over_http) {
  const net::HttpResponse one = call("POST", "/score", json::print(sample_records(1, 1).front()));
  ASSERT_EQ(one.status, 200) << one.body;
  EXPECT_TRUE(json::parse(one.body)->find("PredictedRul")->is_number());
  const net::HttpResponse many = call("POST", "/score", json::print(sample_records(1, 30)));
  EXPECT_EQ(json::parse(many.body)->as_array().size(), 30u);
}

TEST_F(Service, wrong_requests_get_a_clear_4xx) {
  EXPECT_EQ(call("GET", "/score").status, 405);
  EXPECT_EQ(call("POST", "/score", "{").status, 400);
  EXPECT_EQ(call("POST", "/nothing", "{}").status, 404);
  EXPECT_EQ(call("POST", "/invocations", "x", "text/plain").status, 415);
  EXPECT_EQ(call("GET", "/v2/models/other").status, 404);
  const net::HttpResponse wrong = call("POST", "/score", R"([{"CycleTime":1,"Sensor1":"x"}])");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_NE(json::parse(wrong.body)->find("error")->as_string().find("Sensor1"), std::string::npos);
}

TEST_F(Service, tells_its_state) {
  EXPECT_EQ(call("GET", "/health").status, 200);
  EXPECT_EQ(call("GET", "/ping").status, 200);
  EXPECT_EQ(call("GET", "/v2").status, 200);
  EXPECT_EQ(call("GET", "/v2/health/live").status, 200);
  EXPECT_EQ(call("GET", "/v2/health/ready").status, 200);
  EXPECT_EQ(call("GET", "/v2/models/sample").status, 200);
  EXPECT_TRUE(json::parse(call("GET", "/openapi.json").body));
  call("POST", "/score", json::print(sample_records(1, 1).front()));
  call("POST", "/score", "no");
  const std::string metrics = call("GET", "/metrics").body;
  EXPECT_NE(metrics.find("model_infer_request_success{model_name=\"sample\""), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("} 1\n"), std::string::npos) << metrics;
}

}  // namespace
}  // namespace nacelle::scorer
