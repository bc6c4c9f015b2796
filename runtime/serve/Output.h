//===- Output.h - The text of one answer ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_SERVE_OUTPUT_H
#define QCC_RUNTIME_SERVE_OUTPUT_H

#include "Job.h"

#include "core/StopFilter.h"
#include "text/Utf8.h"

#include <string_view>

namespace qcc::serve {

/// Gathers tokens until their text is certain: bytes of an unfinished character
/// and text that may become a stop text are held back.
class Output {
public:
  /// `stop` must outlive this. Throws std::bad_alloc.
  explicit Output(const std::vector<std::string> &stop);

  /// Adds a token with its bytes. True if a stop text was found.
  bool push(std::string_view bytes, TokenScore *score);

  /// Adds what was held back; nothing may be added after it.
  bool finish();

  bool hasText() const { return !ready.empty(); }

  /// The text that became certain since the last call, with the scores of its
  /// tokens.
  Delta take();

private:
  bool filter(const std::string &text);

  std::vector<const char *> stops;
  rt::StopFilter stopFilter;
  text::Utf8Stream characters;
  std::string ready;
  std::vector<TokenScore> scores;
};

/// Scores of a token among `vocab` logits, with the `top` likeliest beside it.
TokenScore scoreToken(const float *logits, size_t vocab, int32_t token,
                      size_t top);

} // namespace qcc::serve

#endif // QCC_RUNTIME_SERVE_OUTPUT_H
