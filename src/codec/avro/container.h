#pragma once
// Avro object container files (Avro 1.11 specification, "Object container files"), written and read as streams. Why our
// own: docs/decisions/0010-avro-container.md.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/avro/encoder.h"
#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::avro {

enum class Codec : std::uint8_t { null, deflate };

inline constexpr std::size_t sync_marker_bytes = 16;

using Metadata = std::vector<std::pair<std::string, Bytes>>;

/// As much as zlib takes by default.
inline constexpr int usual_level = 6;

struct ContainerOptions {
  std::string schema;  ///< JSON text; not looked at
  Codec codec = Codec::deflate;
  Metadata metadata;                    ///< ours, beside Avro's own; names do not begin with `avro.`
  Bytes sync_marker;                    ///< 16 random bytes, the file's own (secure_random)
  std::size_t block_bytes = 64u << 10;  ///< a block is closed once it holds this much before compression
};

/// What a container of these options begins with. Faults as ContainerWriter::open.
Result<Bytes> container_header(const ContainerOptions& options);

/// Writes a container through `sink`. A block reaches the sink when it is full or flushed; what was added after the last
/// flush_block() is lost with the writer. After a failing sink the writer answers with that fault for ever.
///
///   TRY_LET(auto file, ContainerWriter::open(options, [&](BytesView bytes) { return object->write(bytes); }));
///   TRY(file.add(record)); ... TRY(file.flush_block());
class ContainerWriter {
 public:
  using Sink = std::function<Result<>(BytesView)>;
  /// Writes the header. Fault::invalid_input for a sync marker that is not 16 bytes, or a name that begins with `avro.`.
  static Result<ContainerWriter> open(ContainerOptions options, Sink sink);
  /// Blocks only, for a container whose metadata is not known yet: its header, with the same codec and sync marker, comes in
  /// front of what reaches the sink.
  static Result<ContainerWriter> open_without_header(ContainerOptions options, Sink sink);
  ContainerWriter(ContainerWriter&&) noexcept;
  ContainerWriter& operator=(ContainerWriter&&) noexcept;
  ~ContainerWriter();

  /// From the next block on: deflate's level, 1 (quick) to 12 (small).
  void compress_at(int level);
  Result<> add(BytesView record);       ///< one record in Avro's binary encoding, under the schema
  Result<> flush_block();               ///< nothing if no record waits
  std::uint64_t records() const;        ///< added so far
  std::uint64_t bytes_written() const;  ///< given to the sink so far
  std::size_t bytes_waiting() const;    ///< in the open block, before compression

 private:
  struct State;
  explicit ContainerWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct ContainerHeader {
  std::string schema;
  Codec codec = Codec::null;
  Metadata metadata;  ///< all but `avro.schema` and `avro.codec`
  Bytes sync_marker;

  const Bytes* find(std::string_view name) const;  ///< in metadata; null if absent
};

struct ContainerLimits {
  std::size_t header_bytes = 1u << 20;
  std::size_t block_bytes = 64u << 20;  ///< of one block, before and after decompression
};

struct Block {
  std::uint64_t records = 0;
  BytesView bytes;             ///< decompressed; valid until the reader's next call
  std::uint64_t position = 0;  ///< of the block in the file
};

/// Reads a container from front to back. Memory: one block and its compressed form, within the limits; no length in the
/// file makes us allocate more than the file holds. Faults: corrupt (with the byte's position; also a file that ends
/// inside a block), invalid_input (a codec we do not have), exhausted (above a limit), and the source's own.
class ContainerReader {
 public:
  /// Up to `room` bytes to `to`; 0 only at the end.
  using Source = std::function<Result<std::size_t>(char* to, std::size_t room)>;
  static Result<ContainerReader> open(Source source, ContainerLimits limits = {});
  static Result<ContainerReader> open(BytesView whole, ContainerLimits limits = {});  ///< borrows `whole`
  ContainerReader(ContainerReader&&) noexcept;
  ContainerReader& operator=(ContainerReader&&) noexcept;
  ~ContainerReader();

  const ContainerHeader& header() const;
  /// Nothing at the file's proper end.
  Result<std::optional<Block>> next_block();

  /// Calls `record(Decoder&) -> Result<>`, which reads exactly one record, for each record from here to the end.
  template <class Record>
  Result<> each_record(Record record) {
    while (true) {
      TRY_LET(const std::optional<Block> block, next_block());
      if (!block) return {};
      Decoder decoder(block->bytes);
      for (std::uint64_t i = 0; i < block->records; ++i) {
        // A record that takes no bytes would let a count keep us busy for ever.
        if (decoder.at_end()) return in_block(*block, decoder.corrupt("expected another record, found the block's end"));
        if (Result<> read = record(decoder); !read) return in_block(*block, fail(std::move(read).error()));
      }
      if (!decoder.at_end()) return in_block(*block, decoder.corrupt("expected the block's end after its last record"));
    }
  }

 private:
  struct State;
  explicit ContainerReader(std::unique_ptr<State> state);
  static Failure in_block(const Block& block, Failure failure);
  std::unique_ptr<State> state_;
};

}  // namespace nacelle::avro
