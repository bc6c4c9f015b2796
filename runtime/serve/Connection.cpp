//===- Connection.cpp - One client ----------------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <cerrno>
#include <sys/socket.h>

namespace qcc::serve {

static constexpr auto asTuple = asio::as_tuple(asio::use_awaitable);
using std::chrono::seconds;

// How long a client may take.
static constexpr seconds headerTime{60}; // idle, and the header
static constexpr seconds bodyTime{60};
static constexpr seconds writeTime{60}; // of what is sent at a time
static constexpr seconds lingerTime{2}; // to read the answer to a bad request
// While an answer streams no token: proxies close what says nothing.
static constexpr int heartbeatSeconds = 15;
// All bodies that are being read or answered.
static constexpr uint64_t maxBodyBytesInAll = uint64_t(256) << 20;

//===----------------------------------------------------------------------===//
// Inbox
//===----------------------------------------------------------------------===//

void Inbox::put(size_t choice, Delta &&delta) {
  asio::post(timer.get_executor(), [self = shared_from_this(), choice,
                                    delta = std::move(delta)]() mutable {
    self->items.emplace_back(choice, std::move(delta));
    self->timer.cancel();
  });
}

std::pair<size_t, Delta> Inbox::take() {
  std::pair<size_t, Delta> item = std::move(items.front());
  items.pop_front();
  return item;
}

void Inbox::setGone() {
  gone = true;
  timer.cancel();
}

asio::awaitable<void> Inbox::wait(int forSeconds) {
  if (!items.empty() || gone)
    co_return;
  timer.expires_after(seconds(forSeconds));
  co_await timer.async_wait(asTuple);
}

//===----------------------------------------------------------------------===//
// Connection
//===----------------------------------------------------------------------===//

Connection::Connection(HttpState &state, asio::ip::tcp::socket &&socket)
    : state(state), stream(std::move(socket)) {
  boost::system::error_code error;
  auto endpoint = stream.socket().remote_endpoint(error);
  if (!error)
    peer = endpoint.address().to_string();
  stream.socket().set_option(asio::ip::tcp::no_delay(true), error);
  state.connections.insert(this);
}

Connection::~Connection() {
  state.bodyBytes -= reserved;
  state.connections.erase(this);
  if (state.ended)
    state.ended();
}

void Connection::closeIdle() {
  if (idle)
    stream.cancel();
}

asio::awaitable<void> Connection::run() {
  while (co_await serveOne() && !state.draining)
    ;
  co_await close();
}

/// Says that nothing more comes, and gives the client time to read what came:
/// closing while it still sends would take the answer from it.
asio::awaitable<void> Connection::close() {
  boost::system::error_code error;
  stream.socket().shutdown(asio::socket_base::shutdown_send, error);
  if (error)
    co_return;
  char dropped[4096];
  stream.expires_after(lingerTime);
  for (size_t total = 0; total < (size_t(16) << 20);) {
    auto [failed, bytes] =
        co_await stream.async_read_some(asio::buffer(dropped), asTuple);
    if (failed)
      co_return;
    total += bytes;
  }
}

asio::awaitable<bool> Connection::serveOne() {
  RequestParser parser;
  setLimits(parser, state.options.maxBodyBytes);
  allowOrigin.clear();
  version = 11;
  idle = true;
  stream.expires_after(headerTime);
  auto [error, bytes] =
      co_await http::async_read_header(stream, buffer, parser, asTuple);
  idle = false;
  if (error == beast::error::timeout && parser.got_some()) {
    co_await send(Api::errorReply({408, "the request took too long", "", ""}),
                  false, false);
    co_return false;
  }
  if (error && error.category() != make_error_code(http::error{}).category())
    co_return false; // the connection's, not the request's
  if (error == http::error::end_of_stream)
    co_return false;
  if (error) {
    co_await send(Api::errorReply(parseFailure(error)), false, false);
    co_return false;
  }
  version = parser.get().version();
  double start = cli::now();
  bool head = parser.get().method() == http::verb::head;
  std::string line = state.options.logRequests
                         ? std::string(parser.get().method_string()) + " " +
                               std::string(parser.get().target())
                         : "";
  // What a terminal might take for a control.
  for (char &c : line)
    if (static_cast<unsigned char>(c) >= 0x80)
      c = '?';
  auto log = [&](bool sent) {
    if (state.options.logRequests)
      cli::note("%s %s %d %.3f s%s", peer.c_str(), line.c_str(), status,
                cli::now() - start, sent ? "" : " (not sent)");
  };
  if (std::optional<Reply> refusal = checkHead(parser)) {
    log(co_await send(std::move(*refusal), head, false));
    co_return false;
  }
  bool read = co_await readBody(parser);
  if (!read) {
    log(true);
    co_return false;
  }
  bool keep = parser.keep_alive();
  Reply reply = co_await callApi(parser);
  if (reply.answer && reply.answer->streams() && version < 11)
    keep = false; // the end of the connection ends such an answer
  bool sent = reply.answer ? co_await sendAnswer(reply, keep)
                           : co_await send(std::move(reply), head, keep);
  state.bodyBytes -= std::exchange(reserved, 0);
  log(sent);
  co_return sent &&keep;
}

/// Reads the rest of a request. False if it was refused or did not come.
asio::awaitable<bool> Connection::readBody(RequestParser &parser) {
  uint64_t length = parser.content_length().value_or(
      parser.chunked() ? state.options.maxBodyBytes : 0);
  if (state.bodyBytes + length > maxBodyBytesInAll) {
    co_await send(Api::errorReply({429, "too many large requests", "", ""}),
                  false, false);
    co_return false;
  }
  reserved = length;
  state.bodyBytes += length;
  stream.expires_after(bodyTime);
  boost::system::error_code error;
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    static constexpr std::string_view goOn = "HTTP/1.1 100 Continue\r\n\r\n";
    auto [failed, written] = co_await asio::async_write(
        stream, asio::buffer(goOn.data(), goOn.size()), asTuple);
    error = failed;
  }
  if (!error && !parser.is_done()) {
    auto [failed, bytes] =
        co_await http::async_read(stream, buffer, parser, asTuple);
    error = failed;
  }
  if (!error)
    co_return true;
  state.bodyBytes -= std::exchange(reserved, 0);
  if (error == beast::error::timeout)
    co_await send(Api::errorReply({408, "the request took too long", "", ""}),
                  false, false);
  else if (error.category() == make_error_code(http::error{}).category() &&
           error != http::error::partial_message &&
           error != http::error::end_of_stream)
    co_await send(Api::errorReply(parseFailure(error)), false, false);
  co_return false;
}

