// Who may make which REST call, written out. What is not written is refused; a call without a line here fails the test.
#include "codec/text/encoding.h"
#include "service/hub/authorization_fixture.h"

namespace nacelle::hub::testing {
namespace {

// Who, by the names of AuthorizationTest::everyone(), split at `|`.
constexpr const char* owner = "iothubowner";
constexpr const char* registry_read = "iothubowner|registryRead|registryReadWrite";
constexpr const char* registry_write = "iothubowner|registryReadWrite";
constexpr const char* service = "iothubowner|service";
constexpr const char* queries = "iothubowner|service|registryRead|registryReadWrite";
constexpr const char* enrolment_read = "iothubowner|provisioningserviceowner|only-EnrollmentRead|only-EnrollmentWrite";
constexpr const char* enrolment_write = "iothubowner|provisioningserviceowner|only-EnrollmentWrite";
constexpr const char* status_read = "iothubowner|provisioningserviceowner|only-StatusRead|only-StatusWrite";
constexpr const char* status_write = "iothubowner|provisioningserviceowner|only-StatusWrite";
constexpr const char* d1_itself = "d1|iothubowner|device|owner for d1|device for d1";
constexpr const char* module_itself = "d1/m|iothubowner|device";
constexpr const char* edge_itself = "edge1";
constexpr const char* edge_or_hub = "edge1|edge1/$edgeHub";
constexpr const char* artifacts = "iothubowner|service|edge1|edge1/$edgeHub|edge1/filter|edge2|edge2/$edgeHub";
constexpr const char* registrant = "registrant";
constexpr const char* holder_of_the_grant = "";  // nobody by an Authorization: the address itself is signed

struct Line {
  const char* call;     // as in api_calls()
  const char* allowed;  // the others are refused
  const char* body = "{}";
};

// Bodies, names and etags are such that a call that is let in changes nothing.
const Line lines[] = {
    {"GET devices", registry_read},
    {"POST devices", registry_write, "[]"},
    {"GET devices/{device}", registry_read},
    {"PUT devices/{device}", registry_write},
    {"DELETE devices/{device}", registry_write},
    {"GET devices/{device}/modules", registry_read},
    {"GET devices/{device}/modules/{module}", registry_read},
    {"PUT devices/{device}/modules/{module}", registry_write},
    {"DELETE devices/{device}/modules/{module}", registry_write},
    {"POST devices/{device}/keys/regenerate", registry_write},
    {"POST devices/{device}/modules/{module}/keys/regenerate", registry_write},
    {"GET statistics/devices", registry_read},
    {"GET statistics/service", registry_read},
    {"GET twins/{device}", service},
    {"PATCH twins/{device}", service},
    {"PUT twins/{device}", service},
    {"GET twins/{device}/modules/{module}", service},
    {"PATCH twins/{device}/modules/{module}", service},
    {"PUT twins/{device}/modules/{module}", service},
    {"POST twins/{device}/methods", service},
    {"POST twins/{device}/modules/{module}/methods", service},
    {"POST devices/{device}/applyConfigurationContent", registry_write, "{"},
    {"POST devices/query", queries},
    {"GET configurations", registry_read},
    {"POST configurations/testQueries", registry_read},
    {"GET configurations/{configuration}", registry_read},
    {"PUT configurations/{configuration}", registry_write, "{"},
    {"DELETE configurations/{configuration}", registry_write},
    {"GET jobs/v2/query", service},
    {"GET jobs/v2/{job}", service},
    {"PUT jobs/v2/{job}", service},
    {"POST jobs/v2/{job}/cancel", service},
    {"GET certificates", registry_read},
    {"GET certificates/{certificate}", registry_read},
    {"PUT certificates/{certificate}", registry_write, "{"},
    {"DELETE certificates/{certificate}", registry_write},
    {"POST certificates/{certificate}/generateVerificationCode", registry_write},
    {"POST certificates/{certificate}/verify", registry_write},
    {"GET authority", registry_read},
    {"POST authority/issue", owner},
    {"POST authority/rotate", owner},
    {"POST jobs/create", registry_write},
    {"GET jobs", registry_write},
    {"GET jobs/{job}", registry_write},
    {"DELETE jobs/{job}", registry_write},
    {"POST containers/{container}", registry_write},
    {"PUT containers/{blob...}", holder_of_the_grant},
    {"GET containers/{blob...}", holder_of_the_grant},
    {"GET fleet/export", registry_read},
    {"GET fleet/export?keys=true", registry_write},
    {"GET provisioning", enrolment_read},
    {"POST enrollments", enrolment_write, "{"},
    {"POST enrollments/query", enrolment_read},
    {"GET enrollments/{enrollment}", enrolment_read},
    {"PUT enrollments/{enrollment}", enrolment_write, "{"},
    {"DELETE enrollments/{enrollment}", enrolment_write},
    {"POST enrollments/{enrollment}/attestationmechanism", enrolment_write},
    {"POST enrollmentGroups/query", enrolment_read},
    {"GET enrollmentGroups/{enrollment}", enrolment_read},
    {"PUT enrollmentGroups/{enrollment}", enrolment_write, "{"},
    {"DELETE enrollmentGroups/{enrollment}", enrolment_write},
    {"POST enrollmentGroups/{enrollment}/attestationmechanism", enrolment_write},
    {"POST enrollmentgroups/{enrollment}/attestationmechanism", enrolment_write},
    {"GET registrations/{registration}", status_read},
    {"DELETE registrations/{registration}", status_write},
    {"POST registrations/{enrollment}/query", status_read},
    {"PUT {scope}/registrations/{registration}/register", registrant},
    {"GET {scope}/registrations/{registration}/operations/{operation}", registrant},
    {"POST {scope}/registrations/{registration}", registrant},
    {"POST devices/{device}/messages/events", d1_itself},
    {"POST devices/{device}/modules/{module}/messages/events", module_itself},
    {"GET devices/{device}/messages/devicebound", d1_itself},
    {"DELETE devices/{device}/messages/devicebound/{lock}", d1_itself},
    {"POST devices/{device}/messages/devicebound/{lock}/abandon", d1_itself},
    {"POST devices/{device}/files", d1_itself},
    {"POST devices/{device}/files/notifications", d1_itself},
    {"POST devices/{device}/files/notifications/{correlation}", d1_itself},
    {"PUT uploads/{blob...}", holder_of_the_grant},
    {"GET uploads/{blob...}", holder_of_the_grant},
    {"HEAD uploads/{blob...}", holder_of_the_grant},
    {"DELETE devices/{device}/commands", service},
    {"GET messages/serviceBound/feedback", service},
    {"DELETE messages/serviceBound/feedback/{lock}", service},
    {"POST messages/serviceBound/feedback/{lock}/abandon", service},
    {"POST devices/{device}/messages/devicebound", service},
    {"GET messages/serviceBound/filenotifications", service},
    {"DELETE messages/serviceBound/filenotifications/{lock}", service},
    {"POST messages/serviceBound/filenotifications/{lock}/abandon", service},
    {"GET files", service},
    {"DELETE files/{blob...}", service},
    {"GET events?waitSeconds=0", service},
    {"POST events/checkpoint", service},
    {"GET events/partitions", service},
    {"GET events/consumergroups", service},
    {"GET events/consumergroups/{group}", service},
    {"DELETE events/consumergroups/{group}", service},
    {"GET statistics/messages", registry_read},
    {"POST capture/flush", service},
    {"GET routes", service},
    {"PUT routes", registry_write, "{"},
    {"POST routes/test", service},
    {"GET endpoints", service},
    {"GET policies", owner},
    {"GET policies/{policy}", owner},
    {"PUT policies/{policy}", owner},
    {"DELETE policies/{policy}", owner},
    {"GET policies/{policy}/keys", owner},
    {"POST policies/{policy}/keys/regenerate", owner},
    {"PUT artifacts/{sha256}", registry_write},
    {"GET artifacts/{sha256}", artifacts},
    {"POST devices/{device}/edge/ca", edge_itself},
    {"GET devices/{device}/modules/$edgeHub/devicesAndModulesInDeviceScope", edge_or_hub},
};

std::string without_query(std::string_view call) { return std::string(call.substr(0, call.find('?'))); }

class AuthorizationOfCalls : public AuthorizationTest {
 protected:
  /// A request of the line's call: to `d1`, its module `m` or, where only edges call, to `edge1`; or to the device named.
  net::HttpRequest request_of(const Line& line, const std::string& device = {}, const std::string& registration = "reg1") {
    const std::string text = line.call;
    net::HttpRequest request;
    request.method = text.substr(0, text.find(' '));
    std::string path = text.substr(text.find(' ') + 1);
    const bool of_edge = path.find("/edge/") != std::string::npos || path.find("$edgeHub") != std::string::npos;
    const std::string usual = of_edge ? "edge1" : "d1";
    const std::map<std::string, std::string> names{
        {"{device}", device.empty() ? usual : device},
        {"{module}", "m"},
        {"{scope}", id_scope},
        {"{blob...}", "d1/a.bin"},
        {"{sha256}", std::string(64, '0')},
        {"{registration}", text.find("{scope}") == std::string::npos ? "none" : registration}};
    for (const auto& [name, value] : names)
      if (const auto at = path.find(name); at != std::string::npos) path.replace(at, name.size(), value);
    while (path.find('{') != std::string::npos) {  // all others name what is not there
      const auto at = path.find('{');
      path.replace(at, path.find('}') - at + 1, "none");
    }
    request.target = "/" + path;
    if (request.method != "GET" && request.method != "HEAD") request.body = line.body;
    const bool new_identity = request.method == "PUT" && path.starts_with("devices/");  // exists: 409
    if (!new_identity && request.method != "GET" && request.method != "POST") request.headers.set("if-match", "\"AAAAAAAAAGM=\"");
    return request;
  }

