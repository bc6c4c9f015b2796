//===- ChatTemplateTest.cpp - Messages to a prompt ------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "text/ChatTemplate.h"

#include "gtest/gtest.h"
#include <thread>
#include <vector>

using namespace qcc::text;

static std::string render(std::string_view source,
                          const ChatInput &input = {}) {
  std::string error, out;
  auto parsed = ChatTemplate::parse(source, error);
  if (!parsed || !parsed->render(input, out, error))
    return "error: " + error;
  return out;
}

TEST(ChatTemplateTest, Messages) {
  const ChatMessage messages[] = {{"system", "Be brief."}, {"user", "Hi"}};
  ChatInput input;
  input.messages = messages;
  input.bosToken = "<s>";
  EXPECT_EQ(render("{{ bos_token }}{% for m in messages %}[{{ m.role }}]"
                   "{{ m['content'] }}{% endfor %}"
                   "{% if add_generation_prompt %}[assistant]{% endif %}",
                   input),
            "<s>[system]Be brief.[user]Hi[assistant]");
  input.addGenerationPrompt = false;
  EXPECT_EQ(render("{{ add_generation_prompt }} {{ tools }} "
                   "{{ eos_token is defined }}",
                   input),
            "False None False");
}

TEST(ChatTemplateTest, VariablesReplaceTheUsualOnes) {
  const ChatMessage messages[] = {{"user", "Hi"}};
  ChatInput input;
  input.messages = messages;
  input.variables = R"({"messages": [], "enable_thinking": false, "n": 1.5})";
  EXPECT_EQ(
      render("{{ messages|length }} {{ enable_thinking }} {{ n }}", input),
      "0 False 1.5");
  input.variables = "[]";
  EXPECT_EQ(render("x", input),
            "error: variables: expected a JSON object, got list");
  input.variables = "{\"a\": 1,}";
  EXPECT_EQ(render("x", input),
            "error: variables: JSON: expected a string at byte 8");
  input.variables = R"({"messages": [{"role": "user"}, "Hi"]})";
  EXPECT_EQ(render("x", input),
            "error: message 1: expected an object, got str");
  input.variables = R"({"messages": "Hi"})";
  EXPECT_EQ(render("x", input), "error: messages: expected an array, got str");
}

TEST(ChatTemplateTest, ToolsAreAnArray) {
  ChatInput input;
  input.tools = R"([{"name": "f"}])";
  EXPECT_EQ(render("{{ tools|tojson }}", input), R"([{"name": "f"}])");
  input.tools = "{}";
  EXPECT_EQ(render("x", input),
            "error: tools: expected a JSON array, got dict");
}

TEST(ChatTemplateTest, MessagesAreMadePlain) {
  ChatInput input;
  input.variables = R"({"messages": [
      {"role": "assistant", "content": null, "reasoning": "why"},
      {"thinking": "a", "reasoning_content": "b", "reasoning": null},
      {"content": "c", "thinking": null}]})";
  EXPECT_EQ(render("{% for m in messages %}{{ m|tojson }}{% endfor %}", input),
            R"({"thinking": "why", "role": "assistant", "reasoning": "why", )"
            R"("reasoning_content": "why"})"
            R"({"thinking": "a", "reasoning_content": "b"}{"content": "c"})");
}

TEST(ChatTemplateTest, ErrorsNameTheLine) {
  EXPECT_EQ(render("a\n{% if x %}\nb"),
            "error: line 2: unexpected end of the template, expected 'endif'");
  EXPECT_EQ(render("\n\n{{ raise_exception('no tools') }}"),
            "error: line 3: no tools");
  EXPECT_EQ(render("{{ x.y }}"), "error: line 1: 'x' is undefined");
  EXPECT_EQ(render("{% include 'x' %}"),
            "error: line 1: unknown or unsupported tag 'include'");
  EXPECT_EQ(render("{{ 1|nothing }}"),
            "error: line 1: no filter named 'nothing'");
}

TEST(ChatTemplateTest, AFailedRenderingLeavesNoText) {
  std::string error, out = "old";
  auto parsed = ChatTemplate::parse("text{{ 1/0 }}", error);
  ASSERT_TRUE(parsed) << error;
  EXPECT_FALSE(parsed->render({}, out, error));
  EXPECT_EQ(out, "");
  EXPECT_EQ(error, "line 1: division by zero");
}

TEST(ChatTemplateTest, TimeIsGiven) {
  ChatInput input;
  input.now = 1000000000; // September 9, 2001, in any time zone
  EXPECT_EQ(render("{{ strftime_now('%b %Y') }}", input), "Sep 2001");
}

TEST(ChatTemplateTest, OneTemplateManyThreads) {
  std::string error;
  auto parsed = ChatTemplate::parse(
      "{% set ns = namespace(n=0) %}{% for m in messages %}"
      "{% set ns.n = ns.n + m.content|length %}{% endfor %}{{ ns.n }}",
      error);
  ASSERT_TRUE(parsed) << error;
  const ChatMessage messages[] = {{"user", "abc"}, {"user", "de"}};
  std::vector<std::string> results(8);
  std::vector<std::thread> threads;
  for (std::string &result : results)
    threads.emplace_back([&] {
      ChatInput input;
      input.messages = messages;
      std::string why;
      for (int i = 0; i < 200; ++i)
        parsed->render(input, result, why);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::string &result : results)
    EXPECT_EQ(result, "5");
}
