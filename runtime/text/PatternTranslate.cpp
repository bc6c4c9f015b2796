//===- PatternTranslate.cpp - Oniguruma's patterns for PCRE2 --------------===//
// SPDX-License-Identifier: Apache-2.0
//
// Reads what both notations share and writes it down so that PCRE2 has the
// same meaning: classes by Unicode's definitions, possessive and lazy
// quantifiers, groups, lookaround, ^ and $ at lines, options. Everything else
// is named in an error rather than guessed.
//===----------------------------------------------------------------------===//

#include "Pattern.h"

#include "Utf8.h"

#include <cstdint>
#include <cstdio>

namespace qcc::text {

// Inside of a character class. PCRE2's \s has U+180E too, its \w lacks marks.
#define SPACE "\\t-\\r\\x{85}\\p{Z}"
#define NO_SPACE                                                               \
  "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}" \
  "\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-"        \
  "\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}"
// Of the numbers that are no digits, Oniguruma has those of Latin-1.
#define WORD                                                                   \
  "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"

// Properties that mean the same in both.
static constexpr std::string_view categories[] = {
    "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",  "Mc",        "Me",
    "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd",        "Pe",
    "Pf", "Pi", "Po", "Ps", "S",  "Sc", "Sk", "Sm",        "So",
    "Z",  "Zl", "Zp", "Zs", "Cc", "Cf", "Co", "Alphabetic"};
static constexpr std::string_view scripts[] = {
    "Arabic",   "Armenian", "Bengali",   "Bopomofo",  "Cyrillic", "Devanagari",
    "Ethiopic", "Georgian", "Greek",     "Gujarati",  "Gurmukhi", "Han",
    "Hangul",   "Hebrew",   "Hiragana",  "Kannada",   "Katakana", "Khmer",
    "Lao",      "Latin",    "Malayalam", "Mongolian", "Myanmar",  "Oriya",
    "Sinhala",  "Tamil",    "Telugu",    "Thai",      "Tibetan"};

// Case folding may join these letters into one (as in U+FB01).
static constexpr std::string_view foldedPairs[] = {"ff", "fi", "fl", "ss",
                                                   "st"};
// Ranges of the letters that are such pairs, or others of several letters.
static constexpr uint32_t manyFolded[][2] = {
    {0xDF, 0xDF},     {0x130, 0x130},   {0x149, 0x149},  {0x1F0, 0x1F0},
    {0x390, 0x390},   {0x3B0, 0x3B0},   {0x587, 0x587},  {0x1E96, 0x1E9A},
    {0x1E9E, 0x1E9E}, {0x1F50, 0x1FFC}, {0xFB00, 0xFB17}};

namespace {
class Translator {
public:
  Translator(std::string_view in, std::string &error) : in(in), error(error) {}

  std::string run() {
    if (in.empty())
      return fail("is empty"), std::string();
    if (!isValidUtf8(in))
      return fail("is not UTF-8"), std::string();
    while (at < in.size())
      if (!element())
        return {};
    if (hasManyFolded)
      return refuse("a letter that is several without case"), std::string();
    return depth == 0 ? out : (fail("has an open group"), std::string());
  }

private:
  bool fail(const std::string &what) {
    error = "pattern '" + std::string(in.substr(0, 200)) + "' " + what;
    for (char &c : error) // an error is one line
      if (static_cast<uint8_t>(c) < 0x20)
        c = ' ';
    return false;
  }
  bool refuse(std::string_view what) {
    return fail("has " + std::string(what) + ", which is not supported");
  }
  void noteFolded(uint32_t low, uint32_t high) {
    for (const auto &range : manyFolded)
      hasManyFolded |= ignoresCase && low <= range[1] && high >= range[0];
  }
  bool next(std::string_view text) {
    if (in.substr(at, text.size()) != text)
      return false;
    at += text.size();
    return true;
  }

  void literal(uint32_t codePoint) {
    noteFolded(codePoint, codePoint);
    static constexpr std::string_view special = "\\^$.[]|()?*+{}-#&~/ ";
    if (codePoint >= 0x80 || codePoint < 0x20 || codePoint == 0x7F) {
      char text[16];
      std::snprintf(text, sizeof text, "\\x{%X}", codePoint);
      out += text;
    } else {
      char c = static_cast<char>(codePoint);
      if (special.find(c) != std::string_view::npos && c != ' ')
        out += '\\';
      out += c;
    }
  }

