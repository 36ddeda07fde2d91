#include <fmt/format.h>
#include <libdeflate.h>

#include "codec/avro/container.h"

namespace nacelle::avro {
namespace {

constexpr int level = 6;  // as much as zlib takes by default
constexpr std::size_t few_bytes = 4096;

}  // namespace

struct ContainerWriter::State {
  State(ContainerOptions given, Sink to) : options(std::move(given)), sink(std::move(to)) {}
  ~State() { libdeflate_free_compressor(zip); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Result<> write(BytesView bytes) {
    if (failed) return fail(*failed);
    if (Result<> wrote = sink(bytes); !wrote) {
      failed = std::move(wrote).error();
      return fail(*failed);
    }
    written += bytes.size();
    return {};
  }

  /// `block` compressed, at the end of `out`.
  void compress(Bytes& out) {
    const std::size_t start = out.size();
    out.resize(start + libdeflate_deflate_compress_bound(zip, block.size()));
    const std::size_t made = libdeflate_deflate_compress(zip, block.data(), block.size(), out.data() + start, out.size() - start);
    INVARIANT(made > 0 || block.empty(), "the bound says how much room is enough");
    out.resize(start + made);
  }

  ContainerOptions options;
  Sink sink;
  libdeflate_compressor* zip = nullptr;  // null: not compressed
  Bytes block;                           // records of the open block
  Bytes compressed;                      // kept for its capacity
  Bytes framed;                          // kept for its capacity
  std::uint64_t in_block = 0;
  std::uint64_t records = 0;
  std::uint64_t written = 0;
  std::optional<Error> failed;
};

ContainerWriter::ContainerWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ContainerWriter::ContainerWriter(ContainerWriter&&) noexcept = default;
ContainerWriter& ContainerWriter::operator=(ContainerWriter&&) noexcept = default;
ContainerWriter::~ContainerWriter() = default;

Result<ContainerWriter> ContainerWriter::open(ContainerOptions options, Sink sink) {
  if (options.sync_marker.size() != sync_marker_bytes)
    return fail(Fault::invalid_input, fmt::format("Avro container: expected a sync marker of {} bytes, found {}", sync_marker_bytes,
                                                  options.sync_marker.size()));
  for (const auto& [name, value] : options.metadata)
    if (name.starts_with("avro."))
      return fail(Fault::invalid_input, fmt::format("Avro container: metadata '{}' is Avro's own", name));

  auto state = std::make_unique<State>(std::move(options), std::move(sink));
  const ContainerOptions& o = state->options;
  Metadata metadata{{"avro.schema", o.schema}, {"avro.codec", o.codec == Codec::deflate ? "deflate" : "null"}};
  metadata.insert(metadata.end(), o.metadata.begin(), o.metadata.end());
  Bytes header = "Obj\x01";
  Encoder(header).put_map(metadata);
  header += o.sync_marker;
  if (o.codec == Codec::deflate) {
    state->zip = libdeflate_alloc_compressor(level);
    if (!state->zip) return fail(Fault::exhausted, "Avro container: no memory for compression");
  }
  TRY(state->write(header));
  return ContainerWriter(std::move(state));
}

Result<> ContainerWriter::add(BytesView record) {
  State& s = *state_;
  if (s.failed) return fail(*s.failed);
  s.block += record;
  ++s.in_block;
  ++s.records;
  return s.block.size() >= s.options.block_bytes ? flush_block() : Result<>{};
}

Result<> ContainerWriter::flush_block() {
  State& s = *state_;
  if (s.failed) return fail(*s.failed);
  if (s.in_block == 0) return {};
  s.compressed.clear();
  if (s.zip) s.compress(s.compressed);
  const Bytes& stored = s.zip ? s.compressed : s.block;
  s.framed.clear();
  s.framed.reserve(stored.size() + few_bytes);
  Encoder(s.framed).put_count(s.in_block).put_bytes(stored);
  s.framed += s.options.sync_marker;
  s.block.clear();
  s.in_block = 0;
  return s.write(s.framed);
}

std::uint64_t ContainerWriter::records() const { return state_->records; }
std::uint64_t ContainerWriter::bytes_written() const { return state_->written; }
std::size_t ContainerWriter::bytes_waiting() const { return state_->block.size(); }

}  // namespace nacelle::avro
