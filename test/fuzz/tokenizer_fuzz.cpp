//===- tokenizer_fuzz.cpp - Fuzzes what reads a folder's tokenizer --------===//
// SPDX-License-Identifier: Apache-2.0
//
// The input is a tokenizer.json if it begins with a brace, else a
// tokenizer.model. What is accepted becomes an image, which is used.
//===----------------------------------------------------------------------===//

#include "qcc/Checkpoint/HuggingFace.h"
#include "qcc/Text/TextParts.h"
#include "text/Tokenizer.h"
#include "text/Utf8.h"

using namespace qcc;

static std::span<const uint8_t> bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

static void use(const text::Tokenizer &tokenizer) {
  static constexpr std::string_view texts[] = {
      "Hello, World's  <s> 12345 \n\n\t a\xCC\x81\xE1\x84\x80\xE1\x85\xA1!",
      "\xE2\x96\x81\xE5\x8C\x97\xE4\xBA\xAC \xF0\x9F\x99\x82 \xFF</s>",
      "  aaaaaaaaaaaaaaaaaaaaaaaa bbb "};
  for (std::string_view text : texts) {
    std::vector<int32_t> ids;
    std::string error, out;
    if (!tokenizer.tokenize(text, true, true, ids, error) && error.empty())
      __builtin_trap();
    for (int32_t id : ids)
      if (id < 0 || uint32_t(id) >= tokenizer.vocabSize())
        __builtin_trap();
    tokenizer.detokenize(ids, false);
    text::StreamDecoder decoder(tokenizer, true, true);
    for (int32_t id : ids)
      decoder.push(id, out);
    decoder.finish(out);
    if (!text::isValidUtf8(out))
      __builtin_trap();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string header =
      R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  static const std::string weights = std::string(1, char(header.size())) +
                                     std::string(7, '\0') + header +
                                     std::string(4, '\0');
  bool isJson = size > 0 && data[0] == '{';
  std::vector<FolderFile> files = {
      {"config.json", bytesOf(R"({"model_type":"llama"})")},
      {"model.safetensors", bytesOf(weights)},
      {isJson ? "tokenizer.json" : "tokenizer.model", {data, size}},
      {"tokenizer_config.json", bytesOf(R"({"chat_template":"{{ x }}"})")}};
  Result<Checkpoint> checkpoint = parseHuggingFace(files);
  if (!checkpoint)
    return 0;
  Result<StringArray> tokens =
      checkpoint->get<StringArray>("tokenizer.ggml.tokens");
  Result<TextParts> parts =
      readTextParts(*checkpoint, tokens ? tokens->size() : 0);
  if (!parts && parts.message().empty())
    __builtin_trap();
  if (!parts || parts->image.empty())
    return 0;
  std::string error;
  std::unique_ptr<text::Tokenizer> tokenizer =
      text::Tokenizer::open(parts->image.data(), parts->image.size(), error);
  if (!tokenizer) // what qcc makes opens
    __builtin_trap();
  use(*tokenizer);
  return 0;
}

/// Makes the tables of Unicode, which takes a while, before any input is timed.
extern "C" int LLVMFuzzerInitialize(int *, char ***) {
  static constexpr std::string_view all = R"({"model": {"type": "BPE",
    "vocab": {"a": 0}, "merges": []}, "normalizer": {"type": "Sequence",
    "normalizers": [{"type": "NFKC"}, {"type": "NFD"}, {"type": "Nmt"},
                    {"type": "StripAccents"}, {"type": "BertNormalizer"}]}})";
  return LLVMFuzzerTestOneInput(bytesOf(all).data(), all.size());
}