  bool element() {
    char c = in[at];
    if (c == '(')
      return ++at, group();
    if (c == ')') {
      if (depth-- == 0)
        return fail("closes a group that is not open");
      ++at;
      out += ')';
      isStart = false;
      last = 0;
      return quantifier();
    }
    if (c == '|') {
      ++at;
      out += '|';
      last = 0;
      return true;
    }
    if (c == '^' || c == '$') {
      ++at;
      out += c == '^' ? "(?m:^)" : "(?m:$)";
      isStart = false;
      return true;
    }
    if (c == '*' || c == '+' || c == '?')
      return refuse(std::string("'") + c + "' after nothing");
    isStart = false;
    uint32_t code = 0;
    if (c == '[') {
      ++at;
      bool isInverted = next("^");
      out += isInverted ? "[^" : "[";
      if (!classBody())
        return false;
      out += ']';
      last = 0;
    } else if (c == '.') {
      ++at;
      out += "[^\\n]";
      last = 0;
    } else if (c == '\\') {
      if (!escape(false, code))
        return false;
      last = 0;
    } else {
      at += decodeUtf8(in, at, code);
      // A folded pair shows itself in any part of a pattern.
      if (ignoresCase && last && code < 0x80)
        for (std::string_view pair : foldedPairs)
          if ((last | 32) == static_cast<uint32_t>(pair[0]) &&
              (code | 32) == static_cast<uint32_t>(pair[1]))
            return refuse("'" + std::string(pair) + "' without case");
      last = code;
      literal(code);
    }
    return quantifier();
  }

  bool quantifier() {
    if (at == in.size())
      return true;
    char c = in[at];
    if (c == '{') {
      size_t close = in.find('}', at);
      std::string_view range = close == std::string_view::npos
                                   ? std::string_view()
                                   : in.substr(at + 1, close - at - 1);
      if (range.empty() ||
          range.find_first_not_of("0123456789,") != std::string_view::npos ||
          range == "," || range.find(',') != range.rfind(','))
        return refuse("'{' that is no quantifier");
      at = close + 1;
      out += '{';
      if (range[0] == ',')
        out += '0';
      out += range;
      out += '}';
      last = 0;
      if (next("?")) {
        if (range.find(',') == std::string_view::npos)
          return refuse("'{n}?'"); // there it may also be left out
        out += '?';
      }
    } else if (c == '*' || c == '+' || c == '?') {
      ++at;
      out += c;
      last = 0;
      if (next("?"))
        out += '?';
      else if (next("+"))
        out += '+';
    } else {
      return true;
    }
    if (at < in.size() &&
        std::string_view("*+?{").find(in[at]) != std::string_view::npos)
      return refuse("a quantifier after a quantifier");
    return true;
  }

  bool group() {
    last = 0;
    bool keepsCase = ignoresCase;
    if (!next("?")) {
      out += "(?:"; // what it captures is of no use
    } else if (next("i)")) {
      // Elsewhere the rest of the group would become one of its own.
      if (!isStart || depth != 0)
        return refuse("(?i) in the middle");
      ignoresCase = true;
      out += "(?i)";
      return true;
    } else {
      static constexpr std::string_view kinds[] = {
          ":", "=", "!", "<=", "<!", ">", "i:", "-i:"};
      size_t kind = 0;
      while (kind < std::size(kinds) && !next(kinds[kind]))
        ++kind;
      if (kind == std::size(kinds))
        return refuse("'(?" + std::string(in.substr(at, 1)) + "'");
      if (kind >= 6)
        ignoresCase = kind == 6;
      out += "(?";
      out += kinds[kind];
    }
    // Deeper ones are an error of PCRE2's, too.
    if (++depth > 100)
      return refuse("more than 100 groups in each other");
    size_t outer = depth - 1;
    while (depth > outer) {
      if (at == in.size())
        return fail("has an open group");
      if (!element())
        return false;
    }
    ignoresCase = keepsCase;
    return true;
  }

  /// The items of a class up to and with its ']'. A class inside of it without
  /// ^ adds what it has.
  bool classBody() {
    if (++nested > 8)
      return refuse("classes in classes");
    bool isFirst = true;
    for (;; isFirst = false) {
      if (at == in.size())
        return fail("has an open class");
      if (in[at] == ']' && !isFirst)
        break;
      if (in[at] == ']')
        return refuse("']' at the start of a class");
      if (in.substr(at, 2) == "&&" || in.substr(at, 2) == "[:" ||
          in.substr(at, 2) == "[^")
        return refuse("'" + std::string(in.substr(at, 2)) + "' in a class");
      if (next("[")) {
        if (!classBody())
          return false;
        continue;
      }
      uint32_t low = 0, high = 0;
      bool isCharacter = false;
      if (!classCharacter(low, isCharacter))
        return false;
      if (!isCharacter || at == in.size() || in[at] != '-' ||
          in.substr(at, 2) == "-]")
        continue;
      ++at;
      out += '-';
      if (in[at] == '[' || !classCharacter(high, isCharacter) || !isCharacter ||
          low > high)
        return error.empty() ? refuse("a range without an end") : false;
      noteFolded(low, high);
    }
    --nested;
    ++at;
    return true;
  }

