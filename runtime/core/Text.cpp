//===- Text.cpp - The model's tokenizer and chat template -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Built with exceptions, unlike the rest of the core: std::bad_alloc from the
// standard library ends here as QCC_E_NO_MEMORY.
//===----------------------------------------------------------------------===//

#include "Text.h"

#include "text/ChatTemplate.h"
#include "text/Tokenizer.h"

#include <cstring>
#include <new>
#include <optional>

namespace qcc::rt {

struct Text::Parts {
  std::unique_ptr<text::Tokenizer> tokenizer; // null: the model has none
  struct NamedTemplate {
    std::string_view name;
    std::unique_ptr<text::ChatTemplate> parsed;
    std::string error; // why `parsed` is null
  };
  std::vector<NamedTemplate> templates;

  /// A template that cannot be used is no reason not to run the model.
  void add(std::string_view name, const char *source) {
    NamedTemplate &entry = templates.emplace_back();
    entry.name = name;
    entry.parsed = text::ChatTemplate::parse(source, entry.error);
  }
  const NamedTemplate *find(std::string_view name) const {
    for (const NamedTemplate &entry : templates)
      if (entry.name == name)
        return &entry;
    return nullptr;
  }
  const text::ChatTemplate *choose(const char *name, bool hasTools,
                                   std::string &why) const;
};

/// The template of that name, or without a name the one that transformers
/// takes. Null and the reason if it cannot be had.
const text::ChatTemplate *Text::Parts::choose(const char *name, bool hasTools,
                                              std::string &why) const {
  if (templates.empty()) {
    why = "this model has no chat template";
    return nullptr;
  }
  bool byTools = !name && hasTools && find("tool_use");
  std::string wanted = name ? name : byTools ? "tool_use" : "default";
  if (const NamedTemplate *entry = find(wanted)) {
    why = entry->error;
    return entry->parsed.get();
  }
  why = "this model has none named '" + wanted + "', only";
  for (const NamedTemplate &entry : templates)
    why += std::string(&entry == templates.data() ? " '" : ", '") +
           std::string(entry.name) + "'";
  return nullptr;
}

/// Runs code that may throw; anything thrown is QCC_E_NO_MEMORY, for the text
/// library itself reports what is wrong with its input without throwing.
template <typename Code>
static qcc_status guarded(const Code &code) noexcept {
  try {
    return code();
  } catch (...) {
    return QCC_E_NO_MEMORY;
  }
}

/// Hands `count` elements to a caller's buffer.
template <typename T>
static qcc_status copyOut(const T *from, size_t count, T *to, size_t capacity,
                          size_t *reported) {
  *reported = count;
  if (count > capacity)
    return QCC_E_SPACE;
  if (count)
    memcpy(to, from, count * sizeof(T));
  return QCC_OK;
}

Text::~Text() { delete parts; }

qcc_status Text::open(const qcc_bundle_v1 &bundle, uint32_t vocab,
                      ErrorText &error) {
  qcc_status status = guarded([&] {
    parts = new Parts;
    std::string why;
    if (!bundle.tokenizer || !bundle.tokenizer_bytes)
      return QCC_OK;
    parts->tokenizer =
        text::Tokenizer::open(bundle.tokenizer, bundle.tokenizer_bytes, why);
    if (!parts->tokenizer)
      return error.set(QCC_E_DATA, "tokenizer: %s", why.c_str());
    if (parts->tokenizer->vocabSize() > vocab)
      return error.set(QCC_E_DATA, "the tokenizer has %u tokens, the model %u",
                       parts->tokenizer->vocabSize(), vocab);
    if (bundle.chat_template)
      parts->add("default", bundle.chat_template);
    for (uint32_t i = 0; i < bundle.template_count; ++i)
      parts->add(bundle.templates[i].name, bundle.templates[i].source);
    return QCC_OK;
  });
  if (status == QCC_E_NO_MEMORY)
    error.set(status, "out of memory for the tokenizer");
  return status;
}

qcc_status Text::tokenize(const char *text, size_t bytes, uint32_t flags,
                          int32_t *tokens, size_t capacity,
                          size_t *count) const {
  return guarded([&]() -> qcc_status {
    std::vector<int32_t> ids;
    std::string why;
    *count = 0;
    if (!parts->tokenizer)
      return QCC_E_TOKENIZER;
    if (!parts->tokenizer->tokenize({text, bytes}, flags & QCC_TOKENIZE_SPECIAL,
                                    flags & QCC_TOKENIZE_PARSE, ids, why))
      return QCC_E_ARGUMENT;
    return copyOut(ids.data(), ids.size(), tokens, capacity, count);
  });
}

qcc_status Text::detokenize(const int32_t *tokens, size_t count, uint32_t flags,
                            char *text, size_t capacity, size_t *bytes) const {
  return guarded([&]() -> qcc_status {
    *bytes = 0;
    if (!parts->tokenizer)
      return QCC_E_TOKENIZER;
    std::string all =
        parts->tokenizer->detokenize({tokens, count}, flags & QCC_TEXT_SPECIAL);
    return copyOut(all.data(), all.size(), text, capacity, bytes);
  });
}

qcc_status Text::piece(int32_t token, uint32_t flags, char *text,
                       size_t capacity, size_t *bytes) const {
  *bytes = 0;
  if (!parts->tokenizer)
    return QCC_E_TOKENIZER;
  std::string_view piece =
      parts->tokenizer->piece(token, flags & QCC_TEXT_SPECIAL);
  return copyOut(piece.data(), piece.size(), text, capacity, bytes);
}

bool Text::isEnd(int32_t token) const {
  return parts->tokenizer && parts->tokenizer->isEndOfGeneration(token);
}

qcc_status Text::renderChat(const qcc_chat_v1 &chat, char *text,
                            size_t capacity, size_t *bytes,
                            ErrorText &error) const {
  qcc_status status = guarded([&]() -> qcc_status {
    if (!parts->tokenizer)
      return error.set(QCC_E_TOKENIZER, "this model has no tokenizer");
    std::string why;
    const text::ChatTemplate *chosen =
        parts->choose(chat.name, chat.tools && *chat.tools, why);
    if (!chosen)
      return error.set(QCC_E_TEMPLATE, "chat template: %s", why.c_str());
    std::vector<text::ChatMessage> conversation;
    for (size_t i = 0; i < chat.count; ++i) {
      const qcc_message_v1 &message = chat.messages[i];
      if (!message.role || !message.content)
        return error.set(QCC_E_ARGUMENT, "message %zu has a null field", i);
      conversation.push_back({message.role, message.content});
    }
    const text::Tokenizer &tokenizer = *parts->tokenizer;
    text::ChatInput input;
    input.messages = conversation;
    input.addGenerationPrompt = chat.add_generation_prompt != 0;
    input.bosToken = tokenizer.piece(tokenizer.bos(), true);
    input.eosToken = tokenizer.piece(tokenizer.eos(), true);
    input.tools = chat.tools ? chat.tools : "";
    input.variables = chat.variables ? chat.variables : "";
    std::string out;
    if (!chosen->render(input, out, why))
      return error.set(QCC_E_TEMPLATE, "chat template: %s", why.c_str());
    return copyOut(out.data(), out.size(), text, capacity, bytes);
  });
  if (status == QCC_E_NO_MEMORY)
    error.set(status, "out of memory for the conversation");
  return status;
}

int32_t Text::bos() const {
  return parts->tokenizer ? parts->tokenizer->bos() : -1;
}
int32_t Text::eos() const {
  return parts->tokenizer ? parts->tokenizer->eos() : -1;
}
int32_t Text::eot() const {
  return parts->tokenizer ? parts->tokenizer->eot() : -1;
}
bool Text::addsBos() const {
  return parts->tokenizer && parts->tokenizer->addsBos();
}

//===----------------------------------------------------------------------===//
// TextStream
//===----------------------------------------------------------------------===//

struct TextStream::Parts {
  std::optional<text::StreamDecoder> decoder;
  std::string out; // keeps its memory from token to token
};

TextStream::~TextStream() { delete parts; }

qcc_status TextStream::begin(const Text &text, bool special) {
  return guarded([&] {
    if (!parts) {
      parts = new Parts;
      parts->out.reserve(text::image::maxSpecialBytes + 64);
    }
    if (text.parts->tokenizer)
      parts->decoder.emplace(*text.parts->tokenizer, special);
    else
      parts->decoder.reset();
    return QCC_OK;
  });
}

qcc_status TextStream::push(int32_t token, const char *&text, size_t &bytes) {
  return guarded([&] {
    parts->out.clear();
    if (parts->decoder)
      parts->decoder->push(token, parts->out);
    text = parts->out.data();
    bytes = parts->out.size();
    return QCC_OK;
  });
}

qcc_status TextStream::finish(const char *&text, size_t &bytes) {
  return guarded([&] {
    parts->out.clear();
    if (parts->decoder)
      parts->decoder->finish(parts->out);
    text = parts->out.data();
    bytes = parts->out.size();
    return QCC_OK;
  });
}

} // namespace qcc::rt
