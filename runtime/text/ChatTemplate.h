//===- ChatTemplate.h - Messages to a prompt --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A model's own Jinja template, rendered as Hugging Face transformers does
// (jinja2 3.1.6, immutable sandbox, trim_blocks, lstrip_blocks, loop controls,
// tojson, raise_exception, strftime_now). Not supported: include, import,
// extends, block, and a few filters that no chat template uses; each is an
// error that names it.
//===----------------------------------------------------------------------===//

#ifndef RUNTIME_TEXT_CHATTEMPLATE_H
#define RUNTIME_TEXT_CHATTEMPLATE_H

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace qcc::text {

namespace jinja {
struct Template;
}

struct ChatMessage {
  std::string_view role, content;
};

/// What a template sees. Everything is UTF-8. As in transformers, a message's
/// keys without a value are left out, and the text of its thinking has the
/// names "reasoning_content" and "thinking" whatever it came as.
struct ChatInput {
  std::span<const ChatMessage> messages;
  bool addGenerationPrompt = true;
  /// Texts of the tokens; empty: the variable is not defined.
  std::string_view bosToken, eosToken;
  /// JSON array of the functions that the model may call. Empty: none.
  std::string_view tools;
  /// JSON object of further variables, and of replacements for those above:
  /// "messages" (with tool calls, contents of several parts ...), "documents",
  /// "enable_thinking" ... Empty: none.
  std::string_view variables;
  /// Seconds since 1970 for strftime_now(); 0: now.
  int64_t now = 0;
};

/// Immutable; any number of threads may render one at once.
class ChatTemplate {
public:
  /// Null and an error ("line 3: ...") when the source is no template.
  static std::unique_ptr<ChatTemplate> parse(std::string_view source,
                                             std::string &error);
  ~ChatTemplate();

  /// Replaces `out` by the prompt. False and an error when the template raised
  /// one, or exceeded its limits: 10^6 steps, 64 MiB of memory, and 1 MiB of
  /// output, the last two beyond a multiple of what went in.
  bool render(const ChatInput &input, std::string &out,
              std::string &error) const;

private:
  ChatTemplate() = default;
  std::unique_ptr<jinja::Template> parsed;
};

} // namespace qcc::text

#endif // RUNTIME_TEXT_CHATTEMPLATE_H
