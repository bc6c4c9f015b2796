//===- PatternTest.cpp - Regular expressions of configs -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pattern.h"
#include <gtest/gtest.h>

using namespace qcc;

namespace {

/// Whether `pattern` matches; -1 when it is none.
int matches(std::string_view pattern, std::string_view name,
            PatternList::Begin begin = PatternList::Begin::Front) {
  PatternList list;
  if (list.add(pattern))
    return -1;
  Result<size_t> found = list.find(name, begin);
  return found ? *found == 0 : -1;
}

// What Python's re.match and re.search answer.
TEST(PatternList, MeansWhatPythonMeans) {
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
      {"^.$", "\xc3\xa9", true, true},
      {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true, true},
      {R"(\w$)", "\xc3\xa9", true, true},
      {"a$", "a\n", true, true},
      {R"(a\Z)", "a\n", false, false},
      {"a{,}b", "aaab", true, true},
      {"a{1,2,3}", "a{1,2,3}", true, true},
      {"x(?<=x)a(?<!b)", "xa", true, true},
      {"(?>a*)a", "aaa", false, false},
      {"a++b", "aab", true, true},
      {"[[:digit:]]", "g]", true, true},
      {"[[:digit:]]", "5", false, false},
      {"[]]", "]", true, true},
      {"[^]]", "]", false, false},
  };
  for (const Case &c : cases) {
    EXPECT_EQ(matches(c.pattern, c.name), c.match)
        << c.pattern << " " << c.name;
    EXPECT_EQ(matches(c.pattern, c.name, PatternList::Begin::Anywhere),
              c.search)
        << c.pattern << " " << c.name;
  }
}

// The words of some are PCRE2's, and differ with its version.
TEST(PatternList, RefusesByName) {
  auto problem = [](std::string_view pattern) {
    return PatternList().add(pattern).message();
  };
  for (const char *pattern :
       {"a(", "a)b", "[a", "*a", "a|?", "({2})", "a**", "a{3,2}", "\\", "(?P<a",
        "[b-a]", "[a\\", "(?P<a>b)(?P<a>c)"}) {
    const std::string start = "pattern '" + std::string(pattern) + "': ";
    EXPECT_TRUE(problem(pattern).starts_with(start)) << problem(pattern);
    EXPECT_GT(problem(pattern).size(), start.size());
  }
  EXPECT_EQ(problem("(a)\\1"), "pattern '(a)\\1': '\\1' is not supported");
  EXPECT_EQ(problem("\\Qa"), "pattern '\\Qa': '\\Q' is not supported");
  EXPECT_EQ(problem("[\\x41]"), "pattern '[\\x41]': '\\x' is not supported");
  for (std::string group :
       {"(?i", "(?#", "(?R", "(?|", "(?P=", "(?P>", "(?(1", "(*A", "(*U"}) {
    std::string pattern = group + ")b";
    EXPECT_EQ(problem(pattern), "pattern '" + pattern + "': the group '" +
                                    pattern.substr(0, 3) +
                                    "' is not supported");
  }
  EXPECT_FALSE(PatternList().add("\xff").message().empty());
}

// Sizes and times are bounded, whatever is asked.
TEST(PatternList, IsBounded) {
  std::string text;
  for (int i = 0; i < 30; ++i)
    text = "(" + text + "a*)*";
  EXPECT_EQ(matches(text + "(?!a)[bc]", std::string(1000, 'a'),
                    PatternList::Begin::Anywhere),
            -1);
  EXPECT_EQ(matches("((a{1000}){1000}){1000}", "a"), -1);
  EXPECT_EQ(matches(std::string(1000, '('), "a"), -1);
  EXPECT_EQ(matches(std::string(5000, 'a'), "a"), -1);
  EXPECT_EQ(matches("a", "\xff"), -1);
}

TEST(PatternList, FindsTheFirst) {
  PatternList list;
  EXPECT_TRUE(list.add("(").message().starts_with("pattern '(': "));
  for (const char *pattern : {"x", "a.*", "ab"})
    EXPECT_FALSE(list.add(pattern));
  EXPECT_EQ(*list.find("ab", PatternList::Begin::Front), 1u);
  EXPECT_EQ(*list.find("b", PatternList::Begin::Front), 3u);
  EXPECT_EQ(*list.find("bx", PatternList::Begin::Anywhere), 0u);
}

TEST(PatternList, EndsWhatTakesTooLong) {
  PatternList list;
  while (!list.add("(?!(?!.*(?!.*x{900}y).*z).*z).*w"))
    ;
  EXPECT_TRUE(list.add("ab").message().starts_with("pattern 'ab': more "));
  std::string name(1000, 'x');
  while (Result<size_t> found = list.find(name, PatternList::Begin::Anywhere))
    ;
  Result<size_t> found = list.find("ab", PatternList::Begin::Front);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.message(),
            "patterns that take too long to match against 'ab'");
}

} // namespace
