// nacelle models import, export: models trained elsewhere, and ours for elsewhere.

#include <fmt/format.h>

#include <memory>

#include "app/command.h"
#include "app/commands/workbench_options.h"
#include "codec/onnx/model.h"
#include "codec/text/encoding.h"
#include "ml/model/import.h"
#include "ml/model/onnx_trees.h"
#include "service/workbench/files.h"
#include "service/workbench/model_reference.h"
#include "service/workbench/store.h"
#include "storage/file/file.h"

namespace nacelle::app {

namespace {

constexpr ByteCount max_model_bytes = 256_MiB;

struct ImportFlags {
  std::string name, from, features, description, workbench;
  double cap = 0;
  bool json = false;
};

/// Names from the command line ("a,b,c"), or from a file with one a line ("@names.txt").
Result<std::vector<std::string>> read_columns(const std::string& told) {
  Bytes text = told;
  char separator = ',';
  if (told.starts_with('@')) {
    TRY_LET(text, storage::read_file(storage::real_file_system(), told.substr(1), 1_MiB));
    separator = '\n';
  }
  std::vector<std::string> columns;
  for (const std::string_view part : text::split(text, separator))
    if (const std::string_view name = text::trim(part); !name.empty()) columns.emplace_back(name);
  return columns;
}

Result<> run_import(const ImportFlags& flags) {
  TRY(registry::check_name(flags.name, "model"));
  TRY_LET(const std::vector<std::string> columns, read_columns(flags.features));
  TRY_LET(const Bytes bytes, storage::read_file(storage::real_file_system(), flags.from, max_model_bytes));
  const model::ImportOptions options{
      .name = flags.name, .columns = columns, .cap = flags.cap, .source = std::filesystem::path(flags.from).filename().string()};
  auto read = in(model::import_model(bytes, options), flags.from);
  if (!read && columns.empty() && read.error().message.find("does not name") != std::string::npos)
    return fail(Fault::invalid_input, read.error().message + ": --features NAME,NAME,.. or --features @FILE");
  TRY_LET(const model::Artifact artifact, std::move(read));
  const SystemClock clock;
  TRY_LET(auto store, workbench::WorkbenchStore::open(workbench::workbench_folder(flags.workbench), clock));
  TRY_LET(const std::string sha256, store.keep_artifact(model::encode_artifact(artifact)));
  TRY_LET(const auto version, store.register_model(flags.name, sha256, "", flags.description));
  if (flags.json) {
    json::Value document = workbench::to_json(version);
    document.as_object().set("source", *artifact.provenance.find("source"));
    document.as_object().set("features", std::int64_t(artifact.pipeline.feature_count()));
    fmt::print("{}\n", json::print(document));
    return {};
  }
  fmt::print("registered as {}:{}: {} trees on {} columns\n", version.name, version.version,
             artifact.provenance.find("trees")->as_integer(), artifact.pipeline.feature_count());
  return {};
}

struct ExportFlags {
  std::string model, out, format = "onnx", workbench;
  bool readings = false;
  bool json = false;
};

Result<> run_export(const ExportFlags& flags) {
  if (flags.format != "onnx") return fail(Fault::invalid_input, fmt::format("--format: expected onnx, found '{}'", flags.format));
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(flags.model, flags.workbench));
  TRY_LET(const Bytes bytes, storage::read_file(storage::real_file_system(), resolved.artifact, max_model_bytes));
  TRY_LET(const model::Artifact artifact, in(model::decode_artifact(bytes), resolved.artifact.string()));
  TRY_LET(const onnx::Model graph, flags.readings ? model::write_onnx_readings(artifact) : model::write_onnx_rows(artifact));
  const Bytes written = onnx::encode(graph);
  TRY(workbench::write_whole(flags.out, written));
  if (flags.json) {
    json::Array inputs;
    for (const onnx::Port& port : graph.graph.inputs) inputs.emplace_back(port.name);
    fmt::print("{}\n", json::print(json::Object{{"file", flags.out},
                                                {"format", flags.format},
                                                {"bytes", written.size()},
                                                {"inputs", std::move(inputs)},
                                                {"output", graph.graph.outputs.front().name}}));
  } else {
    fmt::print("{} ({} bytes): {} -> {}\n", flags.out, written.size(), graph.graph.inputs.front().name,
               graph.graph.outputs.front().name);
  }
  return {};
}

}  // namespace

void add_model_files(CLI::App& models, Outcome& outcome) {
  auto* import = models.add_subcommand("import", "Register a model trained elsewhere: XGBoost .json or .ubj, ONNX trees");
  auto taken = std::make_shared<ImportFlags>();
  import->add_option("name", taken->name, "The model's name here")->required();
  import->add_option("--from", taken->from, "The file; what it is, its first bytes tell")->required();
  import->add_option(
      "--features", taken->features,
      "What its features are called in readings, in order: NAME,NAME,.. or @FILE with one a line (default: as it tells)");
  import->add_option("--cap", taken->cap, "Predictions are clipped to 0 .. cap (default: where the model clips, else not)");
  import->add_option("--description", taken->description, "A few words");
  add_workbench_option(*import, taken->workbench);
  add_json_flag(*import, taken->json);
  import->footer("Example:\n  nacelle models import pumps-rul --from pumps.ubj --features Flow,Pressure,Vibration");
  import->callback([&outcome, taken] { outcome.take(run_import(*taken));
});

auto* out = models.add_subcommand("export", "Write a model as ONNX");
auto given = std::make_shared<ExportFlags>();
out->add_option("model", given->model, "NAME:VERSION, NAME@alias, NAME, an artifact file or its folder")->required();
out->add_option("--out", given->out, "The file to write")->required();
out->add_option("--format", given->format, "onnx")->capture_default_str();
out->add_flag("--readings", given->readings,
              "From an engine's readings on (regimes, fused channels, windows), not from rows of features");
add_workbench_option(*out, given->workbench);
add_json_flag(*out, given->json);
out->footer("Example:\n  nacelle models export turbofan-rul@champion --out rul.onnx --readings");
out->callback([&outcome, given] { outcome.take(run_export(*given)); });
}  // namespace nacelle::app

}  // namespace nacelle::app
