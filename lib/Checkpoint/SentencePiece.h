//===- SentencePiece.h - tokenizer.model ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A protobuf message. Of its many fields thirteen are of use here, so that a
// reader of the wire format is smaller than what protobuf would bring.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_SENTENCEPIECE_H
#define QCC_LIB_CHECKPOINT_SENTENCEPIECE_H

#include "qcc/Support/Error.h"
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace qcc {

struct SentencePieceModel {
  struct Piece {
    std::string_view text; ///< A view of the file.
    float score = 0;
    int32_t type = 1; ///< Numbered as in GGUF.
  };
  std::vector<Piece> pieces;
  bool isUnigram = true; ///< Else BPE.
  bool addsSpacePrefix = true;
  bool removesExtraSpaces = true;
  std::string_view charsmap; ///< precompiled_charsmap, may be empty.
  int64_t unknown = 0, bos = 1, eos = 2, pad = -1;
};

/// Reads a tokenizer.model that lives as long as the result. Fails, with what
/// was expected at which byte, on what is no such message, on more than
/// `maxPieces` pieces, and on models other than BPE and Unigram.
Result<SentencePieceModel> readSentencePiece(std::span<const uint8_t> bytes,
                                             size_t maxPieces);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_SENTENCEPIECE_H
