// `madansara demo`: half a minute of lively trade, played against a running server from outside:
// real signed webhooks in, replies through the API out. It uses nothing that a client could not.
#pragma once

#include <cstdint>
#include <string>

namespace sara::runtime {

struct DemoOptions {
  std::string url = "http://127.0.0.1:8002";
  std::string api_key;     ///< of the tenant that is filled; an owner's
  int seconds = 30;        ///< how long it plays; 0: as fast as it can
  bool json = false;       ///< one JSON object instead of words
  std::uint64_t seed = 7;  ///< of the order in which people write
};

/// Plays and prints. returns: 0 if everything was answered as it should be, else 1
int run_demo(const DemoOptions& options);

}  // namespace sara::runtime
