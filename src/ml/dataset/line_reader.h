#pragma once
// LineReader: the lines of a text stream, plain or gzip (recognised by its first two bytes), in bounded memory.

#include <cstdint>
#include <istream>
#include <memory>
#include <string>
#include <string_view>

#include "foundation/result.h"

namespace nacelle::dataset {

class LineReader {
 public:
  static constexpr std::size_t usual_line_bytes = 64 << 10;
  /// `name` is the file's name in errors. Both are borrowed for the reader's life.
  LineReader(std::istream& in, std::string_view name, std::size_t max_line_bytes = usual_line_bytes);
  ~LineReader();

  /// The next line without its end, valid until the next call; false at the end. Fault::corrupt: broken or truncated gzip,
  /// unreadable stream; Fault::invalid_input: a line above `max_line_bytes` or a NUL byte (it is no text).
  Result<bool> next(std::string_view& line);
  std::uint64_t line_number() const { return line_number_; }  ///< of the last line, from 1
  /// "train.txt, line 7"
  std::string here() const;

 private:
  Result<> fill();
  struct Gzip;
  std::istream& in_;
  std::string_view name_;
  const std::size_t max_line_bytes_;
  std::unique_ptr<Gzip> gzip_;
  std::string buffer_;
  std::size_t at_ = 0;
  bool started_ = false;
  bool ended_ = false;
  std::uint64_t line_number_ = 0;
};

}  // namespace nacelle::dataset
