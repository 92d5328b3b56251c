// The forward-only rule of delivery states.
#include "domain/delivery.hpp"

namespace sara::domain {
namespace {

using enum MessageStatus;

/// Place on the way to "read"; 0: not on that way.
int rank(MessageStatus status) {
  switch (status) {
    case queued: return 1;
    case sending: return 2;
    case sent: return 3;
    case delivered: return 4;
    case MessageStatus::read: return 5;
    default: return 0;
  }
}

}  // namespace

std::string_view to_string(MessageStatus status) {
  switch (status) {
    case received: return "received";
    case queued: return "queued";
    case sending: return "sending";
    case sent: return "sent";
    case delivered: return "delivered";
    case MessageStatus::read: return "read";
    case failed: return "failed";
    case bounced: return "bounced";
    case complained: return "complained";
    case cancelled: return "cancelled";
    case expired: return "expired";
    case unknown: return "unknown";
  }
  return "unknown";
}

bool advances(MessageStatus from, MessageStatus to) {
  if (from == to || from == received || to == received) return false;
  if (from == failed || from == bounced || from == complained || from == cancelled ||
      from == expired)
    return false;
  if (to == complained) return true;
  if (from == unknown) return to != queued && to != sending;
  if (to == unknown) return from == sending;
  if (to == cancelled || to == expired) return from == queued;
  if (to == failed) return rank(from) < rank(delivered);
  if (to == bounced) return rank(from) < rank(MessageStatus::read);
  // A send that was never written to the socket goes back to the queue.
  if (to == queued) return from == sending;
  return rank(to) > rank(from);
}

bool settled(MessageStatus status) {
  return status == MessageStatus::read || status == failed || status == bounced ||
         status == complained || status == cancelled || status == expired;
}

}  // namespace sara::domain
