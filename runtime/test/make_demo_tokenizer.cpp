//===- make_demo_tokenizer.cpp - A tokenizer image of 299 tokens ----------===//
// SPDX-License-Identifier: Apache-2.0
//
// Byte-level BPE: 256 bytes, a few merges, control tokens, and unused tokens up
// to the vocabulary. Usage: make_demo_tokenizer HEADER
//===----------------------------------------------------------------------===//

#include "text/TokenizerImage.h"

#include "demo_model.h"

#include <cstdio>

/// The character that stands for a byte in byte-level BPE, in UTF-8: printable
/// Latin-1 stands for itself, the others for U+0100 and on.
static std::string byteSymbol(unsigned byte) {
  auto printable = [](unsigned b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  unsigned code = byte;
  if (!printable(byte)) {
    code = 256;
    for (unsigned b = 0; b < byte; ++b)
      code += !printable(b);
  }
  if (code < 0x80)
    return std::string(1, char(code));
  return {char(0xc0 | code >> 6), char(0x80 | (code & 0x3f))};
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  using namespace qcc::text;
  TokenizerSpec spec;
  spec.model = TokenizerSpec::Model::Bpe;
  spec.pre = "gpt-2";
  for (unsigned byte = 0; byte < 256; ++byte)
    spec.tokens.push_back(byteSymbol(byte));
  const char *pairs[][2] = {{"h", "e"}, {"he", "l"}, {"l", "o"}, {"hel", "lo"}};
  for (auto &[left, right] : pairs) {
    spec.merges.push_back(std::string(left) + " " + right);
    spec.tokens.push_back(std::string(left) + right);
  }
  spec.types.assign(spec.tokens.size(), 1);
  for (const char *name : {"<|im_start|>", "<|im_end|>"}) {
    spec.tokens.push_back(name);
    spec.types.push_back(3);
  }
  spec.bos = int32_t(spec.tokens.size()) - 2;
  spec.eos = spec.bos + 1;
  spec.addBos = false;
  while (spec.tokens.size() < DEMO_VOCAB - 1) {
    spec.tokens.push_back("<unused" + std::to_string(spec.tokens.size()) + ">");
    spec.types.push_back(5);
  }
  std::string error;
  std::vector<uint8_t> image = buildTokenizerImage(spec, error);
  if (image.empty()) {
    fprintf(stderr, "error: %s\n", error.c_str());
    return 1;
  }
  FILE *file = fopen(argv[1], "w");
  if (!file)
    return 1;
  fprintf(file,
          "#define DEMO_TOKENIZER_BYTES %zu\n"
          "static const unsigned char demo_tokenizer[DEMO_TOKENIZER_BYTES]\n"
          "    __attribute__((aligned(64))) = {",
          image.size());
  for (size_t i = 0; i < image.size(); ++i)
    fprintf(file, "%s%u,", i % 20 ? "" : "\n", image[i]);
  fprintf(file, "\n};\n");
  return fclose(file) != 0;
}
