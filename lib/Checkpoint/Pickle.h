//===- Pickle.h - Reader of pickles that runs nothing -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// A pickle is a program for a stack machine. This machine knows the opcodes of
// protocols 2 to 5 that build plain data, and asks its host about all else:
// which names a program may mention, and what calling them gives. There is
// nothing that it could run.
//
// Values share what they hold, so that a program makes at most one value for
// each of its bytes, whatever it repeats; nothing recurses.
//===----------------------------------------------------------------------===//

#ifndef QCC_LIB_CHECKPOINT_PICKLE_H
#define QCC_LIB_CHECKPOINT_PICKLE_H

#include "qcc/Support/Error.h"
#include <cstdint>
#include <span>
#include <vector>

namespace qcc {

/// A handle; the machine owns what it refers to.
struct PickleValue {
  enum Kind : uint32_t {
    None,
    Bool,    ///< `number` is 0 or 1.
    Integer, ///< `number`.
    Float,   ///< Not kept.
    Text,
    Tuple,
    List,
    Dict,
    Global, ///< `index` is the host's.
    Object, ///< Made by the host; `index` and `number` are the host's.
  };
  Kind kind = None;
  uint32_t index = 0;
  int64_t number = 0;
};

class PickleMachine;

/// What a machine asks about a program. A method returns false after it set
/// `error`, whose message has no file in front of it.
class PickleHost {
public:
  virtual ~PickleHost() = default;

  /// The program mentions `module.name`. Sets `index` to the host's for it.
  virtual bool findGlobal(std::string_view module, std::string_view name,
                          uint32_t &index) = 0;
  /// The program calls a global.
  virtual bool call(PickleMachine &machine, uint32_t global,
                    std::span<const PickleValue> arguments,
                    PickleValue &result) = 0;
  /// The program loads something that is not in it.
  virtual bool load(PickleMachine &machine, PickleValue id,
                    PickleValue &result) = 0;

  Error error;
};

class PickleMachine {
public:
  /// The program must outlive the machine.
  PickleMachine(std::span<const uint8_t> program, PickleHost &host)
      : program(program), host(host) {}

  /// Runs to the end. The error has no file in front of it.
  Result<PickleValue> run();

  PickleValue makeDict();
  /// Only of a Text.
  std::string_view text(const PickleValue &value) const;
  /// Only of a Tuple, a List or a Dict, which has keys and values in turn.
  /// Valid until the next step.
  std::span<const PickleValue> items(const PickleValue &value) const;
  /// "an integer", "the text 'cpu'".
  std::string describe(const PickleValue &value) const;

private:
  bool step(uint8_t opcode, bool &isDone);
  bool fail(const std::string &message);
  bool unexpected(const char *expected, const PickleValue &got);

  bool take(size_t count, const uint8_t *&data);
  template <typename T>
  bool takeNumber(T &value);
  bool takeLine(std::string_view &line);

  bool push(const PickleValue &value);
  bool pop(PickleValue &value);
  bool pushText(uint64_t length);
  bool pushGlobal(std::string_view module, std::string_view name);
  bool pushTuple(size_t count);
  bool pushContainer(PickleValue::Kind kind);
  bool pushInteger(int64_t value);
  bool pushLong(uint64_t length);
  bool popMark(size_t &count);
  bool remember(uint64_t index);
  bool recall(uint64_t index);
  bool extend(PickleValue::Kind kind, size_t count);
  bool callGlobal();
  bool loadPersistent();
  bool setState();

  /// In `index` of a None in the memo.
  static constexpr uint32_t kUnset = 1;

  const std::span<const uint8_t> program;
  PickleHost &host;
  size_t position = 0;
  size_t steps = 0;
  std::vector<PickleValue> stack, memo;
  std::vector<size_t> marks; ///< Stack sizes at which they were set.
  std::vector<PickleValue> tuples;
  std::vector<std::vector<PickleValue>> containers; ///< Lists and dicts.
  Error error;
};

} // namespace qcc

#endif // QCC_LIB_CHECKPOINT_PICKLE_H
