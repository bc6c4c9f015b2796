//===- InlineAsm.cpp - The meaning of PTX inside a module -----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// One instruction without operands, one with an address, or one whose
// destination is $0 and whose sources are operands or integers. An instruction
// that has an entry in Intrinsics.h under its own name needs nothing here.
//===----------------------------------------------------------------------===//

#include "InlineAsm.h"

#include "Intrinsics.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace qcc::emulator;

namespace {
struct PTX {
  StringRef mnemonic;
  SmallVector<Value *> sources;
};
} // namespace

/// False unless the text is one instruction of the form above.
static bool parse(CallInst &call, StringRef text, PTX &result) {
  text = text.trim();
  if (!text.consume_back(";") || text.contains_insensitive(";"))
    return false;
  auto [mnemonic, rest] = text.split(' ');
  result.mnemonic = mnemonic;
  SmallVector<StringRef> operands;
  rest.split(operands, ',');
  if (operands.empty() || operands[0].trim() != "$0")
    return false;
  for (StringRef operand : drop_begin(operands)) {
    operand = operand.trim();
    uint64_t number = 0;
    bool isInteger = false;
    if (!operand.consume_front("$"))
      isInteger = true;
    if (operand.getAsInteger(0, number))
      return false;
    if (isInteger) {
      if (number > UINT32_MAX)
        return false;
      result.sources.push_back(
          ConstantInt::get(Type::getInt32Ty(call.getContext()), number));
    } else {
      // $0 is the result, so that $1 is the first argument.
      if (number < 1 || number > call.arg_size())
        return false;
      result.sources.push_back(call.getArgOperand(unsigned(number) - 1));
    }
  }
  return true;
}

static Value *buildLop3(IRBuilder<> &builder, ArrayRef<Value *> sources) {
  if (sources.size() != 4)
    return nullptr;
  auto *table = dyn_cast<ConstantInt>(sources[3]);
  if (!table || table->getZExtValue() > 255)
    return nullptr;
  // The union of the cases that the table lists; bit 4a + 2b + c is one case.
  Value *result = builder.getInt32(0);
  for (unsigned index = 0; index < 8; ++index) {
    if (!(table->getZExtValue() >> index & 1))
      continue;
    Value *term = builder.getInt32(~0u);
    for (unsigned i = 0; i < 3; ++i) {
      Value *source = sources[i];
      if (!(index >> (2 - i) & 1))
        source = builder.CreateNot(source);
      term = builder.CreateAnd(term, source);
    }
    result = builder.CreateOr(result, term);
  }
  return result;
}

Value *qcc::emulator::buildPermute(IRBuilder<> &builder, Value *a, Value *b,
                                   Value *selector) {
  Type *wide = builder.getInt64Ty();
  Value *bytes = builder.CreateOr(
      builder.CreateZExt(a, wide),
      builder.CreateShl(builder.CreateZExt(b, wide), uint64_t(32)));
  Value *result = builder.getInt32(0);
  for (unsigned i = 0; i < 4; ++i) {
    Value *choice = builder.CreateLShr(selector, 4 * i);
    Value *shift = builder.CreateZExt(
        builder.CreateShl(builder.CreateAnd(choice, 7), uint64_t(3)), wide);
    Value *byte = builder.CreateTrunc(builder.CreateLShr(bytes, shift),
                                      builder.getInt8Ty());
    // Bit 3 of a choice asks for the byte's sign instead.
    Value *sign = builder.CreateAShr(byte, uint64_t(7));
    Value *wantsSign =
        builder.CreateICmpNE(builder.CreateAnd(choice, 8), builder.getInt32(0));
    byte = builder.CreateSelect(wantsSign, sign, byte);
    result = builder.CreateOr(
        result, builder.CreateShl(
                    builder.CreateZExt(byte, builder.getInt32Ty()), 8 * i));
  }
  return result;
}

std::optional<Value *> qcc::emulator::expandInlineAsm(CallInst &call,
                                                      EmitEntry emitEntry) {
  auto *code = cast<InlineAsm>(call.getCalledOperand());
  StringRef text = code->getAsmString();
  if (StringRef name = text.trim();
      call.getType()->isVoidTy() && name.consume_back(";")) {
    SmallVector<Value *> operands;
    if (name.consume_back(" [$0]") && call.arg_size() == 1)
      operands.push_back(call.getArgOperand(0));
    if (call.arg_size() == operands.size() && findEntry(name))
      return emitEntry(name, operands, call.getType());
  }
  PTX instruction;
  if (!code->getConstraintString().starts_with("=") ||
      call.getType()->isVoidTy() || !parse(call, text, instruction))
    return std::nullopt;
  IRBuilder<> builder(&call);
  ArrayRef<Value *> sources = instruction.sources;
  auto areWords = [&] {
    return all_of(sources, [](Value *value) {
      return value->getType()->isIntegerTy(32);
    });
  };
  Value *result = nullptr;
  if (instruction.mnemonic == "lop3.b32" && areWords())
    result = buildLop3(builder, sources);
  else if (instruction.mnemonic == "prmt.b32" && sources.size() == 3 &&
           areWords())
    result = buildPermute(builder, sources[0], sources[1], sources[2]);
  else if (instruction.mnemonic == "mov.b32" && sources.size() == 1)
    result = sources[0];
  else if (findEntry(instruction.mnemonic))
    return emitEntry(instruction.mnemonic, sources, call.getType());
  if (!result)
    return std::nullopt;
  if (result->getType() != call.getType()) {
    if (!CastInst::isBitCastable(result->getType(), call.getType()))
      return std::nullopt;
    result = builder.CreateBitCast(result, call.getType());
  }
  return result;
}
