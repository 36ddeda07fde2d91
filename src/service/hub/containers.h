#pragma once
// Containers: named folders of blobs for services, in the hub's own object store: what import and export jobs read and write
// (docs/hub.md). Their addresses are signed, and are handed out by a call to whoever may write the registry.

#include <string>

#include "foundation/clock.h"
#include "storage/objects/object_store.h"

namespace nacelle::hub {

/// As the path of `https://HUB/containers/{name}`.
inline constexpr std::string_view containers_path = "containers";

/// Any thread; what moves bytes blocks.
class Containers {
 public:
  /// `secret`: the hub's own, for signing.
  Containers(storage::ObjectStore& objects, Bytes secret, const Clock& clock)
      : objects_(objects), secret_(std::move(secret)), clock_(clock) {}

  /// `?sv=..&sr=c&sig=..&se=..&sp=rw`, good for `life`. Fault::invalid_input for a name that is none: 3 to 63 lower-case letters,
  /// digits and `-`.
  Result<std::string> grant(const std::string& name) const;
  /// The parameters of a grant, as they stand in an address. Fault::denied.
  struct Shown {
    std::string expiry;
    std::string permissions;
    std::string signature;
  };
  Result<> check(const std::string& name, const Shown& shown) const;
  /// Checks a whole address, `https://host[:port]/containers/NAME?{grant}`, and says which container it names. Fault::denied, or
  /// invalid_input for one that is not of this hub's form.
  Result<std::string> container_of(const std::string& uri) const;

  Result<> put(const std::string& name, const std::string& blob, BytesView bytes);
  Result<std::unique_ptr<storage::ObjectWriter>> create(const std::string& name, const std::string& blob);
  Result<Bytes> get(const std::string& name, const std::string& blob) const;  ///< Fault::not_found, exhausted above largest_blob
  Result<std::unique_ptr<storage::ObjectReader>> open(const std::string& name,
                                                      const std::string& blob) const;  ///< Fault::not_found

  static constexpr ByteCount largest_blob = 64_MiB;
  static constexpr std::chrono::hours life{1};

 private:
  std::string sign(const std::string& name, const std::string& expiry, const std::string& permissions) const;

  storage::ObjectStore& objects_;
  const Bytes secret_;
  const Clock& clock_;
};

}  // namespace nacelle::hub
