//===- HttpMessage.cpp - Requests as bytes, and their limits --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "HttpMessage.h"

#include <algorithm>

namespace qcc::serve {

void setLimits(RequestParser &parser, uint64_t maxBodyBytes) {
  parser.header_limit(maxHeaderBytes);
  parser.body_limit(maxBodyBytes);
}

RequestError parseFailure(const boost::system::error_code &error) {
  if (error == http::error::header_limit ||
      error == http::error::buffer_overflow)
    return {431,
            "the header is longer than " + std::to_string(maxHeaderBytes) +
                " bytes",
            "", ""};
  if (error == http::error::body_limit)
    return {413, "the body is larger than the server allows", "", ""};
  return {400, "not a valid HTTP/1.1 request: " + error.message(), "", ""};
}

/// A host without its port, in lower case.
static std::string hostName(std::string_view host) {
  size_t end = host.front() == '[' ? host.find(']') : host.find(':');
  if (end != std::string_view::npos)
    host = host.substr(0, end + (host.front() == '['));
  std::string name(host);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return char(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  return name;
}

bool isLocalHost(std::string_view host) {
  if (host.empty())
    return false;
  std::string name = hostName(host);
  if (name == "localhost" || name == "[::1]" || name.ends_with(".localhost"))
    return true;
  return name.starts_with("127.") &&
         name.find_first_not_of("0123456789.") == std::string::npos;
}

std::string checkOrigin(const RequestHead &head, const OriginRules &rules) {
  std::string_view host = head[http::field::host];
  if (rules.onlyLocalHosts && !host.empty() && !isLocalHost(host))
    throw RequestError{403,
                       "the Host header names another machine; a server "
                       "without API keys on a loopback address answers "
                       "localhost only",
                       "", "forbidden_host"};
  std::string_view origin = head[http::field::origin];
  if (origin.empty())
    return "";
  for (const std::string &allowed : rules.allowed)
    if (allowed == "*" || allowed == origin)
      return std::string(allowed == "*" ? "*" : origin);
  // A page from this server, also behind a proxy that has another name.
  if (head["Sec-Fetch-Site"] == "same-origin")
    return "";
  size_t scheme = origin.find("://");
  if (scheme != std::string_view::npos && origin.substr(scheme + 3) == host)
    return "";
  throw RequestError{403,
                     "web pages of another origin may not call this server; "
                     "see --allow-origin",
                     "", "forbidden_origin"};
}

} // namespace qcc::serve
