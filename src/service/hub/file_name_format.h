#pragma once
// FileNameFormat: how capture names its files, `{iothub}/{YYYY}/{MM}/{DD}/{HH}/{mm}/{partition}` (wire facts 6).

#include <string>
#include <string_view>

#include "foundation/clock.h"
#include "storage/log/event_log.h"

namespace nacelle::hub {

class FileNameFormat {
 public:
  /// All seven tokens are wanted, once each, in any order, in a relative path; a final `.avro` or `.json` may be given or not.
  /// Fault::invalid_input names the token or the character.
  static Result<FileNameFormat> parse(std::string_view text);
  /// The default.
  FileNameFormat();

  /// The format filled in (UTC). What makes it unique, and its ending, are the file's own (capture_file.h).
  std::string stem(std::string_view hub, Timestamp time, storage::Partition partition) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace nacelle::hub
