#include "service/edge/mirrored_twin.h"

#include <algorithm>

#include <fmt/format.h>

namespace nacelle::edge {

namespace {

std::int64_t version_of(const json::Value& section) {
  const json::Value* version = section.find("$version");
  return version && version->is_integer() ? version->as_integer() : 0;
}

json::Value object_or_empty(const json::Value* value) {
  if (value && value->is_object()) return *value;
  return json::Object{};
}

}  // namespace

void join_patches(json::Value& earlier, const json::Value& later) {
  if (!earlier.is_object() || !later.is_object()) {
    earlier = later;
    return;
  }
  for (const auto& [name, value] : later.as_object()) {
    json::Value* before = earlier.as_object().find(name);
    if (before && before->is_object() && value.is_object())
      join_patches(*before, value);
    else
      earlier.as_object().set(name, value);  // a null stays: it deletes
  }
}

std::int64_t MirroredTwin::desired_version() const { return version_of(desired_); }

json::Value MirroredTwin::view() const { return json::Object{{"desired", desired_}, {"reported", reported_}}; }

std::optional<json::Value> MirroredTwin::take_view(const json::Value& view) {
  const json::Value desired = object_or_empty(view.find("desired"));
  json::Value reported = object_or_empty(view.find("reported"));
  const std::int64_t version = std::max(version_of(reported), version_of(reported_));
  for (const json::Value* patch : {&sending_, &pending_})
    if (!patch->is_null()) json::merge_patch(reported, *patch);
  reported.as_object().set("$version", version);
  reported_ = std::move(reported);
  const bool same = known_ && version_of(desired) == version_of(desired_);
  json::Value difference = merge_difference(desired_, desired);
  const bool was_known = std::exchange(known_, true);
  desired_ = desired;
  // A replacement that came as a patch is found out here: same version, other contents.
  if (was_known && same && difference.as_object().empty()) return std::nullopt;
  difference.as_object().set("$version", version_of(desired));
  return difference;
}

Result<std::optional<json::Value>> MirroredTwin::take_desired_patch(const json::Value& patch) {
  if (!patch.is_object()) return fail(Fault::invalid_input, "desired change: expected an object");
  const std::int64_t version = version_of(patch);
  if (known_ && version <= desired_version()) return std::optional<json::Value>{};
  // A replacement comes whole, a change as a patch, and both look alike: only a successor by one can be merged, and a
  // merge with a replacement would keep what it removed. The hub is therefore asked for the whole when in doubt.
  if (!known_ || version != desired_version() + 1)
    return fail(Fault::conflict, fmt::format("desired properties went from version {} to {}", desired_version(), version));
  json::merge_patch(desired_, patch);
  return std::optional<json::Value>(patch);
}

Result<std::int64_t> MirroredTwin::report(const json::Value& patch, std::optional<std::int64_t> base) {
  if (!patch.is_object()) return fail(Fault::invalid_input, "reported properties: expected an object");
  const std::int64_t version = version_of(reported_);
  if (base && *base != version)
    return fail(Fault::conflict, fmt::format("reported properties are at version {}, the patch is for {}", version, *base));
  json::merge_patch(reported_, patch);
  reported_.as_object().set("$version", version + 1);
  if (pending_.is_null()) pending_ = json::Object{};
  join_patches(pending_, patch);
  return version + 1;
}

void MirroredTwin::pending_sent() { sending_ = std::exchange(pending_, json::Value{}); }

void MirroredTwin::pending_delivered(std::optional<std::int64_t> version) {
  sending_ = json::Value{};
  if (version && *version > version_of(reported_)) reported_.as_object().set("$version", *version);
}

void MirroredTwin::pending_failed() {
  json::Value both = std::exchange(sending_, json::Value{});
  if (both.is_null()) return;
  if (!pending_.is_null()) join_patches(both, pending_);
  pending_ = std::move(both);
}

json::Value MirroredTwin::to_json() const {
  json::Value unsent = sending_;
  if (!pending_.is_null()) join_patches(unsent, pending_);
  return json::Object{{"known", known_}, {"desired", desired_}, {"reported", reported_}, {"pending", std::move(unsent)}};
}

MirroredTwin MirroredTwin::from_json(const json::Value& stored) {
  MirroredTwin twin;
  const json::Value* known = stored.find("known");
  twin.known_ = known && known->is_bool() && known->as_bool();
  twin.desired_ = object_or_empty(stored.find("desired"));
  twin.reported_ = object_or_empty(stored.find("reported"));
  if (const json::Value* pending = stored.find("pending"); pending && pending->is_object()) twin.pending_ = *pending;
  return twin;
}

}  // namespace nacelle::edge
