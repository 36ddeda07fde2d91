#pragma once
// What can be known to be wrong before a row is looked at: types that never fit.

#include "domain/query/detail/lexer.h"
#include "domain/query/query.h"

namespace nacelle::query {

/// Fault::invalid_input at the offending place.
Result<> check_condition(const Expression& node, const Lexer& places);
/// A use of an expression as a number or a comparison's sides; called as nodes are made.
Result<> check_arithmetic(const Expression& side, const Lexer& places);
Result<> check_comparison(const Expression& comparison, const Lexer& places);
Result<> check_query(const Query& query, const Lexer& places);

}  // namespace nacelle::query
