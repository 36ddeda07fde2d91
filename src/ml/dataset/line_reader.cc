#include "ml/dataset/line_reader.h"

#include <fmt/format.h>
#include <zlib.h>

#include <array>

namespace nacelle::dataset {

namespace {
constexpr std::size_t chunk_bytes = 64 << 10;
}  // namespace

struct LineReader::Gzip {
  z_stream stream{};
  bool at_member_end = false;  ///< a gzip file may hold several members, one after the other (RFC 1952 §2.2)
  Gzip() { INVARIANT(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK, "zlib starts"); }
  ~Gzip() { inflateEnd(&stream); }
};

LineReader::LineReader(std::istream& in, std::string_view name, std::size_t max_line_bytes)
    : in_(in), name_(name), max_line_bytes_(max_line_bytes) {}
LineReader::~LineReader() = default;

std::string LineReader::here() const { return fmt::format("{}, line {}", name_, line_number_); }

Result<> LineReader::fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  std::array<char, chunk_bytes> chunk;
  in_.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
  const auto count = static_cast<std::size_t>(in_.gcount());
  if (in_.bad()) return fail(Fault::unavailable, fmt::format("{}: cannot be read", name_));
  if (!started_) {
    started_ = true;
    if (count >= 2 && chunk[0] == '\x1f' && chunk[1] == '\x8b') gzip_ = std::make_unique<Gzip>();
  }
  if (count == 0) {
    ended_ = true;
    if (gzip_ && !gzip_->at_member_end)
      return fail(Fault::corrupt,
                  fmt::format("{}: the gzip data end too early, after line {}; the file is truncated", name_, line_number_));
    return {};
  }
  if (!gzip_) {
    buffer_.append(chunk.data(), count);
    return {};
  }
  z_stream& stream = gzip_->stream;
  stream.next_in = reinterpret_cast<Bytef*>(chunk.data());
  stream.avail_in = static_cast<uInt>(count);
  std::array<char, chunk_bytes> out;
  bool more = true;
  while (more) {
    if (gzip_->at_member_end) {
      if (stream.avail_in == 0) break;
      inflateReset(&stream);
      gzip_->at_member_end = false;
    }
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int code = inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
      return fail(Fault::corrupt, fmt::format("{}: the gzip data are damaged after line {}", name_, line_number_));
    buffer_.append(out.data(), out.size() - stream.avail_out);
    gzip_->at_member_end = code == Z_STREAM_END;
    more = stream.avail_in > 0 || stream.avail_out == 0;
  }
  return {};
}

Result<bool> LineReader::next(std::string_view& line) {
  std::size_t scanned = at_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', scanned);
    if (end != std::string::npos || (ended_ && at_ < buffer_.size())) {
      const std::size_t stop = end != std::string::npos ? end : buffer_.size();
      line = std::string_view(buffer_).substr(at_, stop - at_);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      at_ = end != std::string::npos ? end + 1 : buffer_.size();
      ++line_number_;
      if (line.find('\0') != std::string_view::npos)
        return fail(Fault::invalid_input, fmt::format("{}: expected text, found a NUL byte", here()));
      return true;
    }
    if (ended_) return false;
    if (buffer_.size() - at_ > max_line_bytes_)
      return fail(Fault::invalid_input,
                  fmt::format("{}, line {}: a line is longer than {} bytes", name_, line_number_ + 1, max_line_bytes_));
    const std::size_t kept = buffer_.size() - at_;
    TRY(fill());
    scanned = kept;
  }
}

}  // namespace nacelle::dataset
