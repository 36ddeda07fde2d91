// nacelle package: a model as a container image; nacelle package run: that image as a plain process.

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <thread>

#include "app/child_process.h"
#include "app/command.h"
#include "app/commands/workbench_options.h"
#include "codec/digest/digest.h"
#include "codec/json/value.h"
#include "foundation/random.h"
#include "ml/model/estimator.h"
#include "service/scorer/packaging.h"
#include "service/workbench/model_reference.h"
#include "storage/file/file.h"

namespace nacelle::app {
namespace {

namespace fs = std::filesystem;

struct PackFlags {
  std::string model;
  std::string workbench;
  fs::path out;
  std::string architecture;
  std::string tag;
  bool json = false;
};

Result<> pack(const PackFlags& flags) {
  if (flags.model.empty() || flags.out.empty()) return fail(Fault::invalid_input, "package: --model and --out are needed");
  storage::FileSystem& disk = storage::real_file_system();
  TRY_LET(const workbench::ResolvedModel model, workbench::resolve_model(flags.model, flags.workbench));
  TRY_LET(const auto estimator, model::Estimator::load(model.artifact));  // a broken model is not packed
  scorer::PackRequest request;
  TRY_LET(request.model, storage::read_file(disk, model.artifact, 1_GiB));
  request.model_hash = digest::sha256_hex(request.model);
  request.model_name = estimator->name();
  request.architecture = flags.architecture;
  request.reference = flags.tag;
  TRY_LET(const scorer::PackedImage packed, scorer::pack_image(request));
  TRY(storage::write_file_atomic(disk, flags.out, packed.tar));
  if (flags.json) {
    json::Object line{{"image", flags.out.string()}, {"digest", packed.digest}, {"bytes", std::uint64_t{packed.tar.size()}}};
    line.set("files", std::uint64_t{packed.files.size()});
    line.set("modelSha256", request.model_hash);
    std::printf("%s\n", json::print(line).c_str());
  } else {
    std::printf("%s\n%s: %zu files, %.1f MiB\n", packed.digest.c_str(), flags.out.c_str(), packed.files.size(),
                static_cast<double>(packed.tar.size()) / (1 << 20));
  }
  return {};
}

struct RunFlags {
  fs::path image;
  fs::path into;
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
};

/// A folder that is gone when we are.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_(fs::temp_directory_path() / ("nacelle-image-" + random_uuid())) {}
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Result<> run_image(const RunFlags& flags) {
  const TemporaryFolder temporary;
  const fs::path root = flags.into.empty() ? temporary.path() : fs::absolute(flags.into);
  TRY_LET(const Bytes tar, storage::read_file(storage::real_file_system(), flags.image, 4_GiB));
  TRY_LET(const oci::UnpackedImage image, in(scorer::unpack_image(tar, root), flags.image.string()));
  TRY_LET(const std::vector<std::string> command,
          scorer::plain_command(image, root, {"--host", flags.host, "--port", std::to_string(flags.port)}));
  const InterruptGuard guard;
  TRY_LET(ChildProcess child, ChildProcess::start(command, {.log = {}, .environment = {}, .inherit_output = true}));
  while (child.running() && !InterruptGuard::interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds{50});
  const int code = child.stop();
  if (code == 0 || InterruptGuard::interrupted()) return {};
  return fail(code == 2 ? Fault::invalid_input : Fault::unavailable, "the image's program ended with code " + std::to_string(code));
}

void add_run(CLI::App& package, Outcome& outcome) {
  auto flags = std::make_shared<RunFlags>();
  auto* command = package.add_subcommand("run", "Run a packed image as a plain process, through its own loader and libraries");
  command->add_option("image", flags->image, "The image's tar")->required();
  command->add_option("--port", flags->port, "Port; 0: any free one")->capture_default_str();
  command->add_option("--host", flags->host, "Address to listen on")->capture_default_str();
  command->add_option("--into", flags->into, "Empty folder to unpack to and keep (default: a temporary one)");
  command->footer("Example:\n  nacelle package run image.tar --port 0");
  command->callback([&outcome, flags] { outcome.take(run_image(*flags)); });
}

}  // namespace

void add_package(CLI::App& root, Outcome& outcome) {
  auto flags = std::make_shared<PackFlags>();
  auto* command = root.add_subcommand("package", "Pack a model and its scoring service as a container image; or run one");
  command->require_subcommand(0, 1);
  command->add_option("--model", flags->model, "NAME:VERSION, NAME@alias, or an artifact's path");
  add_workbench_option(*command, flags->workbench);
  command->add_option("--out", flags->out, "The image to write: an OCI layout in one tar");
  command->add_option("--arch", flags->architecture, "amd64 or arm64; must be this program's (the default)");
  command->add_option("--tag", flags->tag, "name:tag inside the image");
  add_json_flag(*command, flags->json);
  command->footer(
      "Example:\n  nacelle package --model rul:1 --out image.tar --tag rul:1\n  nacelle package run image.tar --port 0");
  command->callback([command, &outcome, flags] {
    if (command->get_subcommands().empty()) outcome.take(pack(*flags));
  });
  add_run(*command, outcome);
}

}  // namespace nacelle::app
