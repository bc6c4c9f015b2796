//===- StopFilter.h - Texts that end an answer ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_STOPFILTER_H
#define QCC_RUNTIME_CORE_STOPFILTER_H

#include "Memory.h"

#include <cstring>

namespace qcc::rt {

/// Finds the first of several texts in a stream and holds back what may be the
/// beginning of one.
class StopFilter {
public:
  bool create(const char *const *texts, size_t count) {
    stops = texts;
    stopCount = count;
    size_t longest = 0;
    for (size_t i = 0; i < count; ++i)
      longest = longest < strlen(texts[i]) ? strlen(texts[i]) : longest;
    // What is held back is shorter than a stop text; what one token adds is
    // taken in pieces.
    return held.allocate(longest + piece);
  }

  /// Takes text; gives what is certain to `emit(text, bytes)`. True if a stop
  /// text was found: everything before it was emitted, the rest is dropped.
  template <typename Emit>
  bool take(const char *text, size_t bytes, const Emit &emit) {
    if (stopCount == 0) {
      emit(text, bytes);
      return false;
    }
    while (bytes) {
      size_t now = bytes < piece ? bytes : piece;
      memcpy(held.data() + length, text, now);
      length += now;
      text += now;
      bytes -= now;
      if (scan(emit))
        return true;
    }
    return false;
  }

  template <typename Emit>
  void finish(const Emit &emit) {
    if (length)
      emit(held.data(), length);
    length = 0;
  }

private:
  static constexpr size_t piece = 256;

  template <typename Emit>
  bool scan(const Emit &emit) {
    size_t keep = length; // from here on a stop text may begin
    for (size_t at = 0; at < length; ++at)
      for (size_t i = 0; i < stopCount; ++i) {
        size_t size = strlen(stops[i]);
        size_t left = length - at;
        if (memcmp(held.data() + at, stops[i], size < left ? size : left))
          continue;
        if (size <= left) {
          // An earlier position that could only begin a longer stop text is
          // text before this one.
          emit(held.data(), at);
          length = 0;
          return true;
        }
        keep = at < keep ? at : keep;
      }
    if (keep)
      emit(held.data(), keep);
    memmove(held.data(), held.data() + keep, length - keep);
    length -= keep;
    return false;
  }

  const char *const *stops = nullptr;
  size_t stopCount = 0;
  size_t length = 0;
  Array<char> held;
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_STOPFILTER_H
