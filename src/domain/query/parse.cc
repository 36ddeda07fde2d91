#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"
#include "domain/query/detail/check.h"
#include "domain/query/detail/fields.h"
#include "domain/query/detail/parser.h"

namespace nacelle::query {
namespace {

constexpr std::pair<std::string_view, Aggregate> aggregate_names[] = {{"COUNT", Aggregate::count},
                                                                      {"AVG", Aggregate::average},
                                                                      {"SUM", Aggregate::sum},
                                                                      {"MIN", Aggregate::minimum},
                                                                      {"MAX", Aggregate::maximum}};

const std::pair<std::string_view, Aggregate>* aggregate_of(const Token& token) {
  const auto at = std::find_if(std::begin(aggregate_names), std::end(aggregate_names),
                               [&](const auto& one) { return token.is_word(one.first); });
  return at == std::end(aggregate_names) ? nullptr : at;
}

}  // namespace

bool Query::aggregates() const {
  return !group_by.empty() || std::any_of(items.begin(), items.end(), [](const Item& item) { return item.aggregate.has_value(); });
}

Result<Query> parse_query(std::string_view text) {
  TRY_LET(Parser parser, Parser::make(text, "query"));
  return parser.query();
}

Result<Selection> parse_selection(std::string_view text, std::string_view what) {
  TRY_LET(Parser parser, Parser::make(text, what));
  return parser.selection();
}

Result<Parser> Parser::make(std::string_view text, std::string_view what) {
  if (text.size() > max_text_bytes)
    return fail(Fault::invalid_input, fmt::format("{}: {} bytes, at most {} are allowed", what, text.size(), max_text_bytes));
  Parser parser(text, what);
  if (const std::size_t good = text::valid_utf8_prefix(text); good < text.size())
    return parser.lexer_.complain(good, "this is no UTF-8");
  Lexer lexer(text, what);
  do {
    TRY_LET(Token token, lexer.next());
    parser.tokens_.push_back(std::move(token));
  } while (parser.tokens_.back().kind != TokenKind::end);
  return parser;
}

bool Parser::take(std::string_view symbol) {
  if (!current().is(symbol)) return false;
  ++at_;
  return true;
}
bool Parser::take_word(std::string_view word) {
  if (!current().is_word(word)) return false;
  ++at_;
  return true;
}
Result<> Parser::expect(std::string_view symbol) {
  if (!take(symbol)) return unexpected(fmt::format("'{}'", symbol));
  return {};
}
Result<> Parser::expect_word(std::string_view word) {
  if (!take_word(word)) return unexpected(word);
  return {};
}
Result<> Parser::end_expected() const {
  if (current().kind != TokenKind::end) return unexpected("the end");
  return {};
}

Result<Query> Parser::query() {
  TRY(expect_word("SELECT"));
  // The source says what the names before it mean, so it is read first.
  const std::size_t list = at_;
  const auto from = std::find_if(tokens_.begin(), tokens_.end(), [](const Token& token) { return token.is_word("FROM"); });
  if (from == tokens_.end()) return lexer_.unexpected(tokens_.back(), "FROM");
  at_ = static_cast<std::size_t>(from - tokens_.begin());
  TRY(source());
  const std::size_t rest = at_;

  Query query;
  query.source = source_;
  at_ = list;
  if (take_word("TOP")) {
    TRY_LET(query.top, top());
  }
  if (!take("*")) {
    TRY_LET(query.items, items());
  }
  if (!current().is_word("FROM")) return unexpected("FROM");
  at_ = rest;
  if (take_word("WHERE")) {
    TRY_LET(query.where, where());
  }
  if (take_word("GROUP")) {
    TRY(expect_word("BY"));
    do {
      TRY_LET(Path key, path());
      query.group_by.push_back(std::move(key));
    } while (take(","));
  }
  if (take_word("ORDER")) {
    TRY(expect_word("BY"));
    do {
      TRY_LET(Order one, order(query.items));
      query.order_by.push_back(std::move(one));
    } while (take(","));
  }
  TRY(end_expected());
  TRY(check_query(query, lexer_));
  return query;
}

Result<Selection> Parser::selection() {
  Selection selection;
  if (current().kind == TokenKind::end) {
    selection.nobody = true;
    return selection;
  }
  bool conditioned = true;
  if (current().is_word("FROM")) {
    TRY(source());
    if (source_ == Source::jobs) return lexer_.complain(0, "expected FROM devices or FROM devices.modules");
    conditioned = take_word("WHERE");
  } else if (take("*")) {
    conditioned = false;
  }
  selection.source = source_;
  if (conditioned) {
    TRY_LET(selection.where, where());
  }
  TRY(end_expected());
  return selection;
}

Result<Expression> Parser::where() {
  TRY_LET(Expression whole, condition());
  TRY(check_condition(whole, lexer_));
  return whole;
}

/// `FROM devices[.modules | .jobs] [[AS] alias]`
Result<> Parser::source() {
  ++at_;
  constexpr std::string_view expected = "devices, devices.modules or devices.jobs";
  if (current().kind != TokenKind::path) return unexpected(expected);
  bool found = false;
  for (const Source candidate : {Source::devices, Source::modules, Source::jobs}) {
    const auto parts = text::split(source_name(candidate), '.');
    if (!std::equal(parts.begin(), parts.end(), current().segments.begin(), current().segments.end(), text::equal_ignoring_case))
      continue;
    source_ = candidate;
    found = true;
  }
  if (!found) return unexpected(expected);
  ++at_;
  const bool named = take_word("AS");
  const bool keyword = current().is_word("WHERE") || current().is_word("GROUP") || current().is_word("ORDER");
  if (current().kind == TokenKind::path && current().segments.size() == 1 && !keyword) {
    alias_ = current().segments.front();
    ++at_;
  } else if (named) {
    return unexpected("a name for the source");
  }
  return {};
}

Result<std::size_t> Parser::top() {
  if (current().kind != TokenKind::number || !current().whole || current().integer < 1)
    return unexpected("a whole number above 0 after TOP");
  return static_cast<std::size_t>(tokens_[at_++].integer);
}

Result<Path> Parser::path() {
  if (current().kind != TokenKind::path) return unexpected("a property");
  const Token& token = tokens_[at_++];
  auto found = resolve(source_, alias_, token.segments);
  if (!found) return lexer_.complain(token.at, found.error().message);
  found->at = token.at;
  return found;
}

Result<std::vector<Item>> Parser::items() {
  std::vector<Item> items;
  do {
    TRY_LET(Item one, item());
    items.push_back(std::move(one));
  } while (take(","));
  return items;
}

Result<Item> Parser::item() {
  Item item;
  const auto* aggregate = following().is("(") ? aggregate_of(current()) : nullptr;
  if (aggregate) {
    at_ += 2;
    item.aggregate = aggregate->second;
    item.name = text::to_lower(aggregate->first);
    const bool counts_rows = item.aggregate == Aggregate::count && (current().is(")") || take("*"));
    if (!counts_rows) {
      TRY_LET(item.path, path());
    }
    TRY(expect(")"));
  } else {
    TRY_LET(item.path, path());
    item.name = tokens_[at_ - 1].segments.back();
  }
  if (!take_word("AS")) return item;
  if (current().kind != TokenKind::path || current().segments.size() != 1) return unexpected("a name for the column");
  item.name = tokens_[at_++].segments.front();
  return item;
}

Result<Order> Parser::order(const std::vector<Item>& items) {
  Order order;
  if (current().kind == TokenKind::path && current().segments.size() == 1) {
    const auto named =
        std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == current().segments.front(); });
    if (named != items.end()) order.item = static_cast<std::size_t>(named - items.begin());
  }
  if (order.item) {
    ++at_;
  } else {
    TRY_LET(order.path, path());
  }
  if (take_word("DESC"))
    order.descending = true;
  else
    take_word("ASC");
  return order;
}

}  // namespace nacelle::query
