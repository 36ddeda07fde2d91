#include "service/hub/refusals.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace nacelle::hub {
namespace {

constexpr std::string_view way_names[] = {"connect", "registration", "publish", "subscribe", "https", "websocket", "blob", "amqp"};
static_assert(std::size(way_names) == Refusals::ways);

constexpr std::string_view words[] = {"other",     "malformed", "credentials", "unknown",  "disabled", "method",
                                      "signature", "expired",   "hub",         "identity", "right",    "certificate",
                                      "topic",     "anonymous", "id-scope",    "closed"};
static_assert(std::size(words) == Refusals::reasons);

/// What a sentence says, in the order in which it is asked.
struct Sign {
  std::string_view part;
  std::string_view word;
};
constexpr Sign signs[] = {{"neither a token nor a certificate", "credentials"},
                          {"no token was put", "credentials"},
                          {"holds no more", "signature"},
                          {"no Authorization header", "credentials"},
                          {"anonymous clients are not allowed", "anonymous"},
                          {"not a shared access signature", "malformed"},
                          {"cannot be read", "malformed"},
                          {"to come with a certificate", "method"},
                          {"is not registered", "unknown"},
                          {"there is no shared access policy", "unknown"},
                          {"no enrolment lets", "unknown"},
                          {"neither a device's id nor", "unknown"},
                          {"names no device", "identity"},
                          {"is disabled", "disabled"},
                          {"does not authenticate with tokens", "method"},
                          {"own key was expected", "method"},
                          {"not signed with either key", "signature"},
                          {"neither a key of the policy", "signature"},
                          {"signature does not fit", "signature"},
                          {"expired", "expired"},
                          {"is not valid now", "expired"},
                          {"another hub", "hub"},
                          {"does not cover this hub", "hub"},
                          {"id scope is another", "id-scope"},
                          {"certificate", "certificate"},
                          {"the chain", "certificate"},
                          {"for another identity", "identity"},
                          {"the audience is neither", "identity"},
                          {"different identities", "identity"},
                          {"different registrations", "identity"},
                          {"another identity's", "identity"},
                          {"does not cover this identity", "identity"},
                          {"names another policy", "identity"},
                          {"another registration", "identity"},
                          {"not one of a registration", "identity"},
                          {"does not attest", "method"},
                          {" right", "right"},
                          {"does not allow", "right"},
                          {"no rule allows", "right"},
                          {"of this blob is open", "closed"},
                          {"topic", "topic"},
                          {"a registrant may", "topic"},
                          {"not of the open namespace", "topic"}};

/// Between quotes stands what somebody sent.
std::string without_quotes(std::string_view sentence) {
  std::string bare;
  bool inside = false;
  for (std::size_t i = 0; i < sentence.size(); ++i) {
    const bool opens = sentence[i] == '\'' && !inside && (i == 0 || sentence[i - 1] == ' ');
    const bool closes =
        sentence[i] == '\'' && inside && (i + 1 == sentence.size() || sentence[i + 1] == ' ' || sentence[i + 1] == ',');
    if (opens || closes)
      inside = opens;
    else if (!inside)
      bare += sentence[i];
  }
  return bare;
}

std::size_t place_of(std::string_view word) { return std::find(std::begin(words), std::end(words), word) - std::begin(words); }

}  // namespace

std::string_view reason_word(const Error& why) {
  const std::string sentence = without_quotes(why.message);
  for (const Sign& sign : signs)
    if (sentence.find(sign.part) != std::string::npos) return words[place_of(sign.word)];
  return why.fault == Fault::invalid_input ? words[place_of("malformed")] : words[0];
}

void Refusals::count(Way way, const Error& why) { ++counts_[static_cast<std::size_t>(way)][place_of(reason_word(why))]; }

std::uint64_t Refusals::of(Way way) const {
  const auto& of_way = counts_[static_cast<std::size_t>(way)];
  return std::accumulate(of_way.begin(), of_way.end(), std::uint64_t{0});
}

std::vector<Refusals::Reading> Refusals::readings() const {
  std::vector<Reading> found;
  for (std::size_t way = 0; way < ways; ++way) {
    const std::size_t before = found.size();
    for (std::size_t reason = 0; reason < reasons; ++reason)
      if (const std::uint64_t count = counts_[way][reason]; count > 0) found.push_back({way_names[way], words[reason], count});
    if (found.size() == before) found.push_back({way_names[way], "none", 0});
  }
  return found;
}

}  // namespace nacelle::hub
