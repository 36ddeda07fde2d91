// A load generator for MQTT brokers: one thread, epoll, pre-encoded packets; it leaves the processor to the broker. Every
// PUBACK is matched to its PUBLISH, and their order checked (MQTT 3.1.1 section 4.6).
//
//   mqtt_load --port 1883 --connections 50 --window 20 --seconds 5
//
// Prints one line of JSON. A publish counts when its PUBACK has been read.
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <stdexcept>

#include "load_client.h"

namespace load {
namespace {

using TlsContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

TlsContext tls_context(const std::string& ca_file) {
  TlsContext context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr) != 1)
    throw std::runtime_error(ca_file + ": no certificates");
  return context;
}

class Run {
 public:
  explicit Run(const Options& options)
      : options_(options), tls_(options.ca_file.empty() ? TlsContext(nullptr, SSL_CTX_free) : tls_context(options.ca_file)) {}
  ~Run() { ::close(epoll_); }

  Report measure() {
    connect_all();
    const auto begin = Clock::now();
    const auto counted_from = begin + seconds(options_.warm_up);
    const auto until = counted_from + seconds(options_.seconds);
    start_publishing(begin);
    pump_until(counted_from, true);
    const std::uint64_t before = acknowledged_;
    latencies_.clear();
    const auto started = Clock::now();
    pump_until(until, true);
    Report report;
    report.acknowledged = acknowledged_ - before;
    report.seconds = std::chrono::duration<double>(Clock::now() - started).count();
    report.p50_us = latencies_.quantile(0.5);
    report.p99_us = latencies_.quantile(0.99);
    report.max_us = latencies_.max();
    pump_until(Clock::now() + std::chrono::seconds(5), false);  // what is in flight is acknowledged
    for (Client& client : clients_) client.finish();
    report.acknowledged_in_all = acknowledged_;
    return report;
  }

 private:
  static Clock::duration seconds(double count) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
  }

  void connect_all() {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      Client& client = clients_.emplace_back(options_, options_.identities[i], tls_.get());
      client.connect();
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.u64 = i;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.socket(), &event);
    }
  }

  void start_publishing(Clock::time_point begin) {
    if (options_.rate > 0) {
      // Spread over one period, so that the fleet does not speak in one voice.
      const auto period = seconds(1 / options_.rate);
      for (std::size_t i = 0; i < clients_.size(); ++i) due_.push_back({begin + period * i / clients_.size(), i});
      return;
    }
    for (Client& client : clients_) {
      client.publish(options_.window);
      client.flush();
    }
  }

  void publish_due(Clock::time_point now) {
    const auto period = seconds(1 / options_.rate);
    while (!due_.empty() && due_.front().first <= now) {
      auto [time, index] = due_.front();
      due_.pop_front();
      Client& client = clients_[index];
      if (client.room() > 0) {
        client.publish(1);
        client.flush();
      } else {
        ++late_;
      }
      due_.push_back({time + period, index});
    }
  }

  void pump_until(Clock::time_point until, bool publishing) {
    std::vector<epoll_event> events(256);
    while (Clock::now() < until) {
      if (publishing && options_.rate > 0) publish_due(Clock::now());
      if (!publishing && std::all_of(clients_.begin(), clients_.end(), [](const Client& c) { return c.in_flight() == 0; })) return;
      const int timeout = options_.rate > 0 ? 1 : 20;
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
      for (int i = 0; i < count; ++i) serve(clients_[events[static_cast<std::size_t>(i)].data.u64], publishing);
    }
  }

  void serve(Client& client, bool publishing) {
    const std::size_t count = client.receive(latencies_);
    acknowledged_ += count;
    if (publishing && options_.rate == 0) client.publish(count);
    client.flush();
  }

  const Options& options_;
  const TlsContext tls_;
  const int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  std::deque<Client> clients_;
  std::deque<std::pair<Clock::time_point, std::size_t>> due_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t late_ = 0;
  Histogram latencies_;
};

}  // namespace

Report run(const Options& options) { return Run(options).measure(); }

}  // namespace load

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const load::Options options = load::parse(argc, argv);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  try {
    const load::Report report = load::run(options);
    fmt::print(
        "{{\"acknowledged\":{},\"seconds\":{:.3f},\"per_second\":{:.0f},\"p50_us\":{:.0f},\"p99_us\":{:.0f},\"max_us\":{:.0f},"
        "\"acknowledged_in_all\":{}}}\n",
        report.acknowledged, report.seconds, static_cast<double>(report.acknowledged) / report.seconds, report.p50_us,
        report.p99_us, report.max_us, report.acknowledged_in_all);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
