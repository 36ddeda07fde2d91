#include <fmt/format.h>
#include <libdeflate.h>

#include "codec/avro/container.h"

namespace nacelle::avro {
namespace {

constexpr std::size_t few_bytes = 4096;

Failure no_memory() { return fail(Fault::exhausted, "Avro container: no memory for compression"); }

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

  /// Of the level that is wanted. False: no memory.
  bool have_compressor() {
    if (zip && zip_level == level) return true;
    libdeflate_free_compressor(zip);
    zip_level = level;
    return (zip = libdeflate_alloc_compressor(level)) != nullptr;
  }

  /// `block` compressed; valid until the next call.
  BytesView compress() {
    const std::size_t bound = libdeflate_deflate_compress_bound(zip, block.size());
    if (room.size() < bound) room.resize(bound);  // and never less: each growth would be written over with zeros
    const std::size_t made = libdeflate_deflate_compress(zip, block.data(), block.size(), room.data(), room.size());
    INVARIANT(made > 0 || block.empty(), "the bound says how much room is enough");
    return BytesView(room).substr(0, made);
  }

  ContainerOptions options;
  Sink sink;
  int level = usual_level;
  libdeflate_compressor* zip = nullptr;
  int zip_level = usual_level;
  Bytes block;   // records of the open block
  Bytes room;    // to compress into
  Bytes framed;  // kept for its capacity
  std::uint64_t in_block = 0;
  std::uint64_t records = 0;
  std::uint64_t written = 0;
  std::optional<Error> failed;
};

ContainerWriter::ContainerWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
ContainerWriter::ContainerWriter(ContainerWriter&&) noexcept = default;
ContainerWriter& ContainerWriter::operator=(ContainerWriter&&) noexcept = default;
ContainerWriter::~ContainerWriter() = default;

Result<Bytes> container_header(const ContainerOptions& options) {
  if (options.sync_marker.size() != sync_marker_bytes)
    return fail(Fault::invalid_input, fmt::format("Avro container: expected a sync marker of {} bytes, found {}", sync_marker_bytes,
                                                  options.sync_marker.size()));
  for (const auto& [name, value] : options.metadata)
    if (name.starts_with("avro."))
      return fail(Fault::invalid_input, fmt::format("Avro container: metadata '{}' is Avro's own", name));

  Metadata metadata{{"avro.schema", options.schema}, {"avro.codec", options.codec == Codec::deflate ? "deflate" : "null"}};
  metadata.insert(metadata.end(), options.metadata.begin(), options.metadata.end());
  Bytes header = "Obj\x01";
  Encoder(header).put_map(metadata);
  return header += options.sync_marker;
}

Result<ContainerWriter> ContainerWriter::open(ContainerOptions options, Sink sink) {
  TRY_LET(const Bytes header, container_header(options));
  TRY_LET(ContainerWriter writer, open_without_header(std::move(options), std::move(sink)));
  TRY(writer.state_->write(header));
  return writer;
}

Result<ContainerWriter> ContainerWriter::open_without_header(ContainerOptions options, Sink sink) {
  auto state = std::make_unique<State>(std::move(options), std::move(sink));
  if (state->options.codec == Codec::deflate) {
    if (!state->have_compressor()) return no_memory();
  }
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
  const bool deflated = s.options.codec == Codec::deflate;
  if (deflated && !s.have_compressor()) return no_memory();
  const BytesView stored = deflated ? s.compress() : BytesView(s.block);
  s.framed.clear();
  s.framed.reserve(stored.size() + few_bytes);
  Encoder(s.framed).put_count(s.in_block).put_bytes(stored);
  s.framed += s.options.sync_marker;
  s.block.clear();
  s.in_block = 0;
  return s.write(s.framed);
}

void ContainerWriter::compress_at(int level) { state_->level = level; }
std::uint64_t ContainerWriter::records() const { return state_->records; }
std::uint64_t ContainerWriter::bytes_written() const { return state_->written; }
std::size_t ContainerWriter::bytes_waiting() const { return state_->block.size(); }

}  // namespace nacelle::avro
