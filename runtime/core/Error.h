//===- Error.h - Error text without allocation ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_ERROR_H
#define QCC_RUNTIME_CORE_ERROR_H

#include "qcc-rt/qcc.h"

#include <cstdarg>
#include <cstdio>

namespace qcc::rt {

/// One line of error text, kept where the caller of the API can read it.
class ErrorText {
public:
  /// Stores the text and returns `status`, so that a failure is one statement.
  __attribute__((format(printf, 3, 4))) qcc_status set(qcc_status status,
                                                       const char *format,
                                                       ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return status;
  }

  void clear() { text[0] = '\0'; }
  const char *get() const { return text; }

  /// Copies the text into a caller's buffer, which may be absent.
  void copyTo(char *buffer, size_t bytes) const {
    if (buffer && bytes)
      snprintf(buffer, bytes, "%s", text);
  }

private:
  char text[QCC_ERROR_BYTES] = "";
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_ERROR_H
