#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <cstring>

#include "codec/avro/container.h"
#include "codec/text/encoding.h"

namespace nacelle::avro {
namespace {

constexpr std::size_t read_ahead_bytes = 64u << 10;  // what is asked of the source at once, and the step memory grows by

/// The source's bytes, with their place in the file.
class Input {
 public:
  Input(ContainerReader::Source source) : source_(std::move(source)) {}

  std::uint64_t position() const { return position_; }

  Failure corrupt(std::string_view why) const { return corrupt_at(position_, why); }
  static Failure corrupt_at(std::uint64_t position, std::string_view why) {
    return fail(Fault::corrupt, fmt::format("Avro container, byte {}: {}", position, why));
  }

  Result<bool> at_end() {
    if (from_ == to_) TRY(refill());
    return from_ == to_;
  }

  Result<unsigned char> byte() {
    TRY_LET(const bool ended, at_end());
    if (ended) return corrupt("the file ends in the middle");
    ++position_;
    return static_cast<unsigned char>(buffer_[from_++]);
  }

  Result<std::int64_t> number() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      TRY_LET(const unsigned char next, byte());
      if (shift == 63 && next > 1) break;
      value |= static_cast<std::uint64_t>(next & 0x7f) << shift;
      if ((next & 0x80) == 0) return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
    }
    return corrupt("a number is longer than 64 bits");
  }

  /// Exactly `size` bytes into `out`, which grows no faster than they arrive.
  Result<> bytes(Bytes& out, std::size_t size) {
    out.clear();
    while (out.size() < size) {
      TRY_LET(const bool ended, at_end());
      if (ended) return corrupt(fmt::format("the file ends where {} more bytes belong", size - out.size()));
      const std::size_t take = std::min(size - out.size(), to_ - from_);
      out.append(buffer_, from_, take);
      from_ += take;
      position_ += take;
    }
    return {};
  }

  /// A length that the file gives, at most `limit`.
  Result<std::size_t> length(std::string_view what, std::size_t limit) {
    const std::uint64_t at = position_;
    TRY_LET(const std::int64_t size, number());
    if (size < 0) return corrupt_at(at, fmt::format("{} of {} bytes", what, size));
    if (static_cast<std::uint64_t>(size) > limit)
      return fail(Fault::exhausted,
                  fmt::format("Avro container, byte {}: {} of {} bytes is above the limit of {}", at, what, size, limit));
    return static_cast<std::size_t>(size);
  }

 private:
  Result<> refill() {
    if (ended_) return {};
    buffer_.resize(read_ahead_bytes);
    TRY_LET(to_, source_(buffer_.data(), buffer_.size()));
    INVARIANT(to_ <= buffer_.size(), "a source fills no more than the room it is given");
    from_ = 0;
    ended_ = to_ == 0;
    return {};
  }

  ContainerReader::Source source_;
  Bytes buffer_;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
  std::uint64_t position_ = 0;
  bool ended_ = false;
};

/// Raw deflate with an output bound.
class Inflater {
 public:
  /// What is wrong, or nothing. `out` is replaced.
  Result<> run(const Bytes& in, Bytes& out, std::size_t limit) {
    if (!zip_) zip_.reset(libdeflate_alloc_decompressor());
    if (!zip_) return fail(Fault::exhausted, "no memory for decompression");
    out.resize(std::min(limit, std::max(out.capacity(), read_ahead_bytes)));
    while (true) {
      std::size_t used = 0;
      std::size_t made = 0;
      const auto state = libdeflate_deflate_decompress_ex(zip_.get(), in.data(), in.size(), out.data(), out.size(), &used, &made);
      if (state == LIBDEFLATE_SUCCESS) {
        out.resize(made);
        if (used < in.size()) return fail(Fault::corrupt, fmt::format("{} bytes follow the compressed data", in.size() - used));
        return {};
      }
      if (state != LIBDEFLATE_INSUFFICIENT_SPACE) return fail(Fault::corrupt, "the compressed data is damaged or cut short");
      if (out.size() == limit) return fail(Fault::exhausted, fmt::format("the block is above the limit of {} bytes", limit));
      out.resize(std::min(limit, out.size() * 2));  // from the beginning again: seldom, since `out` keeps its capacity
    }
  }

 private:
  struct Free {
    void operator()(libdeflate_decompressor* zip) const { libdeflate_free_decompressor(zip); }
  };
  std::unique_ptr<libdeflate_decompressor, Free> zip_;
};

}  // namespace

const Bytes* ContainerHeader::find(std::string_view name) const {
  for (const auto& [key, value] : metadata)
    if (key == name) return &value;
  return nullptr;
}

struct ContainerReader::State {
  State(Source source, ContainerLimits given) : input(std::move(source)), limits(given) {}

