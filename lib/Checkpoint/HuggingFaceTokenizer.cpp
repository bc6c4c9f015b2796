//===- HuggingFaceTokenizer.cpp - tokenizer.json as metadata --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "HuggingFaceTokenizer.h"
#include <map>
#include <set>
#include "SentencePiece.h"

using namespace qcc;

namespace {

/// Far above any known vocabulary.
constexpr size_t kMaxTokens = size_t(1) << 22;

// Numbered as in GGUF.
enum TokenType : int32_t {
  Normal = 1,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6
};

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
    bool isRead = files.sentencePiece.empty()
                      ? readModel() && readAddedTokens()
                      : readPieces() && readAddedByConfig();
    if (!isRead || !readSpecialTokens() || !readPostProcessor() || !fillHoles())
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
    return fail(what + " is not supported");
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
    if (!model)
      return fail("key 'model' is missing");
    type = textOf(member(*model, "type"));
    // Left out by older versions.
    if (type.empty() && member(*model, "merges"))
      type = "BPE";
    const Json *vocab = member(*model, "vocab");
    bool isRead =
        type == "Unigram" ? readScores(vocab) : readVocabulary(*model, vocab);
    return isRead && readMerges(*model) && readUnknown(*model);
  }

  /// The tables of a tokenizer.model.
  bool readPieces() {
    Result<SentencePieceModel> model =
        readSentencePiece(files.sentencePiece, kMaxTokens);
    if (!model)
      return fail(model.takeError().message());
    pieces = std::move(*model);
    type = pieces.isUnigram ? "t5" : "llama";
    for (const SentencePieceModel::Piece &piece : pieces.pieces) {
      // Of several with a text, the first one counts.
      ids.emplace(piece.text, tokens.size());
      tokens.emplace_back(piece.text);
      types.push_back(piece.type);
      scores.push_back(double(piece.score));
      if (piece.type == Byte && !isByteName(piece.text))
        return fail("piece " + std::to_string(tokens.size() - 1) +
                    ": expected <0x00> to <0xFF>, got " + quoted(piece.text));
    }
    auto known = [&](int64_t id) {
      return id >= 0 && id < int64_t(tokens.size()) ? id : -1;
    };
    unknown = known(pieces.unknown);
    bos = known(pieces.bos);
    eos = known(pieces.eos);
    pad = known(pieces.pad);
    return true;
  }

  /// What tokenizer_config.json and added_tokens.json add to such a file.
  bool readAddedByConfig() {
    auto add = [&](const std::string &text, const Json &id, bool isSpecial) {
      // Pieces keep their types, but control tokens come from here, too.
      auto it = ids.find(text);
      bool isKnown = it != ids.end() && id == Json(it->second);
      if (isKnown && types[it->second] != Normal)
        return true;
      return setToken(text, id, isSpecial ? Control : UserDefined);
    };
    if (const Json *list = member(files.config, "added_tokens_decoder"))
      for (const auto &[id, token] : list->items()) {
        std::string text = textOf(member(token, "content"));
        if (text.empty() || id.size() > 9 || id.empty() ||
            id.find_first_not_of("0123456789") != std::string::npos)
          return fail("added_tokens_decoder: expected ids and objects with "
                      "content");
        size_t number = 0;
        for (char c : id)
          number = number * 10 + size_t(c - '0');
        if (!add(text, Json(number), isTrue(token, "special")))
          return false;
      }
    for (const auto &[text, id] : files.added.items())
      if (!ids.count(text) && !add(text, id, true))
        return false;
    scores.resize(tokens.size());
    return true;
  }

  bool readVocabulary(const Json &model, const Json *vocab) {
    if (type != "BPE" && type != "WordPiece")
      return unsupported("a tokenizer of type " + quoted(type) +
                         " (supported: BPE, Unigram, WordPiece)");
    for (const char *key : {"dropout", "end_of_word_suffix"})
      if (const Json *value = member(model, key);
          value && *value != Json("") && *value != Json(0.0))
        return unsupported(type + " with " + key);
    if (type == "BPE" &&
        !textOf(member(model, "continuing_subword_prefix")).empty())
      return unsupported("BPE with continuing_subword_prefix");
    if (!vocab || !vocab->is_object())
      return fail("model: expected a vocab");
    bool hasBytes = isTrue(model, "byte_fallback");
    for (auto it = vocab->begin(); it != vocab->end(); ++it)
      if (!setToken(it.key(), *it,
                    hasBytes && isByteName(it.key()) ? Byte : Normal))
        return false;
    return true;
  }

  /// The vocab of Unigram: [text, score] for each token.
  bool readScores(const Json *vocab) {
    if (!vocab || !vocab->is_array())
      return fail("model: expected a vocab");
    bool hasBytes = isTrue(*member(tokenizer, "model"), "byte_fallback");
    for (const Json &entry : *vocab) {
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
          !entry[1].is_number())
        return fail("model: vocab: expected pairs of a text and a score");
      std::string text = textOf(&entry[0]);
      ids.erase(text); // of several the last one counts
      if (!setToken(text, Json(scores.size()),
                    hasBytes && isByteName(text) ? Byte : Normal))
        return false;
      scores.push_back(entry[1].get<double>());
    }
    return true;
  }

  static bool isByteName(std::string_view text) {
    return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' &&
           text.find_first_not_of("0123456789ABCDEF", 3) == 5;
  }

  bool readMerges(const Json &model) {
    const Json *list = member(model, "merges");
    if (type != "BPE")
      return true;
    if (!list || !list->is_array())
      return fail("model: expected merges");
    for (const Json &merge : *list) {
      std::string left, right;
      if (merge.is_string()) {
        std::string text = textOf(&merge);
        size_t space = text.find(' ', 1);
        left = text.substr(0, space);
        right = space == text.npos ? "" : text.substr(space + 1);
      } else if (merge.is_array() && merge.size() == 2 &&
                 merge[0].is_string() && merge[1].is_string()) {
        left = textOf(&merge[0]);
        right = textOf(&merge[1]);
      } else {
        return fail("merges: expected texts or pairs of texts");
      }
      for (const std::string &part : {left, right}) {
        auto it = ids.find(part);
        if (it == ids.end())
          return fail("merge " + std::to_string(merges.size() / 2) + " needs " +
                      quoted(part) + ", which is no token");
        merges.push_back(int32_t(it->second));
      }
    }
    return true;
  }

  bool readUnknown(const Json &model) {
    const Json *value = member(model, "unk_id");
    std::string text = textOf(member(model, "unk_token"));
    if (value && value->is_number_unsigned() &&
        value->get<uint64_t>() < tokens.size()) {
      unknown = value->get<int64_t>();
    } else if (value) {
      return fail("unk_id: expected an id below " +
                  std::to_string(tokens.size()));
    } else if (auto it = ids.find(text); it != ids.end()) {
      unknown = int64_t(it->second);
    } else if (!text.empty()) {
      unknownText = text; // an added token may follow
    }
    return true;
  }

  bool readAddedTokens() {
    const Json *list = member(tokenizer, "added_tokens");
    if (list && !list->is_array())
      return fail("added_tokens: expected an array");
    for (size_t i = 0; list && i < list->size(); ++i) {
      const Json &token = (*list)[i];
      std::string text = textOf(member(token, "content"));
      const Json *id = member(token, "id");
      if (text.empty() || !id)
        return fail("added_tokens: expected objects with content and id");
      if (!ids.count(text) && id->is_number_unsigned())
        outside.insert(id->get<uint64_t>());
      if (!setToken(text, *id,
                    isTrue(token, "special") ? Control : UserDefined))
        return false;
    }
    if (auto it = ids.find(unknownText); it != ids.end())
      unknown = int64_t(it->second);
    else if (!unknownText.empty() && type == "WordPiece")
      return fail("unk_token " + quoted(unknownText) + " is no token");
    return true;
  }

  /// The id that a config gives by text or by number.
  bool readSpecial(const char *textKey, const char *idKey, int64_t &id) {
    const Json *value = member(files.config, textKey);
    if (value && value->is_object())
      value = member(*value, "content");
    if (std::string text = textOf(value); !text.empty()) {
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
      std::string type = textOf(member(*step, "type"));
      if (type == "ByteLevel")
        continue;
      if (type == "RobertaProcessing" || type == "BertProcessing") {
        // [text, id] of what is before and after a text.
        if (!addAround(nameOf(*step, "cls"), false) ||
            !addAround(nameOf(*step, "sep"), true))
          return false;
        continue;
      }
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
        if (!addAround(
                std::string(special ? textOf(member(*special, "id")) : ""),
                isAfter))
          return false;
      }
    }
    return true;
  }

  static std::string nameOf(const Json &step, const char *key) {
    const Json *pair = member(step, key);
    return std::string(
        pair && pair->is_array() && !pair->empty() ? textOf(&(*pair)[0]) : "");
  }

  bool addAround(const std::string &text, bool isAfter) {
    auto it = ids.find(text);
    int64_t id = it == ids.end() ? -1 : int64_t(it->second);
    bool &adds = isAfter ? addsEos : addsBos;
    int64_t &known = isAfter ? eos : bos;
    if (known < 0)
      known = id;
    if (id < 0 || id != known || adds)
      return unsupported("a post_processor that adds other tokens than bos "
                         "and eos");
    adds = true;
    return true;
  }

  /// Models round the size of their tables up.
  bool fillHoles() {
    const Json *text = member(files.model, "text_config");
    const Json *value = member(text ? *text : files.model, "vocab_size");
    size_t size = tokens.size();
    if (value && value->is_number_unsigned() &&
        value->get<uint64_t>() < kMaxTokens)
      size = value->get<size_t>();
    // Tokens of another modality may have no row in this model.
    for (size_t i = size; i < tokens.size(); ++i)
      if (types[i] != Control && types[i] != UserDefined)
        return fail("expected at most " + std::to_string(size) +
                    " tokens, as the model has, got " +
                    std::to_string(tokens.size()));
    tokens.resize(size);
    types.resize(size, Unused);
    if (!scores.empty())
      scores.resize(size);
    for (size_t i = 0; i < size; ++i)
      if (types[i] == Unused)
        tokens[i] = "[PAD" + std::to_string(i) + "]";
    for (int64_t id : {bos, eos, pad, unknown})
      if (id >= int64_t(size))
        return fail("expected ids of special tokens below " +
                    std::to_string(size) + ", got " + std::to_string(id));
    std::erase_if(stops, [&](int64_t id) { return id >= int64_t(size); });
    return true;
  }

  /// The file without its tables.
  std::string rest() const {
    Json result = Json::object();
    for (const char *key :
         {"normalizer", "pre_tokenizer", "decoder", "added_tokens"})
      if (const Json *value = member(tokenizer, key))
        result[key] = *value;
    if (result.contains("added_tokens"))
      for (Json &token : result["added_tokens"])
        if (auto id = token.find("id"); id->is_number_unsigned())
          token["outside"] = outside.count(id->get<uint64_t>()) != 0;
    Json &model = result["model"];
    for (const auto &[key, value] : member(tokenizer, "model")->items())
      if (key != "vocab" && key != "merges")
        model[key] = value;
    model["type"] = type;
    return result.dump(-1, ' ', false, Json::error_handler_t::replace);
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
    bool hasPieces = !files.sentencePiece.empty();
    add("tokenizer.ggml.model",
        Value::string(texts.keep(hasPieces ? type : "huggingface")));
    if (!hasPieces)
      add("tokenizer.huggingface.json", Value::string(texts.keep(rest())));
    add("tokenizer.ggml.tokens", textList(tokens, texts));
    add("tokenizer.ggml.token_type",
        Value::numbers(ValueType::I32, texts.keep(types), types.size()));
    if (type == "BPE")
      add("tokenizer.huggingface.merges",
          Value::numbers(ValueType::I32, texts.keep(merges), merges.size()));
    if (!scores.empty())
      add("tokenizer.ggml.scores",
          Value::numbers(ValueType::F64, texts.keep(scores), scores.size()));
    addId("tokenizer.ggml.unknown_token_id", unknown);
    addId("tokenizer.ggml.bos_token_id", bos);
    addId("tokenizer.ggml.eos_token_id", eos);
    addId("tokenizer.ggml.padding_token_id", pad);
    if (!stops.empty()) {
      std::vector<int64_t> list(stops.begin(), stops.end());
      add("tokenizer.ggml.eos_token_ids",
          Value::numbers(ValueType::I64, texts.keep(list), list.size()));
    }
    if (hasPieces) {
      addFlag("tokenizer.ggml.add_space_prefix", pieces.addsSpacePrefix);
      addFlag("tokenizer.ggml.remove_extra_whitespaces",
              pieces.removesExtraSpaces);
      if (!pieces.charsmap.empty())
        add("tokenizer.ggml.precompiled_charsmap",
            Value::numbers(ValueType::U8,
                           texts.keep(std::vector<uint8_t>(
                               pieces.charsmap.begin(), pieces.charsmap.end())),
                           pieces.charsmap.size()));
    }
    // Without a post-processor the config tells, or the class: left out then.
    for (auto [key, name, adds] :
         {std::tuple("tokenizer.ggml.add_bos_token", "add_bos_token", addsBos),
          std::tuple("tokenizer.ggml.add_eos_token", "add_eos_token", addsEos)})
      if (!hasPieces)
        addFlag(key, adds);
      else if (member(files.config, name))
        addFlag(key, isTrue(files.config, name));
  }

  const std::string &where;
  const TokenizerFiles &files;
  const Json &tokenizer;
  Error error;
  std::map<std::string, size_t> ids;
  std::string type, unknownText;
  std::vector<std::string> tokens;
  std::vector<int32_t> types, merges; ///< of each merge two ids
  std::vector<double> scores;
  bool addsBos = false, addsEos = false;
  int64_t bos = -1, eos = -1, pad = -1, unknown = -1;
  std::set<int64_t> stops;
  std::set<uint64_t> outside; ///< Added tokens that the model does not have.
  SentencePieceModel pieces;
};

} // namespace

Error qcc::readTokenizer(const std::string &where, const TokenizerFiles &files,
                         TextPool &texts, std::vector<MetadataEntry> &out) {
  return TokenizerReader(where, files).read(texts, out);
}
