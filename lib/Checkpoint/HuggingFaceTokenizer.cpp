//===- HuggingFaceTokenizer.cpp - tokenizer.json as metadata --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "HuggingFaceTokenizer.h"
#include <map>
#include <set>

using namespace qcc;

namespace {

/// Far above any known vocabulary.
constexpr size_t kMaxTokens = size_t(1) << 22;

// Numbered as in GGUF.
enum TokenType : int32_t {
  Normal = 1,
  Control = 3,
  UserDefined = 4,
  Unused = 5
};

/// A split that the runtime knows under the name `pre`.
struct KnownSplit {
  const char *pre;
  bool ignoreMerges; ///< A word that is a token as it stands is not merged.
  bool isDigits;     ///< Digits one by one, before the rest.
  /// Of a Split before ByteLevel; empty: ByteLevel splits itself, as GPT-2 did.
  std::string_view pattern;
};

#define LLAMA3(digits)                                                         \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits         \
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

constexpr KnownSplit kSplits[] = {
    {"gpt-2", false, false, ""},
    {"smollm", false, true, ""},
    {"llama-bpe", true, false, LLAMA3("\\p{N}{1,3}")},
    {"dbrx", false, false, LLAMA3("\\p{N}{1,3}")},
    {"qwen2", false, false, LLAMA3("\\p{N}")},
};

/// A member of an object, or null.
const Json *member(const Json &object, const char *key) {
  if (!object.is_object())
    return nullptr;
  auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string_view textOf(const Json *value) {
  return value && value->is_string()
             ? std::string_view(value->get_ref<const std::string &>())
             : std::string_view();
}

bool isTrue(const Json &object, const char *key) {
  const Json *value = member(object, key);
  return value && *value == Json(true);
}

/// A text that is there and not empty.
bool isText(const Json &object, const char *key) {
  return !textOf(member(object, key)).empty();
}

/// The steps of a Sequence, or the one step itself.
std::vector<const Json *> steps(const Json &step, const char *key) {
  std::vector<const Json *> result;
  const Json *list = member(step, key);
  if (textOf(member(step, "type")) != "Sequence" || !list || !list->is_array())
    return {&step};
  for (const Json &element : *list)
    result.push_back(&element);
  return result;
}

class TokenizerReader {
public:
  TokenizerReader(const std::string &where, const TokenizerFiles &files)
      : where(where), files(files), tokenizer(files.tokenizer) {}

  Error read(TextPool &texts, std::vector<MetadataEntry> &out) {
    if (!readModel() || !readAddedTokens() || !checkNormalizer() ||
        !findSplit() || !readSpecialTokens() || !readPostProcessor() ||
        !fillHoles())
      return std::move(error);
    append(texts, out);
    return Error();
  }

private:
  bool fail(const std::string &message) {
    error = Error(where + ": " + message);
    return false;
  }
  bool unsupported(const std::string &what) {
    return fail(what + " is not supported yet");
  }

  bool setToken(const std::string &text, const Json &id, int32_t type) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= kMaxTokens)
      return fail("token " + quoted(text) + ": expected an id below " +
                  std::to_string(kMaxTokens));
    size_t index = id.get<size_t>();
    auto [it, isNew] = ids.emplace(text, index);
    if (it->second != index)
      return fail("token " + quoted(text) + " has two ids");
    if (index >= tokens.size()) {
      tokens.resize(index + 1);
      types.resize(index + 1, Unused);
    }
    if (isNew && types[index] != Unused)
      return fail("id " + std::to_string(index) + " is that of two tokens");
    tokens[index] = text;
    types[index] = type;
    return true;
  }

  bool readModel() {
    const Json *model = member(tokenizer, "model");
    const Json *vocab = model ? member(*model, "vocab") : nullptr;
    const Json *list = model ? member(*model, "merges") : nullptr;
    if (!model)
      return fail("key 'model' is missing");
    if (std::string type(textOf(member(*model, "type"))); type != "BPE")
      return unsupported("a tokenizer of type " + quoted(type));
    if (isTrue(*model, "byte_fallback") || member(*model, "dropout") ||
        isText(*model, "continuing_subword_prefix") ||
        isText(*model, "end_of_word_suffix"))
      return unsupported("BPE with byte_fallback, dropout, a prefix or suffix");
    if (!vocab || !vocab->is_object() || !list || !list->is_array())
      return fail("model: expected a vocab and merges");
    ignoreMerges = isTrue(*model, "ignore_merges");
    for (auto it = vocab->begin(); it != vocab->end(); ++it)
      if (!setToken(it.key(), *it, Normal))
        return false;
    for (const Json &merge : *list) {
      bool isPair = merge.is_array() && merge.size() == 2 &&
                    merge[0].is_string() && merge[1].is_string();
      if (!isPair && !merge.is_string())
        return fail("merges: expected texts or pairs of texts");
      merges.push_back(isPair ? std::string(textOf(&merge[0])) + " " +
                                    std::string(textOf(&merge[1]))
                              : std::string(textOf(&merge)));
    }
    return true;
  }

