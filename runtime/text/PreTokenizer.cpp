//===- PreTokenizer.cpp - Splitting text into words for BPE ---------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The patterns are facts: those of the published tokenizer.json files, run by
// PCRE2's interpreter, which keeps its backtracking on the heap. Written
// differently here: \s, because PCRE2 counts U+180E as a space.
//===----------------------------------------------------------------------===//

#include "PreTokenizer.h"

#include "UnicodeAdditions.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>
#include <iterator>
#include <pcre2.h>

namespace qcc::text {

// Inside of a character class: White_Space.
#define WS "\\t-\\r\\x{85}\\p{Z}"
// Runs of spaces; the last space before a word belongs to the word.
#define SPACES "[" WS "]+(?![^" WS "])|[" WS "]+"
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define LOWER "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define PREFIX "[^\\r\\n\\p{L}\\p{N}]?"
#define NEWLINES "[" WS "]*[\\r\\n]+"

#define GPT2                                                                   \
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+"       \
  "|" SPACES
// Llama 3 and its relatives differ in how digits are grouped.
#define LLAMA3(digits)                                                         \
  CONTRACTIONS "|" PREFIX "\\p{L}+|" digits "| ?[^" WS                         \
               "\\p{L}\\p{N}]+[\\r\\n]*|" NEWLINES "|" SPACES
#define CASED(suffix, digits)                                                  \
  PREFIX "[" UPPER "]*[" LOWER "]+" suffix "|" PREFIX "[" UPPER "]+[" LOWER    \
         "]*" suffix "|" digits "| ?[^" WS                                     \
         "\\p{L}\\p{N}]+[\\r\\n/]*|" NEWLINES "|" SPACES
// What a Digits step isolates: numbers of Unicode 17.
#define DIGIT "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]"
#define BLOOM                                                                  \
  " ?[^(" WS "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}"       \
  "\\x{60C})]+"
#define ASCII_PUNCTUATION "!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~"

namespace {
struct Kind {
  const char *names; ///< space before and after each
  const char *stages[5];
  bool ignoreMerges, addBos;
};
} // namespace

// An image keeps the index: append only.
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
     {CONTRACTIONS "|" PREFIX "[\\p{L}\\p{M}]+|\\p{N}| ?[^" WS
                   "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" NEWLINES "|" SPACES},
     false,
     false},
    {" gpt-4o llama4 kanana2 talkie minimax-m2 ",
     {CASED(CONTRACTIONS "?", "\\p{N}{1,3}")},
     false,
     false},
    {" tekken ", {CASED("", "\\p{N}")}, true, true},
    {" deepseek-v3 hunyuan-dense joyai-llm hy_v4 ",
     {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{30FF}]+",
      "[" ASCII_PUNCTUATION "][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
      "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" NEWLINES "|" SPACES},
     false,
     false},
    {" deepseek-coder ",
     {"[\\r\\n]", "[" WS "]?\\p{L}+", "[" WS "]?\\p{P}+",
      "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", DIGIT},
     false,
     false},
    {" bloom poro-chat gpt3-finnish ", {BLOOM}, false, false},
    {" viking ", {BLOOM, DIGIT}, false, false},
    {" seed-coder ",
     {CONTRACTIONS "|" PREFIX "\\p{L}+|\\p{N}| ?[^" WS
                   "\\p{L}\\p{N}\\r\\n]+|" NEWLINES "|" SPACES},
     false,
     false},
    {" bailingmoe bailingmoe2 llada-moe ",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^" WS
      "\\p{L}\\p{N}]++[\\r\\n]*|[" WS "]*[\\r\\n]|" SPACES},
     false,
     false},
    {" minicpm5 ", {"\\p{N}{1,3}", LLAMA3("\\p{N}+")}, true, false},
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
  for (uint32_t i = 0; i < std::size(kinds); ++i)
    if (std::string_view(kinds[i].names).find(key) != std::string_view::npos) {
      kind = {i, kinds[i].ignoreMerges, kinds[i].addBos};
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

struct PreTokenizer::Pattern {
  struct Free {
    void operator()(pcre2_code *code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, Free> code;
};

PreTokenizer::~PreTokenizer() = default;

std::unique_ptr<PreTokenizer> PreTokenizer::create(uint32_t index,
                                                   std::string &error) {
  if (index >= std::size(kinds)) {
    error = "tokenizer image names pre-tokenizer " + std::to_string(index) +
            ", expected less than " + std::to_string(std::size(kinds));
    return nullptr;
  }
  std::unique_ptr<PreTokenizer> result(new PreTokenizer);
  for (const char *stage : kinds[index].stages) {
    if (!stage)
      break;
    int code = 0;
    PCRE2_SIZE offset = 0;
    Pattern pattern;
    pattern.code.reset(pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(stage), PCRE2_ZERO_TERMINATED,
        PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &code, &offset, nullptr));
    if (!pattern.code) {
      error = "cannot compile pre-tokenizer pattern " + std::to_string(index) +
              ": error " + std::to_string(code) + " at " +
              std::to_string(offset);
      return nullptr;
    }
    result->patterns.push_back(std::move(pattern));
  }
  return result;
}

namespace {
/// Match data and limits for one text.
struct Matcher {
  explicit Matcher(size_t bytes)
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)) {
    if (!context)
      return;
    // A run of one class costs each pattern a few steps per character.
    uint64_t steps = 64 * static_cast<uint64_t>(bytes) + 100000;
    pcre2_set_match_limit(
        context, static_cast<uint32_t>(std::min<uint64_t>(steps, UINT32_MAX)));
    pcre2_set_heap_limit(context, 64 * 1024);
  }
  ~Matcher() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  Matcher(const Matcher &) = delete;
  Matcher &operator=(const Matcher &) = delete;

  pcre2_match_data *data;
  pcre2_match_context *context;
};
} // namespace

bool PreTokenizer::split(std::string_view text, std::vector<size_t> &ends,
                         std::string &error) const {
  if (text.empty())
    return true;
  std::string storage;
  std::string_view subject = replaceUnicodeAdditions(text, storage);
  Matcher matcher(subject.size());
  if (!matcher.data || !matcher.context) {
    error = "out of memory";
    return false;
  }
  std::vector<size_t> from, to{subject.size()};
  for (const Pattern &pattern : patterns) {
    from.swap(to);
    to.clear();
    size_t begin = 0;
    for (size_t end : from) {
      // A piece is matched for itself: lookahead ends where the piece does.
      PCRE2_SPTR piece = reinterpret_cast<PCRE2_SPTR>(subject.data()) + begin;
      size_t size = end - begin, at = 0;
      while (at < size) {
        int found = pcre2_match(pattern.code.get(), piece, size, at,
                                PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY,
                                matcher.data, matcher.context);
        if (found == PCRE2_ERROR_NOMATCH)
          break;
        if (found < 0) {
          error = "pre-tokenizer stopped at byte " +
                  std::to_string(begin + at) + " of " +
                  std::to_string(subject.size()) + ": PCRE2 error " +
                  std::to_string(found);
          return false;
        }
        const PCRE2_SIZE *match = pcre2_get_ovector_pointer(matcher.data);
        if (match[0] > at)
          to.push_back(begin + match[0]);
        to.push_back(begin + match[1]);
        at = match[1];
      }
      if (at < size)
        to.push_back(end);
      begin = end;
    }
  }
  ends.insert(ends.end(), to.begin(), to.end());
  return true;
}

} // namespace qcc::text
