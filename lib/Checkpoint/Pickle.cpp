//===- Pickle.cpp - Reader of pickles that runs nothing -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Pickle.h"
#include "qcc/Formats/Bits.h"
#include <algorithm>
#include <cstdio>
#include <cstring>

using namespace qcc;
using Kind = PickleValue::Kind;

/// Bounds memory to some 200 MB, far above any known state dict: about 25 steps
/// that make values describe a tensor.
static constexpr size_t kMaxSteps = size_t(1) << 22;
static constexpr size_t kMaxBytes = size_t(1) << 28;
static constexpr unsigned kMaxProtocol = 5;

namespace {

enum Opcode : uint8_t {
  Mark = '(',
  Stop = '.',
  Pop = '0',
  PopMark = '1',
  Dup = '2',
  BinFloat = 'G',
  BinInt = 'J',
  BinInt1 = 'K',
  BinInt2 = 'M',
  None = 'N',
  BinPersId = 'Q',
  Reduce = 'R',
  BinString = 'T',
  ShortBinString = 'U',
  BinUnicode = 'X',
  Append = 'a',
  Build = 'b',
  GlobalName = 'c',
  Appends = 'e',
  BinGet = 'h',
  Inst = 'i',
  LongBinGet = 'j',
  EmptyList = ']',
  BinPut = 'q',
  LongBinPut = 'r',
  SetItem = 's',
  TupleFromMark = 't',
  EmptyTuple = ')',
  SetItems = 'u',
  EmptyDict = '}',
  Proto = 0x80,
  NewObj = 0x81,
  Tuple1 = 0x85,
  Tuple2 = 0x86,
  Tuple3 = 0x87,
  NewTrue = 0x88,
  NewFalse = 0x89,
  Long1 = 0x8a,
  Long4 = 0x8b,
  ShortBinUnicode = 0x8c,
  BinUnicode8 = 0x8d,
  StackGlobal = 0x93,
  Memoize = 0x94,
  Frame = 0x95,
};

} // namespace

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

PickleValue PickleMachine::makeDict() {
  containers.emplace_back();
  return {Kind::Dict, uint32_t(containers.size() - 1), 0};
}

// A text is its place in the program, a tuple its place in `tuples`.

std::string_view PickleMachine::text(const PickleValue &value) const {
  return {reinterpret_cast<const char *>(program.data()) + value.number,
          value.index};
}

std::span<const PickleValue>
PickleMachine::items(const PickleValue &value) const {
  if (value.kind == Kind::Tuple)
    return {tuples.data() + value.number, value.index};
  return containers[value.index];
}

std::string PickleMachine::describe(const PickleValue &value) const {
  switch (value.kind) {
  case Kind::None:
    return "None";
  case Kind::Bool:
    return value.number ? "True" : "False";
  case Kind::Integer:
    return "the integer " + std::to_string(value.number);
  case Kind::Float:
    return "a float";
  case Kind::Text:
    return "the text " + quoted(text(value));
  case Kind::Tuple:
    return "a tuple of " + std::to_string(value.index);
  case Kind::List:
    return "a list";
  case Kind::Dict:
    return "a dict";
  case Kind::Global:
    return "a class or function";
  case Kind::Object:
    return "a tensor or storage";
  }
  return "";
}

//===----------------------------------------------------------------------===//
// Input and stack
//===----------------------------------------------------------------------===//

bool PickleMachine::fail(const std::string &message) {
  error = Error("pickle: byte " + std::to_string(position) + ": " + message);
  return false;
}

bool PickleMachine::unexpected(const char *expected, const PickleValue &got) {
  return fail("expected " + std::string(expected) + ", got " + describe(got));
}

bool PickleMachine::take(size_t count, const uint8_t *&data) {
  if (program.size() - position < count)
    return fail("expected " + std::to_string(count) + " bytes more, got " +
                std::to_string(program.size() - position));
  data = program.data() + position;
  position += count;
  return true;
}

template <typename T>
bool PickleMachine::takeNumber(T &value) {
  const uint8_t *data;
  if (!take(sizeof(T), data))
    return false;
  value = loadLE<T>(data);
  return true;
}

bool PickleMachine::takeLine(std::string_view &line) {
  const auto *begin = program.data() + position;
  const auto *end = std::find(begin, program.data() + program.size(), '\n');
  if (end == program.data() + program.size())
    return fail("expected a line, got the end of the pickle");
  line = {reinterpret_cast<const char *>(begin), size_t(end - begin)};
  position += line.size() + 1;
  return true;
}

bool PickleMachine::push(const PickleValue &value) {
  stack.push_back(value);
  return true;
}

/// Fails where the values after the last mark end, as the value below belongs
/// to what is outside it.
bool PickleMachine::pop(PickleValue &value) {
  if (stack.size() == (marks.empty() ? 0 : marks.back()))
    return fail("expected a value on the stack, got none");
  value = stack.back();
  stack.pop_back();
  return true;
}