  bool readAddedTokens() {
    const Json *list = member(tokenizer, "added_tokens");
    if (list && !list->is_array())
      return fail("added_tokens: expected an array");
    for (size_t i = 0; list && i < list->size(); ++i) {
      const Json &token = (*list)[i];
      std::string text(textOf(member(token, "content")));
      const Json *id = member(token, "id");
      if (text.empty() || !id)
        return fail("added_tokens: expected objects with content and id");
      for (const char *key : {"lstrip", "rstrip", "single_word"})
        if (isTrue(token, key))
          return unsupported("added token " + quoted(text) + " with " + key);
      if (!setToken(text, *id,
                    isTrue(token, "special") ? Control : UserDefined))
        return false;
    }
    return true;
  }

  bool checkNormalizer() {
    const Json *normalizer = member(tokenizer, "normalizer");
    return !normalizer ||
           unsupported("normalizer " +
                       quoted(textOf(member(*normalizer, "type"))));
  }

  bool findSplit() {
    const Json *pre = member(tokenizer, "pre_tokenizer");
    if (!pre)
      return unsupported("a tokenizer without pre_tokenizer");
    bool isDigits = false, isGPT2 = false, isByteLevel = false;
    std::string pattern;
    for (const Json *step : steps(*pre, "pretokenizers")) {
      std::string_view type = textOf(member(*step, "type"));
      const Json *regex = member(*step, "pattern");
      if (isByteLevel)
        return unsupported("a pre_tokenizer with a step after ByteLevel");
      if (type == "ByteLevel" && !isTrue(*step, "add_prefix_space")) {
        isByteLevel = true;
        // Left out, it is true.
        isGPT2 = !member(*step, "use_regex") || isTrue(*step, "use_regex");
      } else if (type == "Digits" && isTrue(*step, "individual_digits") &&
                 !isDigits && pattern.empty()) {
        isDigits = true;
      } else if (type == "Split" && regex && isText(*regex, "Regex") &&
                 textOf(member(*step, "behavior")) == "Isolated" &&
                 !isTrue(*step, "invert") && pattern.empty()) {
        pattern = textOf(member(*regex, "Regex"));
      } else {
        return unsupported("pre_tokenizer step " + quoted(type) +
                           ", or how it is set,");
      }
    }
    for (const KnownSplit &known : kSplits)
      if (isByteLevel && isGPT2 == known.pattern.empty() &&
          pattern == known.pattern && isDigits == known.isDigits &&
          ignoreMerges == known.ignoreMerges) {
        preName = known.pre;
        return true;
      }
    return unsupported("a pre_tokenizer that splits at " + quoted(pattern) +
                       (ignoreMerges ? " with ignore_merges" : ""));
  }

  /// The id that a config gives by text or by number.
  bool readSpecial(const char *textKey, const char *idKey, int64_t &id) {
    const Json *value = member(files.config, textKey);
    if (value && value->is_object())
      value = member(*value, "content");
    if (std::string text(textOf(value)); !text.empty()) {
      auto it = ids.find(text);
      if (it == ids.end())
        return fail("token " + quoted(text) + " is missing, which is " +
                    textKey + " in tokenizer_config.json");
      id = int64_t(it->second);
      return true;
    }
    value = member(files.model, idKey);
    if (value && value->is_number_unsigned() &&
        value->get<uint64_t>() < kMaxTokens)
      id = value->get<int64_t>();
    return true;
  }

  bool readSpecialTokens() {
    if (!readSpecial("bos_token", "bos_token_id", bos) ||
        !readSpecial("eos_token", "eos_token_id", eos) ||
        !readSpecial("pad_token", "pad_token_id", pad))
      return false;
    // Any source may end an answer.
    for (const Json *source : {&files.generation, &files.model}) {
      const Json *value = member(*source, "eos_token_id");
      Json list = !value || value->is_array() ? Json() : Json::array({*value});
      for (const Json &id : value && value->is_array() ? *value : list)
        if (id.is_number_unsigned() && id.get<uint64_t>() < kMaxTokens)
          stops.insert(id.get<int64_t>());
    }
    return true;
  }

