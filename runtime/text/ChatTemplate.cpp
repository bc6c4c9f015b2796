//===- ChatTemplate.cpp - Messages to a prompt ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ChatTemplate.h"

#include "jinja/Interpreter.h"

#include <algorithm>

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

/// Reads JSON text of one kind; `name` is for the error.
static bool readJson(const char *name, std::string_view text, Kind kind,
                     Arena &arena, Value &out, std::string &error) {
  std::string why;
  if (!parseJson(text, arena, out, why)) {
    error = std::string(name) + ": " + why;
    return false;
  }
  if (out.is(kind))
    return true;
  error = std::string(name) + ": expected a JSON " +
          (kind == Kind::List ? "array" : "object") + ", got " + typeName(out);
  return false;
}

/// Adds an entry, or replaces what is there among the first `known`. Beyond
/// these, names differ from each other.
static void setAmong(DictObject &dict, size_t known, const Value &name,
                     const Value &value) {
  auto end = dict.items.begin() + ptrdiff_t(known);
  auto place = std::find_if(dict.items.begin(), end, [&](const auto &item) {
    return item.first.string() == name.string();
  });
  if (place != end)
    place->second = value;
  else
    dict.items.push_back({name, value});
}

/// The message as templates are written for.
static Value plainMessage(const DictObject &message, Arena &arena) {
  const Value *thought = nullptr;
  for (const char *name : {"reasoning_content", "thinking", "reasoning"})
    if (!thought || thought->is(Kind::None))
      thought = message.find(name);
  auto *result = arena.make<DictObject>();
  bool thinks = thought && !thought->is(Kind::None);
  if (thinks)
    result->set(arena.string("thinking"), *thought);
  for (const auto &[name, value] : message.items)
    if (!value.is(Kind::None))
      setAmong(*result, thinks, name, value);
  if (thinks)
    result->set(arena.string("reasoning_content"), *thought);
  return arena.dict(result);
}

static bool plainMessages(Value &messages, Arena &arena, std::string &error) {
  if (!messages.is(Kind::List)) {
    error =
        std::string("messages: expected an array, got ") + typeName(messages);
    return false;
  }
  std::vector<Value> result;
  for (const Value &message : messages.list().items) {
    if (!message.is(Kind::Dict)) {
      error = "message " + std::to_string(result.size()) +
              ": expected an object, got " + typeName(message);
      return false;
    }
    result.push_back(plainMessage(message.dict(), arena));
  }
  messages = arena.list(std::move(result));
  return true;
}

bool ChatTemplate::render(const ChatInput &input, std::string &out,
                          std::string &error) const {
  Arena arena;
  auto *context = arena.make<DictObject>();
  auto set = [&](std::string_view name, const Value &value) {
    context->set(arena.string(std::string(name)), value);
  };
  out.clear();
  std::vector<Value> list;
  for (const ChatMessage &message : input.messages) {
    auto *dict = arena.make<DictObject>();
    dict->set(arena.string("role"), arena.string(std::string(message.role)));
    dict->set(arena.string("content"),
              arena.string(std::string(message.content)));
    list.push_back(arena.dict(dict));
  }
  Value messages = arena.list(std::move(list)), tools = Value::none();
  if (!input.tools.empty() &&
      !readJson("tools", input.tools, Kind::List, arena, tools, error))
    return false;
  // transformers defines these two always.
  set("tools", tools);
  set("documents", Value::none());
  set("add_generation_prompt", Value::of(input.addGenerationPrompt));
  if (!input.bosToken.empty())
    set("bos_token", arena.string(std::string(input.bosToken)));
  if (!input.eosToken.empty())
    set("eos_token", arena.string(std::string(input.eosToken)));
  if (!input.variables.empty()) {
    Value variables;
    if (!readJson("variables", input.variables, Kind::Dict, arena, variables,
                  error))
      return false;
    const size_t known = context->items.size();
    for (const auto &[name, value] : variables.dict().items)
      setAmong(*context, known, name, value);
    if (const Value *own = variables.dict().find("messages"))
      messages = *own;
  }
  if (!plainMessages(messages, arena, error))
    return false;
  set("messages", messages);

  // What went in may come out several times.
  Limits limits;
  size_t given = arena.bytes;
  limits.output += 4 * given;
  limits.memory += 16 * given;
  limits.steps += given;
  std::time_t now =
      input.now ? static_cast<std::time_t>(input.now) : std::time(nullptr);
  if (Interpreter(*parsed, arena, limits, now).run(*context, out, error))
    return true;
  out.clear();
  return false;
}

} // namespace qcc::text
