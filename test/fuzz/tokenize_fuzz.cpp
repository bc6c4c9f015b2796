//===- tokenize_fuzz.cpp - Any text through each kind of tokenizer --------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "text/Tokenizer.h"
#include "text/Utf8.h"

#include <cstdlib>

using namespace qcc::text;

namespace {
struct Built {
  explicit Built(TokenizerSpec spec) {
    std::string error;
    image = buildTokenizerImage(spec, error);
    tokenizer = Tokenizer::open(image.data(), image.size(), error);
    if (!tokenizer)
      std::abort();
  }
  std::vector<uint8_t> image;
  std::unique_ptr<Tokenizer> tokenizer;
};
} // namespace

static TokenizerSpec spmSpec() {
  TokenizerSpec spec;
  spec.model = TokenizerSpec::Model::Spm;
  spec.tokens = {"<unk>", "<s>", "a", "b", "ab", "\xE2\x96\x81", "\n\n"};
  spec.types = {2, 3, 1, 1, 5, 1, 4};
  spec.unk = 0;
  static const char hex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    spec.tokens.push_back(std::string("<0x") + hex[byte >> 4] + hex[byte & 15] +
                          ">");
    spec.types.push_back(6);
  }
  spec.scores.assign(spec.tokens.size(), -1);
  return spec;
}

static TokenizerSpec bpeSpec(const char *pre) {
  TokenizerSpec spec;
  spec.pre = pre;
  for (char c = '!'; c <= '~'; ++c)
    spec.tokens.push_back(std::string(1, c));
  spec.types.assign(spec.tokens.size(), 1);
  spec.tokens.insert(spec.tokens.end(), {"ab", "<x>", "\xC4\xA0"});
  spec.types.insert(spec.types.end(), {1, 4, 1});
  spec.merges = {"a b"};
  return spec;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const Built tokenizers[] = {
      Built(spmSpec()),          Built(bpeSpec("gpt-2")),
      Built(bpeSpec("smollm")),  Built(bpeSpec("llama-bpe")),
      Built(bpeSpec("qwen2")),   Built(bpeSpec("gpt-4o")),
      Built(bpeSpec("tekken")),  Built(bpeSpec("deepseek-v3")),
      Built(bpeSpec("default")), Built(bpeSpec("deepseek-coder")),
      Built(bpeSpec("viking")),  Built(bpeSpec("bailingmoe"))};
  if (size == 0)
    return 0;
  const Tokenizer &tokenizer =
      *tokenizers[data[0] % std::size(tokenizers)].tokenizer;
  std::string_view text(reinterpret_cast<const char *>(data + 1), size - 1);
  std::vector<int32_t> ids;
  std::string error, out;
  if (!tokenizer.tokenize(text, true, data[0] & 128, ids, error))
    std::abort(); // no text is refused
  StreamDecoder decoder(tokenizer, true);
  for (int32_t id : ids)
    decoder.push(id, out);
  decoder.finish(out);
  if (!isValidUtf8(out))
    std::abort();
  return 0;
}
