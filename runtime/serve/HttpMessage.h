//===- HttpMessage.h - Requests as bytes, and their limits ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// What is decided about a request before the API sees it. No sockets.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_HTTPMESSAGE_H
#define QCC_RUNTIME_SERVE_HTTPMESSAGE_H

#include "Requests.h"

#include <boost/beast/http.hpp>

namespace qcc::serve {

namespace http = boost::beast::http;

using RequestParser = http::request_parser<http::string_body>;
using RequestHead = http::request<http::string_body>::header_type;

constexpr uint32_t maxHeaderBytes = 8192;

void setLimits(RequestParser &parser, uint64_t maxBodyBytes);

/// What to answer when a request could not be read.
RequestError parseFailure(const boost::system::error_code &error);

struct OriginRules {
  /// Only names of this machine are accepted as Host, since a web page can give
  /// its own name this machine's address.
  bool onlyLocalHosts = false;
  /// Web pages from elsewhere that may call; "*": all.
  std::vector<std::string> allowed;
};

/// Throws RequestError for a request that a web page from elsewhere made. Gives
/// the value of Access-Control-Allow-Origin, or "" if none is called for.
std::string checkOrigin(const RequestHead &head, const OriginRules &rules);

/// A loopback address or name, with or without a port.
bool isLocalHost(std::string_view host);

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_HTTPMESSAGE_H
