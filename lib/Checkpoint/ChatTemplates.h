//===- ChatTemplates.h - A folder's chat templates --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_CHATTEMPLATES_H
#define QCC_LIB_CHECKPOINT_CHATTEMPLATES_H

#include "qcc/Checkpoint/JsonMembers.h"
#include "Json.h"

#include <map>

namespace qcc {

/// Sources by name. "default" is the one for conversations without tools.
using ChatTemplates = std::map<std::string, std::string>;

/// The folder inside of a model's with NAME.jinja beside chat_template.jinja.
constexpr std::string_view kTemplateFolder = "additional_chat_templates/";

/// Those of tokenizer_config.json: a text, an object of texts by name, or a
/// list of objects with "name" and "template". Of several with a name the last
/// one counts. The error does not name the file.
Result<ChatTemplates> readConfigTemplates(const Json &config);

/// Appends them under the keys of GGUF: the default one, and for the others
/// tokenizer.chat_templates and tokenizer.chat_template.NAME.
void appendChatTemplates(const ChatTemplates &templates, TextPool &texts,
                         std::vector<MetadataEntry> &out);

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_CHATTEMPLATES_H
