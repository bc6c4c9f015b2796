//===- tokenizer_image_fuzz.cpp - Any bytes as a tokenizer image ----------===//
// SPDX-License-Identifier: Apache-2.0
//
// The input is laid over a good image from its header on, so that most inputs
// get past the first checks; what opens is used.
//===----------------------------------------------------------------------===//

#include "text/Tokenizer.h"

#include <algorithm>
#include <cstring>

using namespace qcc::text;

static std::vector<uint8_t> goodImage(bool spm) {
  TokenizerSpec spec;
  spec.model = spm ? TokenizerSpec::Model::Spm : TokenizerSpec::Model::Bpe;
  spec.pre = "llama-bpe";
  spec.tokens = {"<s>", "a", "b", "ab", "<x>"};
  spec.types = {3, 1, 1, 1, 4};
  spec.scores = {0, -3, -2, -1, 0};
  spec.merges = {"a b"};
  spec.bos = 0;
  std::string error;
  return buildTokenizerImage(spec, error);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::vector<uint8_t> good[] = {goodImage(false),
                                              goodImage(true)};
  if (size < 3)
    return 0;
  std::vector<uint8_t> image = good[data[0] & 1];
  size_t at = (data[1] | size_t(data[2]) << 8) % image.size();
  std::memcpy(image.data() + at, data + 3,
              std::min(size - 3, image.size() - at));
  std::string error;
  auto tokenizer = Tokenizer::open(image.data(), image.size(), error);
  if (!tokenizer)
    return 0;
  std::vector<int32_t> ids;
  tokenizer->tokenize("abab <x><s> \xE2\x96\x81\xFF", true, true, ids, error);
  tokenizer->detokenize(ids, true);
  std::string text;
  StreamDecoder decoder(*tokenizer, true, true);
  for (int32_t id : ids)
    decoder.push(id, text);
  decoder.finish(text);
  return 0;
}
