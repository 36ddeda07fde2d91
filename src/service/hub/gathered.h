#pragma once
// Gathered: the messages of a capture file to come, encoded and compressed as they come, so that the log is read once and what is
// kept of them is what the file will hold. Why in memory, and what that costs: docs/decisions/0248-capture-reads-once.md.

#include <optional>

#include "codec/avro/container.h"
#include "service/hub/capture_file.h"
#include "service/hub/routes.h"
#include "storage/objects/object_store.h"

namespace nacelle::hub {

/// Belongs to its stream. Not moved: the encoder writes into it.
class Gathered {
 public:
  explicit Gathered(CaptureEncoding encoding) : encoding_(encoding) {}
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;

  struct Manner {
    bool quickly = false;  ///< more waits behind it than can be taken at leisure, so that less is done to make it small
    BytesView head{};      ///< RecordDecoder::head() of the message; empty: it is not as it was in its record
  };
  Result<> add(const telemetry::Message& message, Manner manner);
  ByteCount kept_bytes() const;
  /// All that was added, as a whole file that says `extent`; may be called again, after a failure.
  Result<> write(storage::ObjectWriter& object, const CaptureExtent& extent);
  void clear();

 private:
  avro::ContainerOptions options() const;
  Result<> begin();

  const CaptureEncoding encoding_;
  Bytes sync_marker_;                            // of an Avro file that was begun
  std::optional<avro::ContainerWriter> blocks_;  // into kept_
  Bytes head_;                                   // of what stands in encoded_
  std::size_t head_bytes_ = 0;                   // of encoded_
  Bytes encoded_;                                // kept for its capacity
  Bytes kept_;                                   // what stands in the file behind its header
};

}  // namespace nacelle::hub
