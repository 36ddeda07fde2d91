#include "service/hub/object_body.h"

namespace nacelle::hub {
namespace {

constexpr std::size_t piece = 256 * 1024;

class ObjectBody final : public net::BodySource {
 public:
  ObjectBody(Disk& disk, std::unique_ptr<storage::ObjectReader> object) : disk_(disk), object_(std::move(object)) {}

  ByteCount size() const override { return object_->size(); }

  awaitable<Result<Bytes>> next() override {
    auto read = [object = object_, at = at_] { return object->read_at(at, piece); };
    auto bytes = co_await run_on(disk_.files(), read);
    if (bytes) at_ += bytes->size();
    co_return bytes;
  }

 private:
  Disk& disk_;
  const std::shared_ptr<storage::ObjectReader> object_;  // a read that nobody waits for any more still needs it
  std::uint64_t at_ = 0;
};

}  // namespace

net::HttpResponse object_response(Disk& disk, std::unique_ptr<storage::ObjectReader> object) {
  net::HttpResponse response = net::text_response(200, {}, "application/octet-stream");
  response.source = std::make_shared<ObjectBody>(disk, std::move(object));
  return response;
}

}  // namespace nacelle::hub