bool PickleMachine::popMark(size_t &count) {
  if (marks.empty())
    return fail("expected a mark on the stack, got none");
  count = stack.size() - marks.back();
  marks.pop_back();
  return true;
}

bool PickleMachine::pushText(uint64_t length) {
  const uint8_t *data;
  const size_t begin = position;
  return take(size_t(length), data) &&
         push({Kind::Text, uint32_t(length), int64_t(begin)});
}

bool PickleMachine::pushInteger(int64_t value) {
  return push({Kind::Integer, 0, value});
}

/// An integer of any length, of which 8 bytes can mean a size.
bool PickleMachine::pushLong(uint64_t length) {
  const uint8_t *data;
  if (!take(size_t(length), data))
    return false;
  if (length > 8)
    return fail("expected an integer of at most 8 bytes, got one of " +
                std::to_string(length));
  uint64_t bits = length && data[length - 1] & 0x80 ? ~uint64_t(0) : 0;
  std::memcpy(&bits, data, size_t(length));
  return pushInteger(int64_t(bits));
}

bool PickleMachine::pushGlobal(std::string_view module, std::string_view name) {
  uint32_t index = 0;
  if (!host.findGlobal(module, name, index)) {
    error = std::move(host.error);
    return false;
  }
  return push({Kind::Global, index, 0});
}

bool PickleMachine::pushTuple(size_t count) {
  const size_t above = stack.size() - (marks.empty() ? 0 : marks.back());
  if (above < count)
    return fail("expected " + std::to_string(count) +
                " values on the stack, got " + std::to_string(above));
  const PickleValue tuple{Kind::Tuple, uint32_t(count), int64_t(tuples.size())};
  tuples.insert(tuples.end(), stack.end() - ptrdiff_t(count), stack.end());
  stack.resize(stack.size() - count);
  return push(tuple);
}

bool PickleMachine::pushContainer(Kind kind) {
  containers.emplace_back();
  return push({kind, uint32_t(containers.size() - 1), 0});
}

//===----------------------------------------------------------------------===//
// Opcodes
//===----------------------------------------------------------------------===//

bool PickleMachine::remember(uint64_t index) {
  // Writers count up, so that an index is at most the number of steps.
  if (index > steps)
    return fail("expected a memo index of at most " + std::to_string(steps) +
                ", got " + std::to_string(index));
  PickleValue value;
  if (!pop(value))
    return false;
  if (memo.size() <= index)
    memo.resize(size_t(index) + 1, {Kind::None, kUnset, 0});
  memo[size_t(index)] = value;
  return push(value);
}

bool PickleMachine::recall(uint64_t index) {
  if (index >= memo.size() || (memo[size_t(index)].kind == Kind::None &&
                               memo[size_t(index)].index == kUnset))
    return fail("memo " + std::to_string(index) + " is not set");
  return push(memo[size_t(index)]);
}

/// Moves the uppermost values into the container below them.
bool PickleMachine::extend(Kind kind, size_t count) {
  if (kind == Kind::Dict && count % 2)
    return fail("expected a key and a value in turn, got " +
                std::to_string(count) + " values");
  const size_t open = marks.empty() ? 0 : marks.back();
  if (stack.size() - open <= count)
    return fail("expected a container below " + std::to_string(count) +
                " values, got none");
  const PickleValue &container = stack[stack.size() - count - 1];
  if (container.kind != kind)
    return unexpected(kind == Kind::Dict ? "a dict" : "a list", container);
  std::vector<PickleValue> &items = containers[container.index];
  items.insert(items.end(), stack.end() - ptrdiff_t(count), stack.end());
  stack.resize(stack.size() - count);
  return true;
}

/// Calls a global, or makes an instance of it, with a tuple of arguments.
bool PickleMachine::callGlobal() {
  PickleValue arguments, global, result;
  if (!pop(arguments) || !pop(global))
    return false;
  if (global.kind != Kind::Global)
    return unexpected("a function", global);
  if (arguments.kind != Kind::Tuple)
    return unexpected("a tuple of arguments", arguments);
  if (!host.call(*this, global.index, items(arguments), result)) {
    error = std::move(host.error);
    return false;
  }
  return push(result);
}

bool PickleMachine::loadPersistent() {
  PickleValue id, result;
  if (!pop(id))
    return false;
  if (!host.load(*this, id, result)) {
    error = std::move(host.error);
    return false;
  }
  return push(result);
}

/// Attributes of a dict ("_metadata" of a state dict) are of no use.
bool PickleMachine::setState() {
  PickleValue state, object;
  if (!pop(state) || !pop(object))
    return false;
  if (object.kind != Kind::Dict)
    return unexpected("a dict that has attributes", object);
  return push(object);
}

