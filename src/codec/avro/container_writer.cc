#include <fmt/format.h>
#include <zlib.h>

#include "codec/avro/container.h"

namespace nacelle::avro {
namespace {

constexpr int raw_deflate = -15;  // RFC 1951 without a wrapper, window of 32 KiB
constexpr int memory_level = 8;   // zlib's default
constexpr std::size_t few_bytes = 4096;

}  // namespace

struct ContainerWriter::State {
  State(ContainerOptions given, Sink to) : options(std::move(given)), sink(std::move(to)) {}
  ~State() {
    if (zip_ready) deflateEnd(&zip);
  }
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
    INVARIANT(deflateReset(&zip) == Z_OK, "a stream that was made can be begun again");
    INVARIANT(block.size() < UINT32_MAX, "records stay below 4 GiB");
    const std::size_t start = out.size();
    out.resize(start + deflateBound(&zip, block.size()));
    zip.next_in = reinterpret_cast<Bytef*>(block.data());
    zip.avail_in = static_cast<uInt>(block.size());
    zip.next_out = reinterpret_cast<Bytef*>(out.data() + start);
    zip.avail_out = static_cast<uInt>(out.size() - start);
    INVARIANT(deflate(&zip, Z_FINISH) == Z_STREAM_END, "deflateBound says how much room is enough");
    out.resize(start + zip.total_out);
  }

  ContainerOptions options;
  Sink sink;
  z_stream zip{};
  bool zip_ready = false;
  Bytes block;       // records of the open block
  Bytes compressed;  // kept for its capacity
  Bytes framed;      // kept for its capacity
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
    const int made = deflateInit2(&state->zip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, raw_deflate, memory_level, Z_DEFAULT_STRATEGY);
    if (made != Z_OK) return fail(Fault::exhausted, "Avro container: no memory for compression");
    state->zip_ready = true;
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
  if (s.zip_ready) s.compress(s.compressed);
  const Bytes& stored = s.zip_ready ? s.compressed : s.block;
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
