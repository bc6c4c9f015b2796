//===- Connection.h - One client ---------------------------------*- C++
//-*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_CONNECTION_H
#define QCC_RUNTIME_SERVE_CONNECTION_H

#include "Http.h"
#include "HttpMessage.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include <deque>
#include <optional>
#include <set>

namespace qcc::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;

class Connection;

/// What connections share. Lives on the I/O thread, except `worker`.
struct HttpState {
  const Api &api;
  Scheduler &scheduler;
  const HttpOptions &options;
  OriginRules origins = {};
  asio::thread_pool worker{1}; // reads bodies and makes tokens of prompts
  std::set<Connection *> connections = {};
  uint64_t bodyBytes = 0;           // that requests may take up now
  bool draining = false;            // the server ends
  std::function<void()> ended = {}; // called when a connection ended
};

/// Deltas of one answer on their way from the scheduler's thread.
class Inbox : public std::enable_shared_from_this<Inbox> {
public:
  explicit Inbox(const asio::any_io_executor &executor) : timer(executor) {}

  /// Any thread.
  void put(size_t choice, Delta &&delta);

  // The I/O thread.
  bool empty() const { return items.empty(); }
  std::pair<size_t, Delta> take();
  /// Says that nobody reads the answer any more.
  void setGone();
  bool isGone() const { return gone; }
  /// Returns when there is something, or after `seconds`.
  asio::awaitable<void> wait(int seconds);

private:
  asio::steady_timer timer;
  std::deque<std::pair<size_t, Delta>> items;
  bool gone = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(HttpState &state, asio::ip::tcp::socket &&socket);
  ~Connection();

  /// Answers requests until either side has enough.
  asio::awaitable<void> run();

  /// Closes it if it waits for a request.
  void closeIdle();

private:
  /// Whether another request may follow.
  asio::awaitable<bool> serveOne();
  asio::awaitable<bool> readBody(RequestParser &parser);
  /// What the head of a request is refused with, before its body is read.
  std::optional<Reply> checkHead(const RequestParser &parser);
  asio::awaitable<Reply> callApi(RequestParser &parser);
  asio::awaitable<bool> send(Reply reply, bool head, bool keep);
  asio::awaitable<bool> sendAnswer(Reply &reply, bool keep);
  asio::awaitable<bool> sendStream(Answer &answer, Inbox &inbox, bool keep);
  asio::awaitable<bool> sendWhole(Answer &answer, Inbox &inbox, bool keep);
  asio::awaitable<bool> write(const std::string &text, bool chunked);
  asio::awaitable<void> watch(std::shared_ptr<Inbox> inbox);
  asio::awaitable<void> close();
  template <typename Message>
  void addHeaders(Message &message, const Reply &reply, bool keep);

  HttpState &state;
  beast::tcp_stream stream;
  // Of what a parser has not taken yet: lines of chunks and trailers too.
  beast::flat_buffer buffer{65536};
  std::string peer;
  bool idle = false;
  unsigned version = 11;   // of the current request
  std::string allowOrigin; // for its reply
  int status = 0;          // that it was answered with
  uint64_t reserved = 0;   // of state.bodyBytes
};

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_CONNECTION_H
