//===- Graph.cpp - Launches that are put into a stream at once ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Graph.h"

namespace qcc::rt::device {

qcc_status Graph::begin(const Stream &stream, bool &begun, ErrorText &error) {
  owner = stream.device();
  // Of this thread alone: others may allocate memory meanwhile.
  return owner->call(
      "begin a graph", owner->info().name, error, [&](const DriverApi &driver) {
        Result result =
            driver.cuStreamBeginCapture_v2(stream.handle(), captureThreadLocal);
        begun = result == resultSuccess;
        return result;
      });
}

qcc_status Graph::end(const Stream &stream, bool keep, ErrorText &error) {
  bool ended = false;
  auto tryToEnd = [&] {
    return owner->call(
        "make a graph", owner->info().name, error,
        [&](const DriverApi &driver) {
          ended = true;
          GraphHandle graph = nullptr;
          Result result = Device::made(
              driver.cuStreamEndCapture(stream.handle(), &graph), graph);
          if (result == resultSuccess && keep)
            result = Device::made(
                driver.cuGraphInstantiateWithFlags(&exec, graph, 0), exec);
          if (graph)
            driver.cuGraphDestroy(graph);
          return result;
        });
  };
  // Only a context that was lost refuses twice to become current.
  qcc_status status = tryToEnd();
  return ended ? status : tryToEnd();
}

qcc_status Graph::launch(const Stream &stream, ErrorText &error) const {
  return owner->call("launch a graph", owner->info().name, error,
                     [&](const DriverApi &driver) {
                       return driver.cuGraphLaunch(exec, stream.handle());
                     });
}

void Graph::release() {
  if (exec)
    owner->release([&](const DriverApi &driver) {
      return driver.cuGraphExecDestroy(exec);
    });
  exec = nullptr;
}

} // namespace qcc::rt::device
