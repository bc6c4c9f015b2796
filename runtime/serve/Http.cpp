//===- Http.cpp - The sockets of the server -------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <csignal>
#include <sys/resource.h>

namespace qcc::serve {

using asio::ip::tcp;
static constexpr auto asTuple = asio::as_tuple(asio::use_awaitable);

static constexpr size_t maxConnections = 1024;

/// Each connection is a descriptor; many systems allow 1024 unless asked.
static void raiseDescriptorLimit() {
  rlimit limit = {};
  constexpr rlim_t wanted = maxConnections + 256;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = std::min(limit.rlim_max, wanted);
  setrlimit(RLIMIT_NOFILE, &limit);
}

static tcp::endpoint resolve(asio::io_context &io, const std::string &host,
                             uint16_t port) {
  boost::system::error_code error;
  asio::ip::address address = asio::ip::make_address(host, error);
  if (!error)
    return {address, port};
  tcp::resolver resolver(io);
  auto found = resolver.resolve(host, std::to_string(port),
                                tcp::resolver::passive, error);
  if (error || found.empty())
    throw cli::Failure{"cannot find the host `" + host +
                       "`: " + error.message()};
  // Names of this machine often stand for ::1 too; clients try 127.0.0.1.
  for (const auto &entry : found)
    if (entry.endpoint().address().is_v4())
      return entry.endpoint();
  return found.begin()->endpoint();
}

static tcp::acceptor listenAt(asio::io_context &io,
                              const tcp::endpoint &endpoint) {
  tcp::acceptor acceptor(io);
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error)
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error)
    acceptor.bind(endpoint, error);
  if (!error)
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    throw cli::Failure{cli::format("cannot listen at %s port %u: %s",
                                   endpoint.address().to_string().c_str(),
                                   unsigned(endpoint.port()),
                                   error.message().c_str())};
  return acceptor;
}

/// Takes connections until the acceptor is closed.
static asio::awaitable<void> acceptAll(HttpState &state,
                                       tcp::acceptor &acceptor) {
  asio::steady_timer pause(acceptor.get_executor());
  while (true) {
    auto [error, socket] = co_await acceptor.async_accept(asTuple);
    if (!acceptor.is_open())
      co_return;
    if (!error) {
      auto connection = std::make_shared<Connection>(state, std::move(socket));
      asio::co_spawn(
          acceptor.get_executor(),
          [connection]() -> asio::awaitable<void> {
            co_await connection->run();
          },
          asio::detached);
    }
    // Out of descriptors, or of our own limit: those that wait in the kernel's
    // queue get their turn when others leave.
    while (error || state.connections.size() >= maxConnections) {
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(asTuple);
      if (!acceptor.is_open())
        co_return;
      error = {};
    }
  }
}

void serveHttp(const Api &api, Scheduler &scheduler, const HttpOptions &options,
               const std::function<void(const std::string &url, bool onlyLocal)>
                   &listening) {
  raiseDescriptorLimit();
  HttpState state{.api = api, .scheduler = scheduler, .options = options};
  asio::io_context io(1); // ends before what its connections refer to
  tcp::endpoint endpoint = resolve(io, options.host, options.port);
  tcp::acceptor acceptor = listenAt(io, endpoint);
  state.origins.onlyLocalHosts =
      endpoint.address().is_loopback() && !options.hasKeys;
  state.origins.allowed = options.allowedOrigins;

  asio::signal_set signals(io, SIGINT, SIGTERM);
  asio::steady_timer drain(io);
  // Ends io.run() when the last connection is gone.
  state.ended = [&] {
    if (state.draining && state.connections.empty()) {
      drain.cancel();
      signals.cancel();
    }
  };
  signals.async_wait([&](const boost::system::error_code &error, int) {
    if (error)
      return;
    state.draining = true;
    acceptor.close();
    for (Connection *connection : state.connections)
      connection->closeIdle();
    signals.async_wait([&](const boost::system::error_code &again, int) {
      if (!again)
        io.stop();
    });
    drain.expires_after(std::chrono::seconds(options.drainSeconds));
    drain.async_wait([&](const boost::system::error_code &cancelled) {
      if (!cancelled)
        io.stop();
    });
    state.ended();
  });
  asio::co_spawn(io, acceptAll(state, acceptor), asio::detached);

  endpoint = acceptor.local_endpoint();
  std::string address = endpoint.address().to_string();
  if (endpoint.address().is_v6())
    address = "[" + address + "]";
  listening(
      cli::format("http://%s:%u", address.c_str(), unsigned(endpoint.port())),
      endpoint.address().is_loopback());
  io.run();
  state.ended = nullptr;
  state.worker.join();
  scheduler.stop(); // its jobs hold timers of `io`
}

} // namespace qcc::serve
