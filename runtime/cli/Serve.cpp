//===- Serve.cpp - The model as a server ----------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Program.h"

#include "serve/Fields.h"
#include "serve/Http.h"

#include <algorithm>
#include <unistd.h>

namespace qcc::cli {

/// One key in each line.
static std::vector<std::string> readKeys(const std::string &path) {
  std::vector<std::string> keys;
  std::string text = readFile(path);
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string key = text.substr(at, end - at);
    at = end + 1;
    while (!key.empty() && (key.back() == '\r' || key.back() == ' '))
      key.pop_back();
    if (!key.empty())
      keys.push_back(std::move(key));
  }
  if (keys.empty())
    throw Failure{path + " has no API key: expected one in each line"};
  return keys;
}

/// Says so if the conversations cannot all be long at once: running out of
/// memory would end the server.
static void warnOfMemory(const Program &program,
                         const serve::Scheduler &scheduler) {
  double most = double(scheduler.parallel()) * scheduler.context() *
                double(program.info().kv_bytes_per_token);
  qcc_model_info_v1 info = program.currentInfo();
  double memory = info.device ? double(info.device_free_bytes)
                              : double(sysconf(_SC_PHYS_PAGES)) *
                                    double(sysconf(_SC_PAGESIZE));
  if (memory > 0 && most > memory)
    note("note: %u conversations of %u tokens would take %.1f GB, and %s has "
         "%.1f GB%s; lower --ctx or --parallel",
         scheduler.parallel(), scheduler.context(), most / 1e9,
         info.device ? info.device : "this machine", memory / 1e9,
         info.device ? " free" : "");
}

int runServe(Program &program, const Options &options) {
  const ServeOptions &serve = options.serve;
  serve::SchedulerOptions scheduling;
  scheduling.threads = options.threads;
  scheduling.context = options.context;
  scheduling.batch = options.batch;
  scheduling.parallel = serve.parallel;
  scheduling.queue = serve.queue;

  serve::ApiOptions api;
  api.model = serve.alias.empty() ? program.info().name : serve.alias;
  if (!serve.apiKeyFile.empty())
    api.keys = readKeys(serve.apiKeyFile);
  api.timeout = serve.timeout;
  api.chatVariables = options.chatVariables;
  if (!api.chatVariables.empty()) {
    try {
      serve::parseObject(api.chatVariables);
    } catch (const serve::RequestError &error) {
      throw Failure{"--chat-variables: " + error.message, 2};
    }
  }

  serve::HttpOptions http;
  http.host = serve.host;
  http.port = serve.port;
  http.maxBodyBytes = uint64_t(serve.maxBodyMegabytes) << 20;
  http.allowedOrigins = serve.allowedOrigins;
  http.hasKeys = !api.keys.empty();
  http.drainSeconds = serve.drain;
  http.logRequests = options.verbose;

  serve::Scheduler scheduler(program.model(), scheduling);
  program.noteUnusedDevice();
  warnOfMemory(program, scheduler);
  serve::Api interface(program, scheduler, api);
  auto listening = [&](const std::string &url, bool onlyLocal) {
    note("%s at %s/v1 (context %u, up to %u answers at once)",
         api.model.c_str(), url.c_str(), scheduler.context(),
         scheduler.parallel());
    if (!onlyLocal && !http.hasKeys)
      note("warning: who reaches this address may use the model: without "
           "--api-key-file, nobody is asked for a key");
  };
  serve::serveHttp(interface, scheduler, http, listening);
  return 0;
}

} // namespace qcc::cli
