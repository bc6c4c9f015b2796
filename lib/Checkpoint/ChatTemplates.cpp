//===- ChatTemplates.cpp - A folder's chat templates ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ChatTemplates.h"

using namespace qcc;

Result<ChatTemplates> qcc::readConfigTemplates(const Json &config) {
  ChatTemplates result;
  const Json *given = member(config, "chat_template");
  if (!given || given->is_null())
    return result;
  auto add = [&](const Json *name, const Json *source) {
    if (!name || !name->is_string() || !source || !source->is_string())
      return false;
    result[name->get<std::string>()] = source->get<std::string>();
    return true;
  };
  bool isRead = given->is_string() || given->is_array() || given->is_object();
  if (given->is_string())
    result["default"] = given->get<std::string>();
  else if (given->is_array())
    for (const Json &entry : *given)
      isRead = isRead && add(member(entry, "name"), member(entry, "template"));
  else if (given->is_object())
    for (const auto &[name, source] : given->items()) {
      Json key = name;
      isRead = isRead && add(&key, &source);
    }
  if (!isRead)
    return Error("key 'chat_template': expected a text, or texts by name");
  return result;
}

void qcc::appendChatTemplates(const ChatTemplates &templates, TextPool &texts,
                              std::vector<MetadataEntry> &out) {
  std::vector<std::string_view> names;
  for (const auto &[name, source] : templates) {
    bool isDefault = name == "default";
    if (isDefault && source.empty())
      continue;
    if (!isDefault)
      names.push_back(texts.keep(name));
    out.push_back({isDefault ? "tokenizer.chat_template"
                             : texts.keep("tokenizer.chat_template." + name),
                   Value::string(texts.keep(source))});
  }
  if (!names.empty())
    out.push_back(
        {"tokenizer.chat_templates", Value::strings(std::move(names))});
}
