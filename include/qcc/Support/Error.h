//===- Error.h - Errors as values for code without exceptions ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// Readers of untrusted files report failure by returning, never by throwing,
// printing or ending the process. A message is one line, "file: what: expected
// X, got Y", in lower case and without a final period.
//===----------------------------------------------------------------------===//

#ifndef QCC_SUPPORT_ERROR_H
#define QCC_SUPPORT_ERROR_H

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace qcc {

/// Why something failed. A default-constructed Error means success, so that a
/// function with nothing else to return can return one:
///
///   if (Error error = check(x))
///     return error;
class [[nodiscard]] Error {
public:
  Error() = default;
  explicit Error(std::string message) : text(std::move(message)) {}

  /// True on failure.
  explicit operator bool() const { return text.has_value(); }
  /// The message; only on failure.
  const std::string &message() const { return *text; }

private:
  std::optional<std::string> text;
};

/// A T or an Error.
///
///   Result<Checkpoint> checkpoint = openCheckpoint(path);
///   if (!checkpoint)
///     return checkpoint.takeError();
///   use(*checkpoint);
template <typename T>
class [[nodiscard]] Result {
public:
  Result(T value) : state(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state(std::in_place_index<1>, std::move(error)) {
    assert(std::get_if<1>(&state)->operator bool() && "a failure needs a text");
  }

  /// True on success.
  explicit operator bool() const { return state.index() == 0; }

  T &operator*() { return *std::get_if<0>(&state); }
  const T &operator*() const { return *std::get_if<0>(&state); }
  T *operator->() { return std::get_if<0>(&state); }
  const T *operator->() const { return std::get_if<0>(&state); }

  /// The message; only on failure.
  const std::string &message() const {
    return std::get_if<1>(&state)->message();
  }
  /// Moves the error out, to return it from a function with another T.
  Error takeError() { return std::move(*std::get_if<1>(&state)); }

private:
  std::variant<T, Error> state;
};

/// `text` in single quotes for a message: bytes that are not printable ASCII
/// become \xNN (valid UTF-8 is kept), and what is longer than 80 bytes is cut.
std::string quoted(std::string_view text);
// Better matches than std::quoted, which argument-dependent lookup also finds.
inline std::string quoted(const std::string &text) {
  return quoted(std::string_view(text));
}
inline std::string quoted(std::string &text) {
  return quoted(std::string_view(text));
}
inline std::string quoted(const char *text) {
  return quoted(std::string_view(text));
}

/// "what: expected X, got Y".
Error mismatchError(std::string_view what, std::string_view expected,
                    std::string_view got);

} // namespace qcc

#endif // QCC_SUPPORT_ERROR_H
