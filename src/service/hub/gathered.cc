#include "service/hub/gathered.h"

#include "domain/telemetry/capture.h"
#include "foundation/random.h"

namespace nacelle::hub {
namespace {

// Deflate's level 1 is 3.3 times as quick as 6 on the tutorial's readings, for a quarter more bytes: docs/decisions/0248.
constexpr int quick_level = 1;

}  // namespace

avro::ContainerOptions Gathered::options() const {
  avro::ContainerOptions options;
  options.schema = telemetry::capture_schema;
  options.codec = encoding_ == CaptureEncoding::avro_deflate ? avro::Codec::deflate : avro::Codec::null;
  options.sync_marker = sync_marker_;
  return options;
}

Result<> Gathered::begin() {
  sync_marker_ = secure_random(avro::sync_marker_bytes);
  const auto keep = [this](BytesView bytes) -> Result<> {
    kept_ += bytes;
    return {};
  };
  TRY_LET(blocks_, avro::ContainerWriter::open_without_header(options(), keep));
  return {};
}

Result<> Gathered::add(const telemetry::Message& message, Manner manner) {
  if (encoding_ == CaptureEncoding::json) {
    kept_ += telemetry::print_capture_line(message);
    kept_ += '\n';
    return {};
  }
  if (!blocks_) TRY(begin());
  blocks_->compress_at(manner.quickly ? quick_level : avro::usual_level);
  if (manner.head.empty() || manner.head != head_) {
    encoded_.clear();
    telemetry::append_capture_head(encoded_, message);
    head_bytes_ = encoded_.size();
    head_ = manner.head;
  }
  encoded_.resize(head_bytes_);
  telemetry::append_capture_body(encoded_, message);
  return blocks_->add(encoded_);
}

ByteCount Gathered::kept_bytes() const { return kept_.size() + (blocks_ ? blocks_->bytes_waiting() : 0); }

Result<> Gathered::write(storage::ObjectWriter& object, const CaptureExtent& extent) {
  if (blocks_) {
    avro::ContainerOptions of_file = options();
    of_file.metadata = to_metadata(extent);
    TRY_LET(const Bytes header, avro::container_header(of_file));
    TRY(object.write(header));
    TRY(blocks_->flush_block());
  }
  return object.write(kept_);
}

void Gathered::clear() {
  blocks_.reset();
  kept_ = Bytes();  // its memory, too: streams that are quiet keep none
}

}  // namespace nacelle::hub