  bool refused(net::HttpClient& http, net::HttpRequest request, const std::string& shown) {
    if (shown != "-") request.headers.set("authorization", shown);
    const std::string what = request.method + " " + request.target;
    const auto answer = run(http.send(std::move(request)));
    EXPECT_TRUE(answer.has_value()) << what;
    if (!answer) return false;
    EXPECT_NE(answer->status, 500) << what << ": " << answer->body;
    return answer->status == 401 || (answer->status == 403 && answer->headers.contains("x-ms-error-code"));
  }

  net::HttpClient dial() { return dial(trust()); }
  net::HttpClient dial(std::shared_ptr<net::TlsClientContext> tls) {
    net::HttpClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().https, {}};
    options.tls = std::move(tls);
    return net::HttpClient(std::move(options));
  }

  /// Whether a certificate that is `who`'s lets it make the call for the device in the path, which is its own.
  static bool is_its_own(const Line& line, const device::IdentityName& who) {
    const std::string_view allowed = line.allowed;
    if (allowed == d1_itself) return !who.is_module();
    if (allowed == module_itself) return who.is_module();
    return (allowed == edge_itself || allowed == edge_or_hub) && who.device.str() == "edge3";
  }

  void expect_outcomes(const std::string& name, const net::CertifiedKey& key, const std::function<bool(const Line&)>& allowed,
                       const std::string& device, const std::string& registration = "reg1") {
    auto http = dial(showing(key));
    for (const Line& line : lines) {
      const bool expect_refusal = !allowed(line);
      expected_ += expect_refusal;
      EXPECT_EQ(refused(http, request_of(line, device, registration), "-"), expect_refusal) << line.call << " by " << name;
    }
  }

