//===- PatternTest.cpp - Regular expressions of configs -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pattern.h"
#include <gtest/gtest.h>

using namespace qcc;

namespace {

/// Whether `pattern` matches; -1 when it is none.
int matches(std::string_view pattern, std::string_view name,
            Pattern::Begin begin = Pattern::Begin::Front) {
  Result<Pattern> parsed = Pattern::parse(pattern);
  if (!parsed)
    return -1;
  uint64_t steps = uint64_t(1) << 28;
  return parsed->matches(name, begin, steps);
}

// What Python's re.match and re.search answer.
TEST(Pattern, MeansWhatPythonMeans) {
  struct Case {
    const char *pattern, *name;
    bool match, search;
  } cases[] = {
      {"", "", true, true},
      {"", "a", true, true},
      {"a", "ba", false, true},
      {"abc", "ab", false, false},
      {"a.c", "abc", true, true},
      {"a.c", "a\nc", false, false},
      {R"(.*\.18\..*gate.*)", "model.layers.18.mlp.gate_proj", true, true},
      {R"(.*\.18\..*gate.*)", "model.layers.118.mlp.gate_proj", false, false},
      {R"(model\.layers\.\d+\.mlp)", "model.layers.12.mlp.up_proj", true, true},
      {R"(layers\.[0-3]\.)", "model.layers.2.x", false, true},
      {R"(layers\.[^0-3]\.)", "model.layers.2.x", false, false},
      {R"(.*layers\.(0|1|23)\.)", "m.layers.23.x", true, true},
      {R"(.*layers\.(?:0|1|23)\.)", "m.layers.2.x", false, false},
      {R"(.*(q|k|v)_proj$)", "a.v_proj", true, true},
      {R"(.*(q|k|v)_proj$)", "a.v_proj.x", false, false},
      {"^lm_head$", "lm_head", true, true},
      {"b^", "b", false, false},
      {R"(\Ab\Z)", "b", true, true},
      {R"((?!.*mlp).*proj)", "attn.q_proj", true, true},
      {R"((?!.*mlp).*proj)", "mlp.up_proj", false, true},
      {R"(.*\.(?=up)\w+)", "mlp.up_proj", true, true},
      {R"(.*\.(?=up)\w+)", "mlp.down_proj", false, false},
      {R"((?!a(?!b)).)", "ab", true, true},
      {R"((?!a(?!b)).)", "ac", false, true},
      {"a*b", "aaab", true, true},
      {"a+?b", "b", false, false},
      {"a?b", "ab", true, true},
      {"a{2}b", "aab", true, true},
      {"a{2}b", "ab", false, false},
      {"a{2,}b", "aaaab", true, true},
      {"^a{1,2}b", "aaab", false, false},
      {"a{,2}b", "b", true, true},
      {"a{x", "a{x", true, true},
      {"a{}", "a{}", true, true},
      {"(ab|a)(bc|c)$", "abc", true, true},
      {"(a*)*b", "aaaa", false, false},
      {"(a|b|cd)*e", "abcde", true, true},
      {"(|a)b", "b", true, true},
      {"(?P<x>a)(?<y>b)", "ab", true, true},
      {"[]a]+$", "]a", true, true},
      {"[a-]+$", "a-a", true, true},
      {R"([\w.]+$)", "a.b_0", true, true},
      {R"([^\W_]+$)", "a_", false, false},
      {R"([\]\-\\]+$)", "]-\\", true, true},
      {R"(\bup)", "x.up", false, true},
      {R"(\bup)", "xup", false, false},
      {R"(x\Bup)", "xup", true, true},
      {R"(\S+\s\D$)", "ab c", true, true},
      {"\xc3\xa9{2}$", "\xc3\xa9\xc3\xa9", true, true},
  };
  for (const Case &c : cases) {
    EXPECT_EQ(matches(c.pattern, c.name), c.match)
        << c.pattern << " " << c.name;
    EXPECT_EQ(matches(c.pattern, c.name, Pattern::Begin::Anywhere), c.search)
        << c.pattern << " " << c.name;
  }
}

TEST(Pattern, RefusesByName) {
  auto problem = [](std::string_view pattern) {
    Result<Pattern> parsed = Pattern::parse(pattern);
    return parsed ? "" : parsed.message();
  };
  EXPECT_EQ(problem("a("), "'(' without ')', at byte 2");
  EXPECT_EQ(problem("a)b"), "')' without '(', at byte 1");
  EXPECT_EQ(problem("[a"), "'[' without ']', at byte 2");
  EXPECT_EQ(problem("*a"), "nothing to repeat, at byte 0");
  EXPECT_EQ(problem("a|?"), "nothing to repeat, at byte 2");
  EXPECT_EQ(problem("({2})"), "nothing to repeat, at byte 1");
  EXPECT_EQ(problem("^*"), "nothing to repeat, at byte 2");
  EXPECT_EQ(problem("a**"), "multiple repeat, at byte 3");
  EXPECT_EQ(problem("a{3,2}"), "'{m,n}' with m above n, at byte 6");
  EXPECT_EQ(problem("a{1001}"), "more than 1000 repetitions, at byte 5");
  EXPECT_EQ(problem("\\"), "'\\' without a character, at byte 1");
  EXPECT_EQ(problem("(a)\\1"), "'\\1' is not supported, at byte 5");
  EXPECT_EQ(problem("(?i)a"), "the group '(?i' is not supported, at byte 1");
  EXPECT_EQ(problem("(?<=a)b"), "the group '(?<' is not supported, at byte 1");
  EXPECT_EQ(problem("(?P<a"), "a group's name does not end, at byte 5");
  EXPECT_EQ(problem("[b-a]"), "a range that does not ascend, at byte 4");
  EXPECT_EQ(problem("[\xc3\xa9]"),
            "a class with more than ASCII is not supported, at byte 2");
  EXPECT_EQ(problem(std::string(40, '(')), "nested deeper than 32, at byte 33");
}

// Sizes and times are bounded, whatever is asked.
TEST(Pattern, IsBounded) {
  std::string text;
  for (int i = 0; i < 30; ++i)
    text = "(" + text + "a*)*";
  uint64_t steps = uint64_t(1) << 20;
  Result<Pattern> nested = Pattern::parse(text + "b");
  ASSERT_TRUE(nested) << nested.message();
  EXPECT_FALSE(
      nested->matches(std::string(1000, 'a'), Pattern::Begin::Anywhere, steps));
  EXPECT_GT(steps, 0u);

  for (const char *pattern :
       {"((a{1000}){1000}){1000}", "(a{999}|b{999}){9}"}) {
    Result<Pattern> parsed = Pattern::parse(pattern);
    ASSERT_FALSE(parsed);
    EXPECT_TRUE(parsed.message().starts_with("the pattern is too long"));
  }
  std::string many = "a";
  for (int i = 0; i < 5000; ++i)
    many += "|a";
  EXPECT_FALSE(Pattern::parse(many));
}

TEST(PatternList, FindsTheFirst) {
  PatternList list;
  EXPECT_EQ(list.add("(").message(), "pattern '(': '(' without ')', at byte 1");
  for (const char *pattern : {"x", "a.*", "ab"})
    EXPECT_FALSE(list.add(pattern));
  EXPECT_EQ(*list.find("ab", Pattern::Begin::Front), 1u);
  EXPECT_EQ(*list.find("b", Pattern::Begin::Front), 3u);
  EXPECT_EQ(*list.find("bx", Pattern::Begin::Anywhere), 0u);
}

TEST(PatternList, EndsWhatTakesTooLong) {
  PatternList list;
  while (!list.add("(?!(?!.*(?!.*x{900}y).*z).*z).*w"))
    ;
  EXPECT_TRUE(list.add("ab").message().starts_with("pattern 'ab': more "));
  std::string name(1000, 'x');
  while (Result<size_t> found = list.find(name, Pattern::Begin::Anywhere))
    ;
  Result<size_t> found = list.find("ab", Pattern::Begin::Front);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.message(),
            "patterns that take too long to match against 'ab'");
}

} // namespace
