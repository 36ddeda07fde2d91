#pragma once
// RecordBatch: records of one partition on their way into the log, in the very bytes they will have on disk, so that the
// log copies nothing. Whoever fills it gets it back with the answer, and can use its memory again.
//
//   Bytes& payload = batch.begin();
//   payload += "...";
//   batch.end();

#include <cstdint>
#include <cstring>

#include "foundation/bytes.h"

namespace nacelle::storage {

/// A value. Not more than 4 GiB; the log takes what LogOptions bound.
class RecordBatch {
 public:
  /// What the log puts before each payload (docs/formats/event-log.md).
  static constexpr std::size_t header_bytes = 24;

  /// Opens a record: append its payload to what is returned, then end() or drop(). Touch nothing that stands there already.
  Bytes& begin() {
    open_ = bytes_.size();
    bytes_.append(header_bytes, '\0');
    return bytes_;
  }
  void end() {
    const auto size = static_cast<std::uint32_t>(bytes_.size() - open_ - header_bytes);
    std::memcpy(bytes_.data() + open_, &size, sizeof size);
    if (size > largest_) largest_ = size;
    ++records_;
  }
  /// As if begin() had not been called.
  void drop() { bytes_.resize(open_); }
  void add(BytesView payload) {
    begin() += payload;
    end();
  }

  bool empty() const { return records_ == 0; }
  std::size_t records() const { return records_; }
  ByteCount bytes() const { return bytes_.size(); }  ///< on disk
  ByteCount largest_payload() const { return largest_; }
  /// Keeps its memory, unless that is more than `most`.
  void clear(std::size_t most = 256 * 1024) {
    if (bytes_.capacity() > most) bytes_ = Bytes();
    bytes_.clear();
    records_ = 0;
    largest_ = 0;
  }

  /// The framed bytes; each record begins with its payload's size. For the log.
  Bytes& frames() { return bytes_; }
  BytesView frames() const { return bytes_; }

 private:
  Bytes bytes_;
  std::size_t open_ = 0;
  std::size_t records_ = 0;
  std::uint32_t largest_ = 0;
};

}  // namespace nacelle::storage
