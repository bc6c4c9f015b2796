//===- Graph.h - Launches that are put into a stream at once ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A step is some hundred launches, each of which costs the host microseconds. A
// graph is made of them once and costs one call afterwards.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_GRAPH_H
#define QCC_RUNTIME_DEVICE_GRAPH_H

#include "Stream.h"

namespace qcc::rt::device {

/// One thread at a time uses a Graph. It goes before its Device, and after its
/// launches have finished.
class Graph {
public:
  Graph() = default;
  Graph(const Graph &) = delete;
  Graph &operator=(const Graph &) = delete;
  ~Graph() { release(); }

  /// Whether the driver has graphs.
  static bool canBeUsed(const Device &device) { return device.api().graphs; }

  /// Makes a graph of what `body`, a function that returns a qcc_status, puts
  /// into the stream, which is not run. After a failure the stream is as it was
  /// and there is no graph.
  template <typename Body>
  qcc_status capture(const Stream &stream, ErrorText &error, Body body) {
    release();
    bool begun = false;
    qcc_status status = begin(stream, begun, error);
    if (!begun)
      return status;
    if (status == QCC_OK)
      status = body();
    ErrorText later;
    qcc_status ended = end(stream, status == QCC_OK, status ? later : error);
    return status ? status : ended;
  }

  bool exists() const { return exec != nullptr; }
  qcc_status launch(const Stream &stream, ErrorText &error) const;
  void release();

private:
  qcc_status begin(const Stream &stream, bool &begun, ErrorText &error);
  qcc_status end(const Stream &stream, bool keep, ErrorText &error);

  const Device *owner = nullptr;
  GraphExecHandle exec = nullptr;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_GRAPH_H
