//===- PtxText.cpp - The statements of a PTX file -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PtxText.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;
using namespace qcc::emulator;

static Error problem(const char *what, StringRef where) {
  return createStringError("PTX: %s: %s", what,
                           where.trim().take_front(80).str().c_str());
}

bool PtxStatement::has(StringRef modifier) const {
  return is_contained(modifiers, modifier);
}

bool qcc::emulator::parsePtxType(StringRef suffix, PtxType &type) {
  type = {};
  if (suffix == "pred") {
    type = {PtxType::Predicate, 1, 1};
    return true;
  }
  if (suffix.consume_front("bf"))
    type.kind = PtxType::BFloat;
  else if (suffix.consume_front("b"))
    type.kind = PtxType::Bits;
  else if (suffix.consume_front("s"))
    type.kind = PtxType::Signed;
  else if (suffix.consume_front("u"))
    type.kind = PtxType::Unsigned;
  else if (suffix.consume_front("f"))
    type.kind = PtxType::Float;
  else
    return false;
  if (suffix.consume_back("x2"))
    type.count = 2;
  return !suffix.getAsInteger(10, type.bits) &&
         is_contained({8u, 16u, 32u, 64u}, type.bits);
}

SmallVector<StringRef, 4> qcc::emulator::splitPtxOperands(StringRef list) {
  list = list.trim();
  if (list.starts_with("{") && list.ends_with("}") &&
      list.find('}') == list.size() - 1)
    list = list.drop_front().drop_back();
  SmallVector<StringRef, 4> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '{' || list[i] == '[')
      ++depth;
    else if (list[i] == '}' || list[i] == ']')
      --depth;
    else if (list[i] == ',' && depth == 0) {
      parts.push_back(list.slice(begin, i).trim());
      begin = i + 1;
    }
  }
  if (StringRef last = list.drop_front(begin).trim(); !last.empty())
    parts.push_back(last);
  return parts;
}

static std::string withoutComments(StringRef text) {
  std::string result;
  SmallVector<StringRef> lines;
  text.split(lines, '\n');
  for (StringRef line : lines) {
    result += line.split("//").first;
    result += '\n';
  }
  return result;
}

static bool isNameCharacter(char c) {
  return isAlnum(c) || c == '_' || c == '$';
}

//===----------------------------------------------------------------------===//
// Variables
//===----------------------------------------------------------------------===//

