#include "service/edge/twin_link.h"

#include <fmt/format.h>

#include "codec/sas/token.h"
#include "codec/text/encoding.h"
#include "domain/telemetry/topic.h"
#include "foundation/log.h"

namespace nacelle::edge {

namespace {

constexpr std::string_view answers = "$iothub/twin/res/";
constexpr std::string_view desired_changes = "$iothub/twin/PATCH/properties/desired/";
constexpr std::chrono::seconds try_again{5};
constexpr std::chrono::hours look_again{1};

std::string parameter(std::string_view query, std::string_view name) {
  for (const std::string_view part : text::split(query, '&'))
    if (part.starts_with(name) && part.substr(name.size()).starts_with('=')) return std::string(part.substr(name.size() + 1));
  return {};
}

}  // namespace

std::shared_ptr<TwinLink> TwinLink::make(Executor core, Settings settings, const EdgeFiles& files, const Clock& clock) {
  auto link = std::shared_ptr<TwinLink>(new TwinLink(std::move(core), std::move(settings), files, clock));
  if (const auto stored = files.load(files.twin(link->settings_.who))) link->twin_ = MirroredTwin::from_json(*stored);
  return link;
}

TwinLink::TwinLink(Executor core, Settings settings, const EdgeFiles& files, const Clock& clock)
    : core_(core), settings_(std::move(settings)), files_(files), clock_(clock), wake_(core), tasks_(core) {}

void TwinLink::start() {
  net::MqttClientOptions options;
  options.endpoint.host = settings_.hub.host;
  options.endpoint.port = settings_.hub.mqtts;
  options.tls = settings_.tls;
  options.server_name = settings_.hub.host;
  options.client_id = settings_.who.client_id();
  telemetry::UserName name;
  name.hub = settings_.hub.name;
  name.device_id = settings_.who.device.str();
  name.module_id = settings_.who.module.str();
  name.api_version = "2021-04-12";
  name.client_type = "nacelle-edge";
  options.user_name = telemetry::print_user_name(name);
  options.max_in_flight = settings_.max_in_flight;
  options.max_back_off = settings_.max_back_off;
  options.reconnect_before_expiry = token_renewal;
  const std::weak_ptr<TwinLink> weak = weak_from_this();
  options.password = [weak] { return password(weak); };
  auto on_message = [weak, core = core_](const mqtt::Publish& publish, std::function<void()> done) {
    asio::post(core, [weak, topic = std::string(publish.topic), payload = std::string(publish.payload)]() mutable {
      if (const auto self = weak.lock()) self->received(std::move(topic), std::move(payload));
    });
    done();
  };
  auto on_state = [weak, core = core_](bool connected) {
    asio::post(core, [weak, connected] {
      const auto self = weak.lock();
      if (!self) return;
      self->connected_ = connected;
      if (connected) self->stale_ = true;
      self->wake();
      if (self->on_connected) self->on_connected(connected);
    });
  };
  client_ = net::MqttClient::make(core_, std::move(options), std::move(on_message), std::move(on_state));
  tasks_.spawn(run());
}

awaitable<Result<std::string>> TwinLink::password(std::weak_ptr<TwinLink> weak) {
  const auto self = weak.lock();
  if (!self) co_return fail(Fault::unavailable, "the connection is closing");
  const Settings& settings = self->settings_;
  const std::string key = settings.key();
  if (key.empty()) co_return fail(Fault::denied, fmt::format("{} is not in the edge's scope", settings.who.client_id()));
  const std::string resource = sas::device_resource(settings.hub.name, settings.who.device.str(), settings.who.module.str());
  co_return sas::make_token(resource, key, self->clock_.now() + token_lifetime);
}

awaitable<void> TwinLink::close() {
  const auto self = shared_from_this();
  auto waiting = std::exchange(waiting_, {});
  for (auto& [id, done] : waiting) done(fail(Fault::unavailable, "the connection is closing"));
  if (client_) co_await client_->close();
  co_await tasks_.close();
}

void TwinLink::wake() { wake_.cancel(); }

awaitable<void> TwinLink::run() {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto self = shared_from_this();
  const auto cancelled = co_await asio::this_coro::cancellation_state;
  auto started = co_await client_->start(std::chrono::seconds(1), true);
  if (!started && started.error().fault == Fault::denied)
    log::warn("edge", "{} at the hub: {}", settings_.who.client_id(), started.error().message);
  while (cancelled.cancelled() == asio::cancellation_type::none) {
    bool well = true;
    if (connected_ && stale_) well = co_await synchronise();
    if (connected_ && well && !twin_.pending().is_null()) well = co_await send_pending();
    if (cancelled.cancelled() != asio::cancellation_type::none) co_return;
    if (connected_ && well && (stale_ || !twin_.pending().is_null())) continue;
    wake_.expires_after(well ? std::chrono::steady_clock::duration(look_again) : try_again);
    const auto [error] = co_await wake_.async_wait(as_result);
    (void)error;
  }
}

awaitable<bool> TwinLink::synchronise() {
  stale_ = false;
  for (const std::string_view topic : {answers, desired_changes}) {
    std::string filter = std::string(topic) + "#";
    auto subscribed = co_await client_->subscribe(std::move(filter), mqtt::QoS::at_most_once);
    if (!subscribed) {
      stale_ = true;
      co_return false;
    }
  }
  std::string topic = "$iothub/twin/GET/";
  Bytes empty;
  auto answer = co_await ask(std::move(topic), std::move(empty));
  std::optional<json::Value> view;
  if (answer && answer->status == 200)
    if (auto parsed = json::parse(answer->body)) view = std::move(*parsed);
  if (!view) {
    log::debug("edge", "{}: the twin could not be read: {}", settings_.who.client_id(),
               answer ? fmt::format("status {}", answer->status) : answer.error().message);
    stale_ = true;
    co_return false;
  }
  const auto patch = twin_.take_view(*view);
  save();
  if (patch && on_desired) on_desired(*patch);
  co_return true;
}

awaitable<bool> TwinLink::send_pending() {
  Bytes body = json::print(twin_.pending());
  twin_.pending_sent();
  std::string topic = "$iothub/twin/PATCH/properties/reported/";
  auto answer = co_await ask(std::move(topic), std::move(body));
  if (answer && answer->status / 100 == 2) {
    const auto version = text::parse_integer(answer->version, "version");
    twin_.pending_delivered(version ? std::optional<std::int64_t>(*version) : std::nullopt);
    save();
    co_return true;
  }
  const bool refused = answer && (answer->status == 400 || answer->status == 412 || answer->status == 413);
  if (refused) {  // it will never be taken: keep the connection useful
    log::warn("edge", "{}: the hub refused reported properties: {}", settings_.who.client_id(), answer->body.substr(0, 200));
    twin_.pending_delivered(std::nullopt);
    save();
    co_return true;
  }
  twin_.pending_failed();
  co_return false;
}

awaitable<Result<TwinLink::Answer>> TwinLink::ask(std::string topic_without_id, Bytes body) {
  const std::string id = std::to_string(next_id_++);
  std::string topic = topic_without_id + "?$rid=" + id;
  auto timer = std::make_shared<asio::steady_timer>(core_, settings_.answer_within);
  const auto self = shared_from_this();
  auto begin = [self, timer, id, topic, body](std::function<void(Result<Answer>)> done) {
    self->waiting_.emplace(id, std::move(done));
    timer->async_wait([self, id](boost::system::error_code error) {
      if (error) return;
      if (auto late = self->waiting_.extract(id)) late.mapped()(fail(Fault::timed_out, "the hub did not answer in time"));
    });
    self->client_->publish(topic, body, mqtt::QoS::at_most_once, [](Result<>) {});
  };
  auto answer = co_await await_callback<Result<Answer>>(std::move(begin));
  timer->cancel();
  co_return answer;
}

void TwinLink::received(std::string topic, std::string payload) {
  const std::string_view text = topic;
  if (text.starts_with(answers)) {
    const std::size_t slash = text.find("/?", answers.size());
    if (slash == std::string_view::npos) return;
    const std::string_view query = text.substr(slash + 2);
    const auto status = text::parse_integer(text.substr(answers.size(), slash - answers.size()), "status");
    auto entry = waiting_.extract(parameter(query, "$rid"));
    if (entry && status) entry.mapped()(Answer{static_cast<int>(*status), parameter(query, "$version"), std::move(payload)});
  } else if (text.starts_with(desired_changes)) {
    auto patch = json::parse(payload);
    if (patch)
      desired_patch(*patch);
    else
      log::warn("edge", "{}: a desired change is not JSON: {}", settings_.who.client_id(), patch.error().message);
  }
}

void TwinLink::desired_patch(const json::Value& patch) {
  auto change = twin_.take_desired_patch(patch);
  if (!change) {
    stale_ = true;
    wake();
    return;
  }
  if (!*change) return;
  save();
  if (on_desired) on_desired(**change);
  // It may have been a replacement, which looks like a patch (wire facts 1.8): the whole is asked for to be sure.
  stale_ = true;
  wake();
}

awaitable<bool> TwinLink::wait_until_known(std::chrono::steady_clock::duration time) {
  const auto self = shared_from_this();
  const auto until = std::chrono::steady_clock::now() + time;
  while (!twin_.known() && std::chrono::steady_clock::now() < until)
    if (const bool slept = co_await sleep_for(std::chrono::milliseconds(20)); !slept) break;
  co_return twin_.known();
}

Result<std::int64_t> TwinLink::report(const json::Value& patch, std::optional<std::int64_t> base) {
  TRY_LET(const std::int64_t version, twin_.report(patch, base));
  TRY(files_.save(files_.twin(settings_.who), twin_.to_json()));
  wake();
  return version;
}

void TwinLink::save() {
  if (auto saved = files_.save(files_.twin(settings_.who), twin_.to_json()); !saved)
    log::error("edge", "{}", saved.error().message);
}

}  // namespace nacelle::edge
