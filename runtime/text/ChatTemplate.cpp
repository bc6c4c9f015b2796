//===- ChatTemplate.cpp - Messages to a prompt ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ChatTemplate.h"

#include "jinja/Interpreter.h"

namespace qcc::text {

using namespace jinja;

std::unique_ptr<ChatTemplate> ChatTemplate::parse(std::string_view source,
                                                  std::string &error) {
  constexpr size_t most = size_t(4) << 20;
  if (source.size() > most) {
    error = "the template has " + std::to_string(source.size()) +
            " bytes, expected at most " + std::to_string(most);
    return nullptr;
  }
  std::unique_ptr<ChatTemplate> result(new ChatTemplate);
  result->parsed = parseTemplate(source, error);
  return result->parsed ? std::move(result) : nullptr;
}

ChatTemplate::~ChatTemplate() = default;

bool ChatTemplate::render(const ChatInput &input, std::string &out,
                          std::string &error) const {
  Arena arena;
  auto *context = arena.make<DictObject>();
  auto set = [&](std::string_view name, const Value &value) {
    context->set(arena.string(std::string(name)), value);
  };
  std::vector<Value> messages;
  for (const ChatMessage &message : input.messages) {
    auto *dict = arena.make<DictObject>();
    dict->set(arena.string("role"), arena.string(std::string(message.role)));
    dict->set(arena.string("content"),
              arena.string(std::string(message.content)));
    messages.push_back(arena.dict(dict));
  }
  set("messages", arena.list(std::move(messages)));
  // transformers defines these two always.
  set("tools", Value::none());
  set("documents", Value::none());
  set("add_generation_prompt", Value::of(input.addGenerationPrompt));
  if (!input.bosToken.empty())
    set("bos_token", arena.string(std::string(input.bosToken)));
  if (!input.eosToken.empty())
    set("eos_token", arena.string(std::string(input.eosToken)));
  if (!input.variables.empty()) {
    Value variables;
    if (!parseJson(input.variables, arena, variables, error))
      return false;
    if (!variables.is(Kind::Dict)) {
      error = "the variables of the template are no JSON object";
      return false;
    }
    for (const auto &[name, value] : variables.dict().items)
      context->set(name, value);
  }

  // What went in may come out several times.
  Limits limits;
  size_t given = arena.bytes;
  limits.output += 4 * given;
  limits.memory += 16 * given;
  limits.steps += given;
  out.clear();
  std::time_t now =
      input.now ? static_cast<std::time_t>(input.now) : std::time(nullptr);
  if (Interpreter(*parsed, arena, limits, now).run(*context, out, error))
    return true;
  out.clear();
  return false;
}

} // namespace qcc::text