  std::uint64_t expected_ = 0;  ///< refusals
};

TEST_F(AuthorizationOfCalls, every_call_has_a_line) {
  std::set<std::string> with_line, calls;
  for (const Line& line : lines) with_line.insert(without_query(line.call));
  for (const ApiCall& call : api_calls()) calls.insert(std::string(call.method) + " " + std::string(call.pattern));
  for (const auto& call : calls) EXPECT_TRUE(with_line.contains(call)) << "write down who may make the call: " << call;
  for (const auto& line : with_line) EXPECT_TRUE(calls.contains(line)) << "there is no such call (any more): " << line;
}

TEST_F(AuthorizationOfCalls, are_this_table_and_each_refusal_is_counted_and_logged_once_without_secrets) {
  make_fleet();
  const auto everyone = this->everyone();
  auto http = dial();
  ::testing::internal::CaptureStderr();
  const std::uint64_t before = refusals_counted();
  std::uint64_t expected = 0;
  for (const Line& line : lines) {
    std::set<std::string> allowed;
    for (const std::string_view name : text::split(line.allowed, '|'))
      if (!name.empty()) allowed.insert(std::string(name));
    for (const auto& name : allowed) EXPECT_TRUE(everyone.contains(name)) << line.call << " is allowed to a stranger: " << name;
    for (const auto& [name, shown] : everyone) {
      const bool expect_refusal = !allowed.contains(name);
      expected += expect_refusal;
      EXPECT_EQ(refused(http, request_of(line), shown), expect_refusal) << line.call << " by " << name;
    }
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(refusals_counted() - before, expected);
  EXPECT_EQ(refusals_in(log), expected);
  expect_no_secret(log);
  expect_known_reasons();
}

/// Certificates speak for the device the path names, in the calls that devices make themselves, and for nothing else.
TEST_F(AuthorizationOfCalls, are_this_table_for_callers_with_certificates_too) {
  make_fleet();
  make_certified_fleet();
  const auto nothing = [](const Line&) { return false; };
  ::testing::internal::CaptureStderr();
  const std::uint64_t before = refusals_counted();
  for (const auto& [name, holder] : holders) {
    const auto own = [&who = holder.who](const Line& line) { return is_its_own(line, who); };
    expect_outcomes(name, holder.key, holder.good ? std::function<bool(const Line&)>(own) : nothing, holder.who.device.str());
    if (holder.good) expect_outcomes(name + ", for others", holder.key, nothing, {});
  }
  const auto registers = [](const Line& line) { return std::string_view(line.allowed) == registrant; };
  for (const auto& [name, holder] : registrants)
    expect_outcomes(name, holder.key, holder.good ? std::function<bool(const Line&)>(registers) : nothing, {}, "reg2");
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(refusals_counted() - before, expected_);
  EXPECT_EQ(refusals_in(log), expected_);
  expect_no_secret(log);
  expect_known_reasons();
}

TEST_F(AuthorizationOfCalls, token_decides_alone_where_a_certificate_is_shown_too) {
  make_fleet();
  make_certified_fleet();
  auto http = dial(showing(holders.at("self").key));
  const Line telemetry{"POST devices/{device}/messages/events", d1_itself};
  EXPECT_FALSE(refused(http, request_of(telemetry, "self"), "-"));
  EXPECT_TRUE(refused(http, request_of(telemetry, "self"), token(d1)));
  EXPECT_TRUE(refused(http, request_of(telemetry, "self"), "SharedAccessSignature rubbish"));
  EXPECT_FALSE(refused(http, request_of(telemetry, "d1"), token(d1)));
}

TEST_F(AuthorizationOfCalls, grant_of_an_upload_is_for_its_blob_and_what_it_allows) {
  make_fleet();
  const Json grant = parse(call("POST", "/devices/d1/files", R"({"blobName":"a.bin"})", {}, token(d1)).body);
  const std::string sas = grant.find("sasToken")->as_string();
  const net::Headers block_blob{{"x-ms-blob-type", "BlockBlob"}};
  EXPECT_EQ(call("PUT", "/uploads/d1/a.bin" + sas, "bytes", block_blob, "-").status, 201);
  EXPECT_EQ(call("GET", "/uploads/d1/a.bin" + sas, {}, {}, "-").body, "bytes");
  ::testing::internal::CaptureStderr();
  const std::uint64_t before = refusals_counted();
  EXPECT_EQ(call("PUT", "/uploads/d1/b.bin" + sas, "bytes", block_blob, "-").status, 403);
  EXPECT_EQ(call("PUT", "/uploads/d2/a.bin" + sas, "bytes", block_blob, "-").status, 403);
  EXPECT_EQ(call("PUT", "/uploads/d1/a.bin" + sas.substr(0, sas.find("sp=")) + "sp=rwd", "bytes", block_blob, "-").status, 403);
  EXPECT_EQ(call("PUT", "/uploads/d1/a.bin" + sas.substr(0, sas.find("&sp=")), "bytes", block_blob, "-").status, 403);
  clock.advance(std::chrono::hours{2});
  EXPECT_EQ(call("GET", "/uploads/d1/a.bin" + sas, {}, {}, "-").status, 403);
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(refusals_counted() - before, 5u);
  EXPECT_EQ(refusals_in(log), 5u);
  expect_no_secret(log);
}

TEST_F(AuthorizationOfCalls, websocket_of_another_protocol_is_refused) {
  const net::Headers upgrade{{"upgrade", "websocket"}, {"connection", "upgrade"}, {"sec-websocket-protocol", "v12.stomp"}};
  EXPECT_EQ(call("GET", "/$iothub/websocket", {}, upgrade, "-").status, 400);
  EXPECT_EQ(hub->services().counters.refusals.of(Way::websocket), 1u);
}

}  // namespace
}  // namespace nacelle::hub::testing
