//===- Text.h - The model's tokenizer and chat template ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The only part of the core that meets code with containers: runtime/text uses
// the standard library, whose allocations may throw. Text.cpp catches that, so
// that running out of memory is a status here too.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_TEXT_H
#define QCC_RUNTIME_CORE_TEXT_H

#include "Error.h"

#include "qcc-rt/qcc_abi.h"

namespace qcc::rt {

class Text {
public:
  Text() = default;
  Text(const Text &) = delete;
  Text &operator=(const Text &) = delete;
  ~Text();

  /// A model may have no tokenizer: then what needs one is QCC_E_TOKENIZER.
  qcc_status open(const qcc_bundle_v1 &bundle, uint32_t vocab,
                  ErrorText &error);

  /// As the functions of qcc.h with these names.
  qcc_status tokenize(const char *text, size_t bytes, uint32_t flags,
                      int32_t *tokens, size_t capacity, size_t *count) const;
  qcc_status detokenize(const int32_t *tokens, size_t count, uint32_t flags,
                        char *text, size_t capacity, size_t *bytes) const;
  qcc_status piece(int32_t token, uint32_t flags, char *text, size_t capacity,
                   size_t *bytes) const;
  bool isEnd(int32_t token) const;
  qcc_status renderChat(const qcc_chat_v1 &chat, char *text, size_t capacity,
                        size_t *bytes, ErrorText &error) const;
  int32_t bos() const;
  int32_t eos() const;
  int32_t eot() const;
  bool addsBos() const;

private:
  friend class TextStream;
  struct Parts;
  Parts *parts = nullptr;
};

/// Text of tokens that arrive one by one, in whole UTF-8 characters; empty for
/// a model without a tokenizer.
class TextStream {
public:
  TextStream() = default;
  TextStream(const TextStream &) = delete;
  TextStream &operator=(const TextStream &) = delete;
  ~TextStream();

  /// Forgets what came before. `special`: control tokens give their names.
  qcc_status begin(const Text &text, bool special);

  /// The text that the token makes certain; valid until the next call.
  qcc_status push(int32_t token, const char *&text, size_t &bytes);

  /// What is left at the end: an unfinished character becomes U+FFFD.
  qcc_status finish(const char *&text, size_t &bytes);

private:
  struct Parts;
  Parts *parts = nullptr;
};

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_TEXT_H
