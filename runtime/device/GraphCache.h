//===- GraphCache.h - Graphs of the steps that come often -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_DEVICE_GRAPHCACHE_H
#define QCC_RUNTIME_DEVICE_GRAPHCACHE_H

#include "Graph.h"

namespace qcc::rt::device {

/// A graph for each kind of step. Making one costs more than it saves once, so
/// a step gets one when it comes a second time; the kind that was not seen for
/// the longest time gives way. One thread at a time; goes after the stream.
class GraphCache {
public:
  /// Steps of one kind have the same launches.
  struct Key {
    const void *program = nullptr;
    uint32_t rows = 0, outputs = 0;
    bool operator==(const Key &) const = default;
  };

  /// The graph of such a step, if it is to have one; `launchAll` puts its
  /// launches into the stream and returns a qcc_status. Where graphs fail,
  /// launches without them say what is wrong, so none are made any more.
  template <typename Body>
  const Graph *find(const Key &key, const Stream &stream, Body launchAll) {
    if (off || !Graph::canBeUsed(*stream.device()))
      return nullptr;
    Entry &entry = look(key);
    if (!entry.seen) {
      entry.seen = true;
      return nullptr;
    }
    ErrorText why;
    if (!entry.graph.exists())
      off = entry.graph.capture(stream, why, [&] { return launchAll(why); }) !=
            QCC_OK;
    return off ? nullptr : &entry.graph;
  }

  /// Whether one could not be made, and then that the next may be.
  bool failed() const { return off; }
  void tryAgain() { off = false; }

private:
  struct Entry {
    Key key;
    bool seen = false;
    uint64_t last = 0; // when it was looked for
    Graph graph;
  };

  /// The kind's entry, or the oldest one made anew.
  Entry &look(const Key &key) {
    Entry *oldest = &entries[0];
    for (Entry &entry : entries) {
      if (entry.key == key) {
        entry.last = ++clock;
        return entry;
      }
      if (entry.last < oldest->last)
        oldest = &entry;
    }
    oldest->graph.release();
    oldest->key = key;
    oldest->seen = false;
    oldest->last = ++clock;
    return *oldest;
  }

  // Generating steps of 1 to 16 rows, and a prompt's with and without logits.
  static constexpr size_t most = 24;
  Entry entries[most];
  uint64_t clock = 0;
  bool off = false;
};

} // namespace qcc::rt::device

#endif // QCC_RUNTIME_DEVICE_GRAPHCACHE_H
