#include "load_options.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

namespace load {
namespace {

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// One identity a line: client id, user name, password, topic, with tabs between them.
std::vector<Identity> read_identities(const std::string& path) {
  std::vector<Identity> identities;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Identity one;
    std::getline(fields, one.client_id, '\t');
    std::getline(fields, one.user_name, '\t');
    std::getline(fields, one.password, '\t');
    std::getline(fields, one.topic, '\t');
    identities.push_back(one);
  }
  return identities;
}

}  // namespace

Options parse(int argc, char** argv) {
  Options options;
  std::string payload_file;
  std::string identities_file;
  std::size_t payload_bytes = 600;
  CLI::App app("Publishes QoS 1 over MQTT 3.1.1 as fast as acknowledgements come, and counts them");
  app.add_option("--host", options.host)->capture_default_str();
  app.add_option("--port", options.port)->required();
  app.add_option("--ca", options.ca_file, "PEM file: use TLS and trust this authority");
  app.add_option("--server-name", options.server_name)->capture_default_str();
  app.add_option("--connections", options.connections)->capture_default_str();
  app.add_option("--window", options.window, "publishes in flight on each connection")->check(CLI::Range(1, 60000));
  app.add_option("--warm-up", options.warm_up, "seconds")->capture_default_str();
  app.add_option("--seconds", options.seconds)->capture_default_str();
  app.add_option("--rate", options.rate, "messages a second of each connection; 0: no bound")->capture_default_str();
  app.add_option("--payload", payload_file, "file whose bytes are sent (else --bytes of x)");
  app.add_option("--bytes", payload_bytes)->capture_default_str();
  app.add_option("--identities", identities_file, "lines of client id, user name, password, topic (else anonymous)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  options.payload = payload_file.empty() ? std::string(payload_bytes, 'x') : read_whole(payload_file);
  if (!identities_file.empty()) options.identities = read_identities(identities_file);
  for (std::size_t i = 0; identities_file.empty() && i < options.connections; ++i)
    options.identities.push_back({"load-" + std::to_string(i), {}, {}, "load/" + std::to_string(i)});
  if (options.identities.size() < options.connections) {
    std::fprintf(stderr, "error: %zu identities for %zu connections\n", options.identities.size(), options.connections);
    std::exit(2);
  }
  return options;
}

}  // namespace load