std::optional<Reply> Connection::checkHead(const RequestParser &parser) {
  const auto &message = parser.get();
  try {
    allowOrigin = checkOrigin(message, state.origins);
    if (message.method() != http::verb::options)
      state.api.authorize(message.target(),
                          message[http::field::authorization]);
  } catch (const RequestError &error) {
    return Api::errorReply(error);
  }
  return std::nullopt;
}

asio::awaitable<Reply> Connection::callApi(RequestParser &parser) {
  const auto &message = parser.get();
  try {
    if (message.method() == http::verb::options) {
      if (allowOrigin.empty())
        throw RequestError{405,
                           "OPTIONS is for web pages of other origins, "
                           "see --allow-origin",
                           "", "method_not_allowed"};
      Reply reply;
      reply.status = 204;
      reply.contentType.clear();
      reply.headers = {
          {"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
          {"Access-Control-Allow-Headers",
           std::string(message[http::field::access_control_request_headers])},
          {"Access-Control-Max-Age", "600"}};
      co_return reply;
    }
  } catch (const RequestError &error) {
    co_return Api::errorReply(error);
  }
  Call call;
  call.method = std::string(message.method_string());
  call.target = std::string(message.target());
  call.authorization = std::string(message[http::field::authorization]);
  call.peer = peer;
  call.body = std::move(parser.get().body());
  // Bodies may be long, and others should not wait for them.
  if (call.method != "POST")
    co_return state.api.handle(call);
  co_return co_await asio::co_spawn(
      state.worker,
      [&api = state.api, call = std::move(call)]() -> asio::awaitable<Reply> {
        co_return api.handle(call);
      },
      asio::use_awaitable);
}

template <typename Message>
void Connection::addHeaders(Message &message, const Reply &reply, bool keep) {
  message.version(version);
  message.set(http::field::server, "qcc");
  if (!reply.contentType.empty())
    message.set(http::field::content_type, reply.contentType);
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  if (!allowOrigin.empty()) {
    message.set(http::field::access_control_allow_origin, allowOrigin);
    message.set(http::field::vary, "Origin");
  }
  for (const auto &[name, value] : reply.headers)
    message.set(name, value);
  message.keep_alive(keep && !state.draining);
}

/// True if all of it was sent.
asio::awaitable<bool> Connection::send(Reply reply, bool head, bool keep) {
  status = reply.status;
  stream.expires_after(writeTime);
  http::response<http::string_body> message;
  message.result(unsigned(reply.status));
  addHeaders(message, reply, keep);
  if (reply.status != 204)
    message.content_length(reply.body.size());
  if (!head)
    message.body() = std::move(reply.body);
  http::response_serializer<http::string_body> serializer(message);
  if (head) {
    auto [error, bytes] =
        co_await http::async_write_header(stream, serializer, asTuple);
    co_return !error;
  }
  auto [error, bytes] = co_await http::async_write(stream, serializer, asTuple);
  co_return !error;
}

/// Notices that the client closed the connection while it waits for an answer.
asio::awaitable<void> Connection::watch(std::shared_ptr<Inbox> inbox) {
  auto self = shared_from_this();
  while (true) {
    auto [error] = co_await stream.socket().async_wait(
        asio::socket_base::wait_read, asTuple);
    if (error)
      co_return; // the answer is complete
    char byte;
    ssize_t got = recv(stream.socket().native_handle(), &byte, 1,
                       MSG_PEEK | MSG_DONTWAIT);
    if (got > 0)
      co_return; // the next request: from here on, writing will tell
    // The wait may also end for data that was read before it began.
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      continue;
    inbox->setGone();
    co_return;
  }
}

asio::awaitable<bool> Connection::sendAnswer(Reply &reply, bool keep) {
  auto inbox = std::make_shared<Inbox>(stream.get_executor());
  for (size_t i = 0; i < reply.jobs.size(); ++i)
    reply.jobs[i]->deliver = [inbox, i](Delta &&delta) {
      inbox->put(i, std::move(delta));
    };
  if (!state.scheduler.submit(reply.jobs))
    co_return co_await send(
        Api::errorReply(
            {429, "the queue is full; try again later", "", "queue_full"}),
        false, keep);
  asio::co_spawn(stream.get_executor(), watch(inbox), asio::detached);
  Answer &answer = *reply.answer;
  bool sent = answer.streams() ? co_await sendStream(answer, *inbox, keep)
                               : co_await sendWhole(answer, *inbox, keep);
  boost::system::error_code ignored;
  stream.socket().cancel(ignored); // ends the watch
  if (!answer.complete())
    for (const JobPointer &job : reply.jobs)
      job->cancelled = true;
  co_return sent;
}

asio::awaitable<bool> Connection::sendWhole(Answer &answer, Inbox &inbox,
                                            bool keep) {
  while (!answer.complete()) {
    co_await inbox.wait(3600);
    if (inbox.isGone())
      co_return false;
    while (!inbox.empty()) {
      auto [choice, delta] = inbox.take();
      answer.add(choice, std::move(delta));
    }
  }
  Reply reply;
  try {
    reply.body = answer.whole();
  } catch (const RequestError &error) {
    reply = Api::errorReply(error);
  }
  co_return co_await send(std::move(reply), false, keep);
}

asio::awaitable<bool> Connection::write(const std::string &text, bool chunked) {
  stream.expires_after(writeTime);
  if (chunked) {
    auto [error, bytes] = co_await asio::async_write(
        stream, http::make_chunk(asio::buffer(text)), asTuple);
    co_return !error;
  }
  auto [error, bytes] =
      co_await asio::async_write(stream, asio::buffer(text), asTuple);
  co_return !error;
}

asio::awaitable<bool> Connection::sendStream(Answer &answer, Inbox &inbox,
                                             bool keep) {
  bool chunked = version >= 11;
  status = 200;
  Reply head;
  head.contentType = "text/event-stream";
  head.headers.emplace_back("X-Accel-Buffering", "no"); // for nginx
  http::response<http::empty_body> message;
  addHeaders(message, head, keep);
  message.chunked(chunked);
  http::response_serializer<http::empty_body> serializer(message);
  stream.expires_after(writeTime);
  auto [error, bytes] =
      co_await http::async_write_header(stream, serializer, asTuple);
  if (error)
    co_return false;
  std::string events = answer.opening();
  while (true) {
    if (!events.empty()) {
      bool written = co_await write(events, chunked);
      if (!written)
        co_return false;
    }
    if (answer.complete())
      break;
    co_await inbox.wait(heartbeatSeconds);
    if (inbox.isGone())
      co_return false;
    events = inbox.empty() ? ": waiting\n\n" : "";
    while (!inbox.empty()) {
      auto [choice, delta] = inbox.take();
      events += answer.add(choice, std::move(delta));
    }
    if (answer.complete())
      events += answer.closing();
  }
  if (!chunked)
    co_return true;
  stream.expires_after(writeTime);
  auto [failed, written] =
      co_await asio::async_write(stream, http::make_chunk_last(), asTuple);
  co_return !failed;
}

} // namespace qcc::serve