/// ".global .align 64 .b8 name[64] = {0, 1}"
static Error parseVariable(StringRef text, PtxVariable &variable) {
  auto [declaration, initializer] = text.split('=');
  SmallVector<StringRef> words;
  SplitString(declaration, words);
  for (size_t i = 0; i < words.size(); ++i) {
    StringRef word = words[i];
    PtxType type;
    if (word == ".extern")
      variable.isExternal = true;
    else if (word == ".visible")
      continue;
    else if (word == ".global" || word == ".shared")
      variable.space = word.drop_front();
    else if (word == ".align" && i + 1 < words.size() &&
             !words[i + 1].getAsInteger(10, variable.alignment))
      ++i;
    else if (word.starts_with(".") && parsePtxType(word.drop_front(), type))
      variable.elementBytes = type.bits / 8;
    else if (i + 1 == words.size() && word.ends_with("]")) {
      auto [name, count] = word.drop_back().split('[');
      variable.name = name;
      if (!count.empty() && count.getAsInteger(10, variable.count))
        return problem("a variable's size", text);
    } else {
      return problem("an unknown variable", text);
    }
  }
  for (StringRef value : splitPtxOperands(initializer)) {
    variable.values.emplace_back();
    if (value.getAsInteger(0, variable.values.back()))
      return problem("an unknown value of a variable", value);
  }
  if (variable.space.empty() || variable.name.empty() ||
      variable.values.size() > variable.count || !variable.alignment)
    return problem("an unknown variable", text);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// ".reg .b32 %r<31>"
static Error parseRegisters(StringRef text, PtxEntry &entry) {
  SmallVector<StringRef> words;
  SplitString(text, words);
  PtxType type;
  if (words.size() != 3 || words[0] != ".reg" || !words[1].consume_front(".") ||
      !parsePtxType(words[1], type))
    return problem("an unknown declaration", text);
  entry.registers.emplace_back(words[2].split('<').first, type.allBits());
  return Error::success();
}

static Error parseInstruction(StringRef text, PtxEntry &entry) {
  PtxStatement result;
  result.text = text;
  if (text.consume_front("@")) {
    result.negated = text.consume_front("!");
    result.guard = text.take_until([](char c) { return isSpace(c); });
    text = text.drop_front(result.guard.size()).ltrim();
  }
  StringRef name = text.take_until([](char c) { return isSpace(c); });
  result.operands = splitPtxOperands(text.drop_front(name.size()));
  SmallVector<StringRef> parts;
  name.split(parts, '.');
  result.opcode = parts.front();
  for (StringRef part : drop_begin(parts)) {
    PtxType type;
    if (parsePtxType(part, type))
      result.types.push_back(type);
    else
      result.modifiers.push_back(part);
  }
  entry.statements.push_back(std::move(result));
  return Error::success();
}

static Error parseBody(StringRef body, PtxEntry &entry) {
  while (!(body = body.ltrim()).empty()) {
    StringRef name = body.take_while(isNameCharacter);
    if (!name.empty() && body.drop_front(name.size()).starts_with(":")) {
      PtxStatement label;
      label.text = label.label = name;
      entry.statements.push_back(std::move(label));
      body = body.drop_front(name.size() + 1);
      continue;
    }
    auto [statement, rest] = body.split(';');
    if (statement.size() == body.size())
      return problem("a statement without an end", statement);
    statement = statement.trim();
    body = rest;
    // How ptxas is to make the loop is not what it does.
    if (statement == ".pragma \"nounroll\"")
      continue;
    if (Error error = statement.starts_with(".")
                          ? parseRegisters(statement, entry)
                          : parseInstruction(statement, entry))
      return error;
  }
  return Error::success();
}

/// "name(.param .u64 .ptr .global .align 16 p) .maxntid 128, 1, 1", before the
/// body. How many blocks should fit on a multiprocessor changes nothing.
static Error parseHead(StringRef head, PtxEntry &entry) {
  auto [name, rest] = head.split('(');
  auto [parameters, directives] = rest.split(')');
  entry.name = name.trim();
  for (StringRef parameter : splitPtxOperands(parameters)) {
    SmallVector<StringRef> words;
    SplitString(parameter, words);
    PtxType type;
    if (words.size() < 3 || words[0] != ".param" ||
        !words[1].consume_front(".") || !parsePtxType(words[1], type))
      return problem("an unknown parameter", parameter);
    entry.parameters.push_back({words.back(), type.allBits()});
  }
  if (directives.trim().empty())
    return Error::success();
  SmallVector<StringRef> words;
  SplitString(directives, words, " ,\t\n");
  if (words.size() == 6 && words[4] == ".minnctapersm")
    words.truncate(4);
  if (words.size() != 4 || words[0] != ".maxntid" ||
      words[1].getAsInteger(10, entry.threads) || words[2] != "1" ||
      words[3] != "1")
    return problem("unknown directives of a kernel", directives);
  return Error::success();
}

Error qcc::emulator::parsePtx(StringRef text, PtxFile &file) {
  file.text = withoutComments(text);
  StringRef rest = file.text;
  while (!(rest = rest.ltrim()).empty()) {
    StringRef line = rest.take_until([](char c) { return c == '\n'; });
    if (line.starts_with(".version") || line.starts_with(".address_size") ||
        line.starts_with(".target")) {
      if (line.consume_front(".target"))
        file.target = line.trim();
      rest = rest.drop_front(
          rest.take_until([](char c) { return c == '\n'; }).size());
      continue;
    }
    auto [head, after] = rest.split(" .entry ");
    bool isEntry = head == ".visible";
    if (!isEntry) {
      size_t end = rest.find(';');
      if (end == StringRef::npos)
        return problem("unknown text", rest);
      file.variables.emplace_back();
      if (Error error =
              parseVariable(rest.take_front(end), file.variables.back()))
        return error;
      rest = rest.drop_front(end + 1);
      continue;
    }
    size_t begin = after.find('{'), end = begin;
    int depth = 0;
    for (; end < after.size(); ++end) {
      depth += after[end] == '{' ? 1 : after[end] == '}' ? -1 : 0;
      if (depth == 0)
        break;
    }
    if (end >= after.size())
      return problem("a kernel without an end", after);
    file.entries.emplace_back();
    if (Error error = parseHead(after.take_front(begin), file.entries.back()))
      return error;
    if (Error error =
            parseBody(after.slice(begin + 1, end), file.entries.back()))
      return error;
    rest = after.drop_front(end + 1);
  }
  return Error::success();
}
