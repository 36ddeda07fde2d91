#pragma once
// Text forms of bytes: base64 (RFC 4648 section 4), hexadecimal, percent-encoding (RFC 3986), numbers.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::text {

std::string base64_encode(BytesView bytes);
/// Accepts missing padding; refuses anything else. Fault::invalid_input without the input in the message (it may be a key).
Result<Bytes> base64_decode(std::string_view text);

std::string hex_encode(BytesView bytes);  ///< lower case
Result<Bytes> hex_decode(std::string_view text);

/// encodeURIComponent: all but `A-Z a-z 0-9 - _ . ! ~ * ' ( )` is escaped, upper-case hex.
std::string percent_encode(std::string_view text);
/// As percent_encode, and `! ' ( ) *` escaped too, these with lower-case hex: the form that the Node SDK signs.
std::string percent_encode_strict(std::string_view text);
/// `+` stays a plus. Fault::invalid_input for a broken escape.
Result<std::string> percent_decode(std::string_view text);

/// How many leading bytes of `text` are well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
std::size_t valid_utf8_prefix(std::string_view text);
inline bool valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }
/// Appends a code point below 0x110000 as UTF-8.
void append_utf8(std::string& out, std::uint32_t code_point);

/// The whole of `text` as a decimal number, finite, without white space, or a fault that names `what`.
Result<std::int64_t> parse_integer(std::string_view text, std::string_view what);
Result<double> parse_number(std::string_view text, std::string_view what);

bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string to_lower(std::string_view text);
std::string_view trim(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace nacelle::text
