#include "net/mqtt/detail/mailbox.h"

namespace nacelle::net {

std::function<void(Result<>)> Mailbox::promise(std::uint64_t ticket) {
  keep_alive();
  // Two plain words: std::function keeps them inside itself.
  return [this, ticket](Result<> result) { complete(ticket, 1, std::move(result)); };
}

std::function<void(Result<>)> Mailbox::promise(std::uint64_t ticket, std::size_t count) {
  keep_alive();
  return [this, ticket, count](Result<> result) { complete(ticket, count, std::move(result)); };
}

void Mailbox::keep_alive() {
  const std::lock_guard lock(mutex_);
  if (promised_++ == 0) self_ = shared_from_this();
}

void Mailbox::poke() {
  const std::lock_guard lock(mutex_);
  if (!shut_) schedule();
}

void Mailbox::complete(std::uint64_t ticket, std::size_t count, Result<> result) {
  std::shared_ptr<Mailbox> last;  // released after the mutex
  const std::lock_guard lock(mutex_);
  if (--promised_ == 0) last = std::move(self_);
  if (shut_) return;
  mail_.completions.push_back({ticket, count, result ? Answer::acknowledge : Answer::withhold});
  if (!result && tells_refusals_)
    mail_.refusals.push_back({ticket, count, std::move(result).error()});
  else if (!result && (result.error().fault == Fault::invalid_input || result.error().fault == Fault::denied) && !mail_.close)
    mail_.close = {"publish refused: " + std::move(result).error().message, mqtt::Reason::not_authorized};
  schedule();
}

Result<> Mailbox::deliver(Delivery& delivery) {
  const ByteCount size = delivery.bytes();
  const std::lock_guard lock(mutex_);
  if (shut_) return fail(Fault::unavailable, "the client is not connected");
  if (bytes_ + size > max_bytes_) return fail(Fault::exhausted, "the client's queue is full");
  bytes_ += size;
  mail_.deliveries.push_back(std::move(delivery));
  schedule();
  return {};
}

void Mailbox::call(std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  if (shut_) return;
  mail_.calls.push_back(std::move(call));
  schedule();
}

void Mailbox::close(std::string why, mqtt::Reason reason) {
  const std::lock_guard lock(mutex_);
  if (shut_) return;
  if (!mail_.close) mail_.close = {std::move(why), reason};
  schedule();
}

void Mailbox::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  asio::post(strand_, [self = shared_from_this()] {
    if (self->collect_) self->collect_();
  });
}

void Mailbox::take(Mail& mail) {
  mail.completions.clear();
  mail.refusals.clear();
  mail.deliveries.clear();
  mail.calls.clear();
  mail.close.reset();
  const std::lock_guard lock(mutex_);
  std::swap(mail, mail_);
  bytes_ = 0;
  scheduled_ = false;
}

Mailbox::Mail Mailbox::shut() {
  collect_ = nullptr;
  Mail last;
  const std::lock_guard lock(mutex_);
  shut_ = true;
  std::swap(last, mail_);
  return last;
}

}  // namespace nacelle::net