  bool classCharacter(uint32_t &code, bool &isCharacter) {
    isCharacter = true;
    if (at == in.size())
      return fail("has an open class");
    if (in[at] == '\\') {
      code = none;
      if (!escape(true, code))
        return false;
      isCharacter = code != none;
      return true;
    }
    at += decodeUtf8(in, at, code);
    literal(code);
    return true;
  }

  /// After a backslash. `code` is set for what stands for one character.
  bool escape(bool inClass, uint32_t &code) {
    if (++at == in.size())
      return fail("ends in a backslash");
    char c = in[at++];
    auto put = [&](const char *members) {
      out += inClass ? members : "[" + std::string(members) + "]";
      return true;
    };
    auto putCharacter = [&](uint32_t value) {
      code = value;
      literal(value);
      return true;
    };
    switch (c) {
    case 's':
      return put(SPACE);
    case 'S':
      return put(NO_SPACE);
    case 'd':
      return put("\\p{Nd}");
    case 'D':
      return put("\\P{Nd}");
    case 'w':
      return put(WORD);
    case 'h':
      return put("0-9A-Fa-f");
    case 'W':
      if (inClass)
        return refuse("\\W in a class");
      out += "[^" WORD "]";
      return true;
    case 'p':
    case 'P':
      return property(c == 'P');
    case 'n':
      return putCharacter('\n');
    case 'r':
      return putCharacter('\r');
    case 't':
      return putCharacter('\t');
    case 'f':
      return putCharacter('\f');
    case 'v':
      return putCharacter('\v');
    case 'a':
      return putCharacter('\a');
    case 'e':
      return putCharacter(0x1B);
    case 'u':
      return hex(4, code) && putCharacter(code);
    case 'x':
      if (next("{")) {
        if (!hex(0, code) || !next("}"))
          return error.empty() ? fail("has an open \\x{") : false;
        return putCharacter(code);
      }
      if (!hex(2, code))
        return false;
      return code < 0x80 ? putCharacter(code)
                         : refuse("a byte that is no character");
    default:
      break;
    }
    if (!inClass && (c == 'A' || c == 'z')) {
      out += '\\';
      out += c;
      return true;
    }
    if (!inClass && (c == 'b' || c == 'B')) {
      out += c == 'b' ? "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD
                        "])(?=[" WORD "]))"
                      : "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD
                        "])(?![" WORD "]))";
      return true;
    }
    bool isSign = static_cast<unsigned char>(c) >= 0x20 &&
                  static_cast<unsigned char>(c) < 0x7F &&
                  !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
                  !(c >= '0' && c <= '9');
    if (!isSign)
      return refuse("'\\" + std::string(1, c) + "'");
    return putCharacter(static_cast<uint32_t>(c));
  }

  /// `digits` digits, or as many as there are if 0.
  bool hex(size_t digits, uint32_t &code) {
    code = 0;
    size_t read = 0;
    for (; at < in.size() && (digits == 0 || read < digits); ++at, ++read) {
      char c = in[at];
      uint32_t digit;
      if (c >= '0' && c <= '9')
        digit = static_cast<uint32_t>(c - '0');
      else if ((c | 32) >= 'a' && (c | 32) <= 'f')
        digit = static_cast<uint32_t>((c | 32) - 'a') + 10;
      else
        break;
      if (read == 6)
        break;
      code = code * 16 + digit;
    }
    if (read == 0 || (digits && read != digits) || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000))
      return refuse("a number of a character that is none");
    return true;
  }

  bool property(bool isInverted) {
    size_t close = in.find('}', at);
    if (!next("{") || close == std::string_view::npos)
      return refuse("a property without braces");
    if (next("^"))
      isInverted = !isInverted;
    std::string_view name = in.substr(at, close - at);
    at = close + 1;
    std::string_view kind;
    for (std::string_view known : categories)
      if (known == name)
        kind = "{";
    for (std::string_view known : scripts)
      if (known == name)
        kind = "{sc:";
    if (ignoresCase && (name == "Lu" || name == "Ll" || name == "Lt"))
      return refuse("a property of case without case");
    if (kind.empty())
      return refuse("property '" + std::string(name.substr(0, 40)) + "'");
    out += isInverted ? "\\P" : "\\p";
    out += kind;
    out += name;
    out += '}';
    return true;
  }

  static constexpr uint32_t none = UINT32_MAX;
  std::string_view in;
  std::string &error;
  std::string out;
  size_t at = 0, depth = 0, nested = 0;
  uint32_t last = 0; ///< the literal before, or 0
  bool isStart = true, ignoresCase = false, hasManyFolded = false;
};
} // namespace

std::string translatePattern(std::string_view pattern, std::string &error) {
  error.clear();
  return Translator(pattern, error).run();
}

std::string escapePattern(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("\\^$.[]|()?*+{}").find(c) != std::string_view::npos)
      out += '\\';
    out += c;
  }
  return out;
}

} // namespace qcc::text
