//===- PreTokenizerTable.cpp - What GGUF's pre-tokenizers are -------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The patterns are facts: those of the published tokenizer.json files, in their
// notation, except that one is written so that it takes linear time.
//===----------------------------------------------------------------------===//

#include "PreTokenizerTable.h"

#include "Pattern.h"

#include <iterator>

namespace qcc::text {

// Runs of spaces; the last space before a word belongs to the word.
#define SPACES "\\s+(?!\\S)|\\s+"
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define PREFIX "[^\\r\\n\\p{L}\\p{N}]?"
#define NEWLINES "\\s*[\\r\\n]+"
#define SIGNS " ?[^\\s\\p{L}\\p{N}]+"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|" SIGNS "|" SPACES
// Llama 3 and its relatives differ in how digits and spaces are grouped.
#define WORDS(digits) PREFIX "\\p{L}+|" digits "|" SIGNS "[\\r\\n]*|" NEWLINES
#define LLAMA3(digits) CONTRACTIONS "|" WORDS(digits) "|" SPACES
#define CASED_AS(upper, lower, suffix, digits, signs)                          \
  PREFIX upper "*" lower "+" suffix "|" PREFIX upper "+" lower "*" suffix      \
               "|" digits "|" SIGNS signs "|" NEWLINES "|" SPACES
#define CASED(suffix, digits)                                                  \
  CASED_AS(UPPER, LOWER, suffix, digits, "[\\r\\n/]*")
#define NO_HAN(letters) "(?:(?!\\p{Han})" letters ")"
// What a Digits step isolates: numbers of Unicode 17.
#define DIGIT "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]"
#define BLOOM                                                                  \
  " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})" \
  "]+"
#define ASCII_PUNCTUATION "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define CJK "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{30FF}]+"
#define DEEPSEEK(newlines)                                                     \
  ASCII_PUNCTUATION "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"   \
                    " ?[\\p{P}\\p{S}]+" newlines "|" SPACES

namespace {
struct Kind {
  const char *names; ///< space before and after each
  const char *stages[6];
  bool ignoreMerges, addBos;
};
} // namespace

static constexpr Kind kinds[] = {
    {" gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 "
     "mellum modern-bert mpt olmo jais trillion granite-docling exaone4 ",
     {GPT2},
     false,
     false},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b mellum2 ",
     {DIGIT, GPT2},
     false,
     false},
    {" llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 "
     "jina-v5-nano ",
     {LLAMA3("\\p{N}{1,3}")},
     true,
     true},
    {" dbrx smaug-bpe chatglm-bpe ", {LLAMA3("\\p{N}{1,3}")}, false, false},
    {" glm4 glm5 ", {LLAMA3("\\p{N}{1,3}")}, true, false},
    {" qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 megrez hunyuan "
     "solar-open grok-2 ",
     {LLAMA3("\\p{N}")},
     false,
     false},
    {" qwen35 ",
     {CONTRACTIONS "|" PREFIX "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}"
                   "\\p{N}]+[\\r\\n]*|" NEWLINES "|" SPACES},
     false,
     false},
    {" ufakzeka ", {WORDS("\\p{N}") "|" SPACES}, false, false},
    {" laguna ", {"[^\\n]+|[\\n]+", LLAMA3("\\p{N}")}, false, false},
    {" jais-2 ",
     {CONTRACTIONS "|" WORDS("\\p{N}{1,3}") "|\\s{512}(?!\\S)|\\s{256}(?!\\S)|"
                                            "\\s{128}(?!\\S)|\\s{64}(?!\\S)|"
                                            "\\s{32}(?!\\S)|\\s{16}(?!\\S)|"
                                            "\\s{8}(?!\\S)|\\s{4}(?!\\S)|"
                                            "\\s{1,2}(?!\\S)|\\s{1}"},
     false,
     false},
    {" gpt-4o llama4 kanana2 talkie minimax-m2 ",
     {CASED(CONTRACTIONS "?", "\\p{N}{1,3}")},
     false,
     false},
    {" granite-embed-multi-97m ",
     {CASED(CONTRACTIONS "?", "\\p{N}{1,3}")},
     true,
     false},
    {" tiny_aya cohere2moe ",
     {"\\d{1,3}(?=(?:\\d{3})*\\b)", CASED(CONTRACTIONS "?", "\\p{N}{1,3}")},
     false,
     false},
    {" tekken ", {CASED("", "\\p{N}")}, true, true},
    {" kimi-k2 ",
     {"\\p{Han}+|" CASED_AS(NO_HAN(UPPER), NO_HAN(LOWER), CONTRACTIONS "?",
                            "\\p{N}{1,3}", "[\\r\\n]*")},
     false,
     false},
    {" youtu ",
     {"[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[\\x{FF01}\\x{2026}\\x{201C}"
      "\\x{201D}"
      "\\x{2018}\\x{2019}\\x{2014}\\x{FF1A}\\x{FF1B}\\x{FF0C}\\x{3001}-"
      "\\x{303F}\\x{FE30}-\\x{FE4F}]+|[\\x{3105}-\\x{312F}]+|" CJK,
      CASED(CONTRACTIONS "?", "\\p{N}")},
     true,
     false},
    {" deepseek-v3 hunyuan-dense joyai-llm hy_v4 ",
     {"\\p{N}{1,3}", CJK, DEEPSEEK("[\\r\\n]*|" NEWLINES)},
     false,
     false},
    {" spark2_5 ",
     {"\\p{N}{1,3}", CJK, DEEPSEEK("|[\\r\\n]"), "\\p{N}"},
     false,
     false},
    {" deepseek-coder ",
     {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+",
      "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", DIGIT},
     false,
     false},
    {" bloom poro-chat gpt3-finnish ", {BLOOM}, false, false},
    {" viking ", {BLOOM, DIGIT}, false, false},
    {" seed-coder ",
     {CONTRACTIONS "|" PREFIX
                   "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" NEWLINES
                   "|" SPACES},
     false,
     false},
    {" bailingmoe bailingmoe2 llada-moe ",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}|" SIGNS
      "+[\\r\\n]*|\\s*[\\r\\n]|" SPACES},
     false,
     false},
    {" exaone-moe ",
     {CONTRACTIONS "|" PREFIX
                   "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}|" SIGNS
                   "[\\r\\n/]?|\\s*[\\r\\n]|" SPACES},
     false,
     false},
    {" minicpm5 ", {"\\p{N}{1,3}", LLAMA3("\\p{N}+")}, true, false},
    {" falcon ",
     {"[\\p{P}$+<=>\\^~|`]+", GPT2, "[0-9][0-9][0-9]"},
     false,
     false},
    {" chameleon ",
     {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  ", "\\p{N}",
      "[\\p{P}!-/:-@\\[-`{-~]", GPT2},
     false,
     true},
    // What llama.cpp does for a file that names no pre-tokenizer.
    {" default ",
     {"[\\p{P}$+<=>\\^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"},
     false,
     false},
};

bool findPreTokenizer(std::string_view name, PreTokenizerKind &kind) {
  if (name.empty() || name.find(' ') != std::string_view::npos)
    return false;
  std::string key = " " + std::string(name) + " ";
  for (const Kind &known : kinds) {
    if (std::string_view(known.names).find(key) == std::string_view::npos)
      continue;
    kind = {{}, known.ignoreMerges, known.addBos};
    std::string error; // a test translates them all
    for (const char *stage : known.stages)
      if (stage)
        kind.steps.push_back(
            {StepKind::Split, 0, translatePattern(stage, error), ""});
    return true;
  }
  return false;
}

std::string preTokenizerNames() {
  std::string out;
  for (const Kind &kind : kinds)
    for (std::string_view names = kind.names + 1; !names.empty();) {
      size_t end = names.find(' ');
      if (!out.empty())
        out += ", ";
      out.append(names, 0, end);
      names.remove_prefix(end + 1);
    }
  return out;
}

} // namespace qcc::text
