//===- HuggingFacePipeline.h - tokenizer.json as steps ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_TEXT_HUGGINGFACEPIPELINE_H
#define QCC_LIB_TEXT_HUGGINGFACEPIPELINE_H

#include "qcc/Checkpoint/JsonMembers.h"
#include "qcc/Support/Error.h"
#include "text/TokenizerImage.h"

namespace qcc {

/// What precedes the model: the steps of a tokenizer.json.
struct HuggingFaceSteps {
  std::vector<text::PipelineStep> steps;
  size_t normalizers = 0;
  /// The model sees bytes, of which no step makes anything else.
  bool isByteLevel = false;
  /// Bytes went through EncodeBytes, since a step follows that sees them.
  bool hasEncodedBytes = false;
  /// Spaces have become U+2581 before the model.
  bool marksSpaces = false;
};

/// Reads the members "normalizer" and "pre_tokenizer". The error names what is
/// not supported.
Result<HuggingFaceSteps> readHuggingFaceSteps(const Json &tokenizer);

/// Reads the member "decoder": what each token of `spec` stands for in an
/// answer, and which space is dropped.
Error readHuggingFaceDecoder(const Json &tokenizer,
                             const HuggingFaceSteps &steps,
                             text::TokenizerSpec &spec);

/// Completes a spec that has the tokens, their types, scores and merges by the
/// rest of a tokenizer.json.
Error readHuggingFaceTokenizer(const Json &tokenizer,
                               text::TokenizerSpec &spec);

/// A flag that is true where it is left out.
bool isTrueOrAbsent(const Json &object, const char *key);
/// The steps of a Sequence, or the one step itself.
std::vector<const Json *> stepsOf(const Json &step, const char *key);
Error unsupported(const std::string &what);
/// `text` with each `from` as `to`.
std::string replaced(std::string text, const std::string &from,
                     const std::string &to);

} // namespace qcc

#endif // QCC_LIB_TEXT_HUGGINGFACEPIPELINE_H