  Result<> read_header() {
    Bytes magic;
    if (Result<> read = input.bytes(magic, 4); !read && read.error().fault != Fault::corrupt) return read;
    if (magic != "Obj\x01") return Input::corrupt_at(0, "expected an Avro container, which begins with 'Obj' and 1");
    while (true) {
      TRY_LET(std::int64_t count, input.number());
      if (count == 0) break;
      if (count < 0) {
        TRY(input.number());  // the size in bytes of this part of the map: for those who pass over it
        count = count == INT64_MIN ? INT64_MAX : -count;
      }
      for (; count > 0; --count) TRY(read_metadata());
    }
    if (!has_schema) return input.corrupt("the header has no avro.schema");
    return input.bytes(header.sync_marker, sync_marker_bytes);
  }

  Result<> read_metadata() {
    const auto left = [&] { return limits.header_bytes - std::min<std::uint64_t>(limits.header_bytes, input.position()); };
    if (left() == 0)
      return fail(Fault::exhausted, fmt::format("Avro container: the header is above the limit of {} bytes", limits.header_bytes));
    std::string name;
    Bytes value;
    const std::uint64_t at = input.position();
    TRY_LET(const std::size_t name_bytes, input.length("a metadata name", left()));
    TRY(input.bytes(name, name_bytes));
    if (!text::valid_utf8(name)) return Input::corrupt_at(at, "a metadata name is not UTF-8");
    TRY_LET(const std::size_t value_bytes, input.length("a metadata value", left()));
    TRY(input.bytes(value, value_bytes));
    if (name == "avro.schema") {
      has_schema = true;
      header.schema = std::move(value);
    } else if (name == "avro.codec") {
      if (value != "null" && value != "deflate" && !value.empty())
        return fail(Fault::invalid_input, fmt::format("Avro container: expected codec null or deflate, found '{}'",
                                                      text::valid_utf8(value) ? value.substr(0, 40) : "not text"));
      header.codec = value == "deflate" ? Codec::deflate : Codec::null;
    } else {
      header.metadata.emplace_back(std::move(name), std::move(value));
    }
    return {};
  }

  Result<Block> read_block() {
    Block block;
    block.position = input.position();
    TRY_LET(const std::int64_t records, input.number());
    if (records < 0) return Input::corrupt_at(block.position, fmt::format("a block of {} records", records));
    block.records = static_cast<std::uint64_t>(records);
    TRY_LET(const std::size_t size, input.length("a block", limits.block_bytes));
    TRY(input.bytes(stored, size));
    const std::uint64_t marker_at = input.position();
    TRY(input.bytes(marker, sync_marker_bytes));
    if (marker != header.sync_marker) return Input::corrupt_at(marker_at, "the block does not end with the file's sync marker");
    block.bytes = stored;
    if (header.codec == Codec::deflate) {
      if (Result<> made = inflater.run(stored, plain, limits.block_bytes); !made)
        return fail(std::move(made).error().in(fmt::format("Avro container, block at byte {}", block.position)));
      block.bytes = plain;
    }
    ++blocks;
    return block;
  }

  Input input;
  ContainerLimits limits;
  ContainerHeader header;
  bool has_schema = false;
  Inflater inflater;
  Bytes stored;
  Bytes plain;
  Bytes marker;
  std::uint64_t blocks = 0;
  std::optional<Error> failed;
};

ContainerReader::ContainerReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ContainerReader::ContainerReader(ContainerReader&&) noexcept = default;
ContainerReader& ContainerReader::operator=(ContainerReader&&) noexcept = default;
ContainerReader::~ContainerReader() = default;

Result<ContainerReader> ContainerReader::open(Source source, ContainerLimits limits) {
  auto state = std::make_unique<State>(std::move(source), limits);
  TRY(in(state->read_header(), "reading the header"));
  return ContainerReader(std::move(state));
}

Result<ContainerReader> ContainerReader::open(BytesView whole, ContainerLimits limits) {
  Source source = [whole](char* to, std::size_t room) mutable -> Result<std::size_t> {
    const std::size_t take = whole.copy(to, room);
    whole.remove_prefix(take);
    return take;
  };
  return open(std::move(source), limits);
}

const ContainerHeader& ContainerReader::header() const { return state_->header; }

Result<std::optional<Block>> ContainerReader::next_block() {
  State& s = *state_;
  if (s.failed) return fail(*s.failed);
  TRY_LET(const bool ended, s.input.at_end());
  if (ended) return std::optional<Block>{};
  auto block = s.read_block();
  if (block) return std::optional(*block);
  s.failed = std::move(block).error().in(fmt::format("after {} whole blocks", s.blocks));
  return fail(*s.failed);
}

Failure ContainerReader::in_block(const Block& block, Failure failure) {
  return fail(std::move(failure.error).in(fmt::format("in the block at byte {}", block.position)));
}

}  // namespace nacelle::avro
