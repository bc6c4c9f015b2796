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
// Letters with case, as many as had been counted when the pattern was made.
#define DEEPSEEK_LLM_LETTERS                                                   \
  "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}"                \
  "\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}"       \
  "\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}"         \
  "\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}"                \
  "\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}"   \
  "\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"                  \
  "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}"                  \
  "\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}"                  \
  "\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}"          \
  "\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}"         \
  "\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}"                  \
  "\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}"                  \
  "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}"          \
  "\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}\\x{212A}-\\x{212D}"          \
  "\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}"         \
  "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"          \
  "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}"                   \
  "\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}"                  \
  "\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}"                  \
  "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}"                  \
  "\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}"            \
  "\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}"            \
  "\\x{1E900}-\\x{1E943}"
#define DEEPSEEK_LLM_SIGNS                                                     \
  "!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}"            \
  "\\x{3000}-\\x{3002}"
// Han and Hangul, and all that lies before Han.
#define DEEPSEEK_ASIAN                                                         \
  "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"

// Scripts written without spaces, or with few. The range from U+8C48 is as
// llama.cpp has it; U+F900, compatibility ideographs, may have been meant.
#define AFMOE_ASIAN                                                            \
  "[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{8C48}-\\x{FAFF}"                 \
  "\\x{3040}-\\x{30FF}\\x{FF65}-\\x{FF9F}\\x{2F00}-\\x{2FDF}"                  \
  "\\x{E40}-\\x{E7F}\\x{E80}-\\x{EFF}\\x{1780}-\\x{17FF}"                      \
  "\\x{1000}-\\x{109F}\\x{AA60}-\\x{AA7F}\\x{A9E0}-\\x{A9FF}"                  \
  "\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+"

namespace {
struct Stage {
  constexpr Stage(const char *pattern = nullptr, uint32_t flags = 0)
      : pattern(pattern), flags(flags) {}
  const char *pattern;
  uint32_t flags; ///< OldUnicode where code points are listed one by one
};
struct Kind {
  const char *names; ///< space before and after each
  Stage stages[6];
  bool ignoreMerges, addBos, marksSpaces = false;
};
} // namespace

static constexpr Kind kinds[] = {
    {" gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 "
     "mellum modern-bert mpt olmo jais trillion granite-docling exaone4 "
     "jina-v1-en jina-v2-code roberta-bpe ",
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
    // Numbers in threes from the right.
    {" afmoe ",
     {"\\p{N}+",
      "\\A\\p{N}{1,2}(?=(?:\\p{N}{3})*\\z)|\\p{N}{3}",
      {AFMOE_ASIAN, OldUnicode},
      DEEPSEEK("[\\r\\n]*|" NEWLINES)},
     false,
     false},
    {" superbpe ", {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}, false, false},
    {" deepseek-coder ",
     {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_ASIAN, DIGIT},
     false,
     false},
    {" deepseek-llm ",
     {"[\\r\\n]",
      {"\\s?[" DEEPSEEK_LLM_LETTERS "]+", OldUnicode},
      {"\\s?[" DEEPSEEK_LLM_SIGNS "]+", OldUnicode},
      "\\s+$",
      DEEPSEEK_ASIAN,
      "\\p{N}+"},
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
    {" gemma4 granite-embed-multi-311m sarvam-moe ",
     {"[^\\n]+|\\n+"},
     false,
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
    kind = {{}, known.ignoreMerges, known.addBos, known.marksSpaces};
    std::string error; // a test translates them all
    for (const Stage &stage : known.stages)
      if (stage.pattern)
        kind.steps.push_back({StepKind::Split, stage.flags,
                              translatePattern(stage.pattern, error), ""});
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
