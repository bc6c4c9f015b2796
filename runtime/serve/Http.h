//===- Http.h - The sockets of the server -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_HTTP_H
#define QCC_RUNTIME_SERVE_HTTP_H

#include "Api.h"

namespace qcc::serve {

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080; // 0: any that is free
  uint64_t maxBodyBytes = uint64_t(8) << 20;
  std::vector<std::string> allowedOrigins;
  uint32_t drainSeconds = 10;
  bool hasKeys = false;
  bool logRequests = false;
};

/// Listens and answers until SIGINT or SIGTERM arrives; then lets answers end,
/// until drainSeconds are over or the signal comes again, and stops the
/// scheduler. `listening` is called with the address once clients can connect,
/// and whether only those of this machine can. Throws cli::Failure if they
/// never can.
void serveHttp(const Api &api, Scheduler &scheduler, const HttpOptions &options,
               const std::function<void(const std::string &url, bool onlyLocal)>
                   &listening);

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_HTTP_H
