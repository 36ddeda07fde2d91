// Laws of merging that hold for any documents. The seed is fixed; RC_PARAMS=seed=... in the environment takes another.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>

#include "domain/twin/twin.h"

namespace nacelle::twin {
namespace {

const bool seeded = setenv("RC_PARAMS", "seed=1893456000", 0) == 0;
const Timestamp t0 = from_unix_seconds(1'893'456'000);

/// A small document over few names, so that patches meet what is there.
json::Value any_object(int depth, bool with_nulls) {
  json::Object object;
  const int members = *rc::gen::inRange(0, 4);
  for (int i = 0; i < members; ++i) {
    const std::string key(1, static_cast<char>(*rc::gen::inRange<int>('a', 'e')));
    switch (*rc::gen::inRange(0, 5)) {
      case 0: object.set(key, *rc::gen::inRange(-100, 100)); break;
      case 1: object.set(key, *rc::gen::arbitrary<bool>()); break;
      case 2: object.set(key, json::Array{json::Value(*rc::gen::inRange(0, 9))}); break;
      case 3: object.set(key, depth > 0 ? any_object(depth - 1, with_nulls) : json::Value("leaf")); break;
      default: object.set(key, with_nulls ? json::Value() : json::Value("text")); break;
    }
  }
  return object;
}

Twin with_desired(const json::Value& values) { return *apply(make_twin(t0), ServicePatch{std::nullopt, values}, true, t0); }

Twin patched(const Twin& twin, const json::Value& patch) { return *apply(twin, ServicePatch{std::nullopt, patch}, false, t0); }

bool has_null(const json::Value& value) {
  if (!value.is_object()) return value.is_null();
  for (const auto& [key, below] : value.as_object())
    if (has_null(below)) return true;
  return false;
}

/// The metadata names exactly the members of the values, at every level.
bool mirrors(const json::Value& metadata, const json::Value& values) {
  if (!metadata.is_object() || !metadata.find("$lastUpdated")) return false;
  std::size_t named = 0;
  for (const auto& [key, below] : metadata.as_object()) {
    if (key.starts_with('$')) continue;
    ++named;
    const json::Value* value = values.find(key);
    if (!value || !mirrors(below, *value)) return false;
  }
  return named == (values.is_object() ? values.as_object().size() : 0);
}

void check(const char* law, const std::function<void()>& property) {
  ASSERT_TRUE(seeded);
  ASSERT_TRUE(rc::check(law, property)) << law;
}

TEST(TwinMergeLaws, a_patch_applied_twice_is_a_patch_applied_once) {
  check("idempotent", [] {
    const Twin once = patched(with_desired(any_object(3, false)), any_object(3, true));
    const json::Value patch = any_object(3, true);
    const Twin a = patched(once, patch);
    RC_ASSERT(patched(a, patch).desired.values == a.desired.values);
  });
}

TEST(TwinMergeLaws, the_empty_patch_changes_the_version_only) {
  check("empty patch", [] {
    const Twin before = with_desired(any_object(3, false));
    const Twin after = patched(before, json::Object{});
    RC_ASSERT(after.desired.values == before.desired.values);
    RC_ASSERT(after.desired.version == before.desired.version + 1);
  });
}

TEST(TwinMergeLaws, no_null_survives_a_merge) {
  check("no nulls", [] { RC_ASSERT(!has_null(patched(with_desired(any_object(3, true)), any_object(3, true)).desired.values)); });
}

TEST(TwinMergeLaws, patching_nothing_with_a_document_gives_the_document) {
  check("identity", [] {
    const json::Value values = any_object(3, false);
    RC_ASSERT(patched(with_desired(json::Object{}), values).desired.values == values);
  });
}

TEST(TwinMergeLaws, metadata_mirrors_the_values_after_any_history) {
  check("mirror", [] {
    Twin twin = with_desired(any_object(3, true));
    for (int i = 0; i < 3; ++i) twin = patched(twin, any_object(3, true));
    RC_ASSERT(mirrors(twin.desired.metadata, twin.desired.values));
    const auto reported = apply_reported(twin, any_object(3, true), std::nullopt, t0);
    RC_ASSERT(bool(reported));
    RC_ASSERT(mirrors(reported->reported.metadata, reported->reported.values));
  });
}

TEST(TwinMergeLaws, stored_twins_come_back_whole) {
  check("stored", [] {
    const Twin twin = patched(with_desired(any_object(3, true)), any_object(3, true));
    const auto again = parse_stored(print_stored(twin));
    RC_ASSERT(bool(again));
    RC_ASSERT(again->desired.values == twin.desired.values);
    RC_ASSERT(again->desired.metadata == twin.desired.metadata);
    RC_ASSERT(again->etag == twin.etag);
  });
}

}  // namespace
}  // namespace nacelle::twin