bool PickleMachine::step(uint8_t opcode, bool &isDone) {
  PickleValue value, other;
  std::string_view module, name;
  size_t count = 0;
  uint8_t u8 = 0;
  uint16_t u16 = 0;
  uint32_t u32 = 0;
  int32_t i32 = 0;
  uint64_t u64 = 0;
  const uint8_t *data;
  switch (opcode) {
  case Proto:
    return takeNumber(u8) &&
           ((u8 >= 2 && u8 <= kMaxProtocol) ||
            fail("expected protocol 2 to 5, got " + std::to_string(u8)));
  case Frame:
    return takeNumber(u64);
  case Stop:
    isDone = true;
    return true;

  case None:
    return push({Kind::None, 0, 0});
  case NewTrue:
    return push({Kind::Bool, 0, 1});
  case NewFalse:
    return push({Kind::Bool, 0, 0});
  case BinInt:
    return takeNumber(i32) && pushInteger(i32);
  case BinInt1:
    return takeNumber(u8) && pushInteger(u8);
  case BinInt2:
    return takeNumber(u16) && pushInteger(u16);
  case Long1:
    return takeNumber(u8) && pushLong(u8);
  case Long4:
    return takeNumber(u32) && pushLong(u32);
  case BinFloat:
    return take(8, data) && push({Kind::Float, 0, 0});
  case ShortBinString:
  case ShortBinUnicode:
    return takeNumber(u8) && pushText(u8);
  case BinString:
  case BinUnicode:
    return takeNumber(u32) && pushText(u32);
  case BinUnicode8:
    return takeNumber(u64) && pushText(u64);

  case Mark:
    marks.push_back(stack.size());
    return true;
  case Pop:
    return stack.size() == (marks.empty() ? 0 : marks.back()) && !marks.empty()
               ? popMark(count)
               : pop(value);
  case PopMark:
    if (!popMark(count))
      return false;
    stack.resize(stack.size() - count);
    return true;
  case Dup:
    return pop(value) && push(value) && push(value);
  case BinPut:
    return takeNumber(u8) && remember(u8);
  case LongBinPut:
    return takeNumber(u32) && remember(u32);
  case Memoize:
    return remember(memo.size());
  case BinGet:
    return takeNumber(u8) && recall(u8);
  case LongBinGet:
    return takeNumber(u32) && recall(u32);

  case EmptyTuple:
    return pushTuple(0);
  case Tuple1:
    return pushTuple(1);
  case Tuple2:
    return pushTuple(2);
  case Tuple3:
    return pushTuple(3);
  case TupleFromMark:
    return popMark(count) && pushTuple(count);
  case EmptyList:
    return pushContainer(Kind::List);
  case EmptyDict:
    return pushContainer(Kind::Dict);
  case Append:
    return extend(Kind::List, 1);
  case Appends:
    return popMark(count) && extend(Kind::List, count);
  case SetItem:
    return extend(Kind::Dict, 2);
  case SetItems:
    return popMark(count) && extend(Kind::Dict, count);

  case Inst: // Names and calls at once, in protocol 0; the name matters.
    return takeLine(module) && takeLine(name) && pushGlobal(module, name) &&
           fail("expected an opcode of torch.save, got 'i'");
  case GlobalName:
    return takeLine(module) && takeLine(name) && pushGlobal(module, name);
  case StackGlobal:
    if (!pop(value) || !pop(other))
      return false;
    if (value.kind != Kind::Text || other.kind != Kind::Text)
      return unexpected("the name of a class or function",
                        value.kind == Kind::Text ? other : value);
    return pushGlobal(text(other), text(value));
  case BinPersId:
    return loadPersistent();
  case Reduce:
  case NewObj:
    return callGlobal();
  case Build:
    return setState();
  }
  char code[8];
  std::snprintf(code, sizeof(code), "0x%02x", opcode);
  return fail("expected an opcode of torch.save, got " + std::string(code));
}

Result<PickleValue> PickleMachine::run() {
  if (program.size() > kMaxBytes)
    return Error("pickle: expected at most " + std::to_string(kMaxBytes) +
                 " bytes, got " + std::to_string(program.size()));
  for (bool isDone = false; !isDone;) {
    if (position == program.size()) {
      fail("expected an opcode, got the end");
      return std::move(error);
    }
    if (++steps > kMaxSteps) {
      fail("expected at most " + std::to_string(kMaxSteps) + " opcodes");
      return std::move(error);
    }
    if (!step(program[position++], isDone))
      return std::move(error);
  }
  PickleValue result;
  if (!marks.empty() || !pop(result) || !stack.empty()) {
    fail("expected one value on the stack at the end");
    return std::move(error);
  }
  return result;
}
