// Any bytes as a container: header, schema, every record decoded and skipped alike; never more memory than the limits say.
#include <cstdlib>

#include "codec/avro/container.h"
#include "codec/avro/schema.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace nacelle;
  const BytesView file(reinterpret_cast<const char*>(data), size);
  auto reader = avro::ContainerReader::open(file, {.header_bytes = 1u << 16, .block_bytes = 1u << 18});
  if (!reader) return 0;
  const auto schema = avro::Schema::parse(reader->header().schema);
  if (!schema) return 0;
  const avro::DecodeLimits limits{.max_depth = 16, .max_values = 1000};
  std::size_t records = 0;
  (void)reader->each_record([&](avro::Decoder& decoder) -> Result<> {
    if (++records > 1000) return fail(Fault::exhausted, "enough");
    avro::Decoder second = decoder;
    const auto value = avro::decode(schema->root(), decoder, limits);
    const auto skipped = avro::skip(schema->root(), second, limits);
    if (bool(value) != bool(skipped) || (value && decoder.position() != second.position())) std::abort();
    return value ? Result<>{} : fail(value.error());
  });
  return 0;
}
