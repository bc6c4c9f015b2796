//===- chat_template_fuzz.cpp - Any bytes as a chat template --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "text/ChatTemplate.h"

#include <cstdint>

using namespace qcc::text;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string error, out;
  auto parsed =
      ChatTemplate::parse({reinterpret_cast<const char *>(data), size}, error);
  if (!parsed)
    return 0;
  const ChatMessage messages[] = {{"system", " Be brief.\n"},
                                  {"user", "H\xC3\xA9 <b> {{ x }}"},
                                  {"assistant", ""}};
  ChatInput input;
  input.messages = messages;
  input.bosToken = "<s>";
  input.eosToken = "</s>";
  input.now = 1000000000;
  input.variables =
      R"({"tools": [{"name": "f", "parameters": {"a": [1, 2.5, null, true]}}],
          "n": 3, "s": "text", "d": {"b": 1, "a": "x"}, "l": [3, 1, 2]})";
  parsed->render(input, out, error);
  return 0;
}