  /// What a TemplateProcessing puts around a text must be bos and eos.
  bool readPostProcessor() {
    const Json *post = member(tokenizer, "post_processor");
    for (const Json *step :
         post ? steps(*post, "processors") : std::vector<const Json *>()) {
      std::string_view type = textOf(member(*step, "type"));
      if (type == "ByteLevel")
        continue;
      const Json *single = member(*step, "single");
      if (type != "TemplateProcessing" || !single || !single->is_array())
        return unsupported("post_processor " + quoted(type));
      bool isAfter = false;
      for (const Json &piece : *single) {
        if (member(piece, "Sequence")) {
          isAfter = true;
          continue;
        }
        const Json *special = member(piece, "SpecialToken");
        auto it = ids.find(special ? std::string(textOf(member(*special, "id")))
                                   : std::string());
        int64_t id = it == ids.end() ? -1 : int64_t(it->second);
        bool &adds = isAfter ? addsEos : addsBos;
        if (id < 0 || id != (isAfter ? eos : bos) || adds)
          return unsupported("a post_processor that adds other tokens than bos "
                             "and eos");
        adds = true;
      }
    }
    return true;
  }

  /// Models round the size of their tables up.
  bool fillHoles() {
    const Json *value = member(files.model, "vocab_size");
    size_t size = tokens.size();
    if (value && value->is_number_unsigned() &&
        value->get<uint64_t>() < kMaxTokens)
      size = value->get<size_t>();
    if (size < tokens.size())
      return fail("expected at most " + std::to_string(size) +
                  " tokens, as the model has, got " +
                  std::to_string(tokens.size()));
    tokens.resize(size);
    types.resize(size, Unused);
    for (size_t i = 0; i < size; ++i)
      if (types[i] == Unused)
        tokens[i] = "[PAD" + std::to_string(i) + "]";
    for (int64_t id : {bos, eos, pad})
      if (id >= int64_t(size))
        return fail("expected ids of special tokens below " +
                    std::to_string(size) + ", got " + std::to_string(id));
    std::erase_if(stops, [&](int64_t id) { return id >= int64_t(size); });
    return true;
  }

  static Value textList(const std::vector<std::string> &list, TextPool &texts) {
    std::vector<std::string_view> views;
    views.reserve(list.size());
    for (const std::string &text : list)
      views.push_back(texts.keep(text));
    return Value::strings(std::move(views));
  }

  void append(TextPool &texts, std::vector<MetadataEntry> &out) {
    auto add = [&](const char *key, Value value) {
      out.push_back({key, std::move(value)});
    };
    auto addId = [&](const char *key, int64_t id) {
      if (id >= 0)
        add(key, Value::number(ValueType::I64,
                               texts.keep(std::vector<int64_t>{id})));
    };
    auto addFlag = [&](const char *key, bool value) {
      add(key, Value::number(ValueType::Bool,
                             texts.keep(std::vector<uint8_t>{value})));
    };
    add("tokenizer.ggml.model", Value::string("gpt2"));
    add("tokenizer.ggml.pre", Value::string(preName));
    add("tokenizer.ggml.tokens", textList(tokens, texts));
    add("tokenizer.ggml.token_type",
        Value::numbers(ValueType::I32, texts.keep(types), types.size()));
    add("tokenizer.ggml.merges", textList(merges, texts));
    addId("tokenizer.ggml.bos_token_id", bos);
    addId("tokenizer.ggml.eos_token_id", eos);
    addId("tokenizer.ggml.padding_token_id", pad);
    if (!stops.empty()) {
      std::vector<int64_t> list(stops.begin(), stops.end());
      add("tokenizer.ggml.eos_token_ids",
          Value::numbers(ValueType::I64, texts.keep(list), list.size()));
    }
    addFlag("tokenizer.ggml.add_bos_token", addsBos);
    addFlag("tokenizer.ggml.add_eos_token", addsEos);
    std::string chat = files.chatTemplate;
    if (chat.empty())
      chat = textOf(member(files.config, "chat_template"));
    if (!chat.empty())
      add("tokenizer.chat_template", Value::string(texts.keep(chat)));
  }

  const std::string &where;
  const TokenizerFiles &files;
  const Json &tokenizer;
  Error error;
  std::map<std::string, size_t> ids;
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  const char *preName = "";
  bool ignoreMerges = false, addsBos = false, addsEos = false;
  int64_t bos = -1, eos = -1, pad = -1;
  std::set<int64_t> stops;
};

} // namespace

Error qcc::readTokenizer(const std::string &where, const TokenizerFiles &files,
                         TextPool &texts, std::vector<MetadataEntry> &out) {
  return TokenizerReader(where, files).read(texts, out);
}
