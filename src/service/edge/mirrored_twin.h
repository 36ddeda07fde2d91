#pragma once
// MirroredTwin: one identity's twin as the edge keeps it: what the hub said last, and what was reported here and has not
// reached the hub yet. Pure; offline everything goes on with it (wire facts 5.6: twins are cached).

#include <cstdint>
#include <optional>

#include "codec/json/value.h"
#include "domain/twin/twin.h"
#include "foundation/result.h"

namespace nacelle::edge {

class MirroredTwin {
 public:
  /// The hub's or the owner's word has been seen.
  bool known() const { return known_; }

  /// The device's view, own reports included: `{"desired":{..,"$version"},"reported":{..,"$version"}}`.
  json::Value view() const;
  const json::Value& desired() const { return desired_; }
  std::int64_t desired_version() const;

  /// Takes the hub's whole view (the answer to GET). What is to be told the owner: the difference of the desired
  /// properties as a merge patch with `$version`, or nothing if they are the same version.
  std::optional<json::Value> take_view(const json::Value& view);
  /// Takes a desired change; what to tell the owner, or nothing if it is old. Fault::conflict: a version was missed, so the
  /// whole view must be asked for.
  Result<std::optional<json::Value>> take_desired_patch(const json::Value& patch);

  /// Takes a report of the owner; the new reported version. Fault::conflict if `base` is not the present version.
  Result<std::int64_t> report(const json::Value& patch, std::optional<std::int64_t> base);

  /// What the hub has to be sent: everything reported since the last time it was told; null if nothing.
  const json::Value& pending() const { return pending_; }
  /// pending() is on its way: later reports are kept apart.
  void pending_sent();
  void pending_delivered(std::optional<std::int64_t> version);
  void pending_failed();  ///< to be sent again, with what came since

  json::Value to_json() const;
  static MirroredTwin from_json(const json::Value& stored);

 private:
  bool known_ = false;
  json::Value desired_ = json::Object{};
  json::Value reported_ = json::Object{};
  json::Value pending_;
  json::Value sending_;
};

using twin::merge_difference;

/// Merges `later` into the patch `earlier`, so that applying the result is applying both.
void join_patches(json::Value& earlier, const json::Value& later);

}  // namespace nacelle::edge
