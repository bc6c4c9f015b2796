//===- PtxInstructions.cpp - What instructions of PTX mean ----------------===//
// SPDX-License-Identifier: Apache-2.0
//
// One row for each opcode: the modifiers that it may have, how many types and
// operands it has, and what it does. A modifier that changes the meaning and is
// not known must not be passed over.
//===----------------------------------------------------------------------===//

#include "PtxFunction.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/Intrinsics.h"

using namespace llvm;
using namespace qcc::emulator;

using Statement = PtxStatement;
using Opcode = Instruction::BinaryOps;

static constexpr PtxType kWord{PtxType::Bits, 32, 1};
static constexpr PtxType kPredicate{PtxType::Predicate, 1, 1};

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

/// Sums and products of floats say their rounding, or an assembler may join
/// them.
static void checkRounding(PtxFunction &f, const Statement &s) {
  if (s.types[0].isFloat() != s.has("rn"))
    f.fail("no rounding, or one of integers");
}

template <Opcode kInteger, Opcode kFloat>
static void binary(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  checkRounding(f, s);
  f.write(s.operands[0], type,
          f.ir.CreateBinOp(type.isFloat() ? kFloat : kInteger,
                           f.read(s.operands[1], type),
                           f.read(s.operands[2], type)));
}

template <Opcode kOpcode>
static void bitwise(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  f.write(s.operands[0], type,
          f.ir.CreateBinOp(kOpcode, f.read(s.operands[1], type),
                           f.read(s.operands[2], type)));
}

static PtxType twice(PtxType type) {
  type.bits *= 2;
  return type;
}

static Value *extend(PtxFunction &f, Value *value, PtxType type) {
  Type *wide = f.type(twice(type));
  return type.kind == PtxType::Signed ? f.ir.CreateSExt(value, wide)
                                      : f.ir.CreateZExt(value, wide);
}

/// The part of an integer product that the modifiers ask for; its type is
/// `result`.
static Value *product(PtxFunction &f, const Statement &s, PtxType &result) {
  PtxType type = s.types[0];
  Value *a = f.read(s.operands[1], type), *b = f.read(s.operands[2], type);
  result = s.has("wide") ? twice(type) : type;
  if (s.has("lo"))
    return f.ir.CreateMul(a, b);
  Value *wide = f.ir.CreateMul(extend(f, a, type), extend(f, b, type));
  if (s.has("hi"))
    return f.ir.CreateTrunc(f.ir.CreateLShr(wide, uint64_t(type.bits)),
                            f.type(type));
  if (!s.has("wide"))
    f.fail("a product of integers without its part");
  return wide;
}

static void multiply(PtxFunction &f, const Statement &s) {
  if (s.types[0].isFloat())
    return binary<Opcode::Mul, Opcode::FMul>(f, s);
  PtxType type;
  Value *value = product(f, s, type);
  f.write(s.operands[0], type, value);
}

static void multiplyAdd(PtxFunction &f, const Statement &s) {
  PtxType type;
  Value *value = product(f, s, type);
  f.write(s.operands[0], type,
          f.ir.CreateAdd(value, f.read(s.operands[3], type)));
}

static void fused(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  checkRounding(f, s);
  Value *value = f.ir.CreateIntrinsic(Intrinsic::fma, {f.type(type)},
                                      {f.read(s.operands[1], type),
                                       f.read(s.operands[2], type),
                                       f.read(s.operands[3], type)});
  f.write(s.operands[0], type, value);
}

static void divide(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  checkRounding(f, s);
  Opcode opcode = type.isFloat()                 ? Opcode::FDiv
                  : type.kind == PtxType::Signed ? Opcode::SDiv
                                                 : Opcode::UDiv;
  f.write(s.operands[0], type,
          f.ir.CreateBinOp(opcode, f.read(s.operands[1], type),
                           f.read(s.operands[2], type)));
}

static void remainder(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  f.write(s.operands[0], type,
          f.ir.CreateBinOp(
              type.kind == PtxType::Signed ? Opcode::SRem : Opcode::URem,
              f.read(s.operands[1], type), f.read(s.operands[2], type)));
}

/// A NaN gives way to a number.
template <Intrinsic::ID kFloat, Intrinsic::ID kSigned, Intrinsic::ID kUnsigned>
static void extreme(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  Intrinsic::ID id = type.isFloat()                 ? kFloat
                     : type.kind == PtxType::Signed ? kSigned
                                                    : kUnsigned;
  f.write(s.operands[0], type,
          f.ir.CreateBinaryIntrinsic(id, f.read(s.operands[1], type),
                                     f.read(s.operands[2], type)));
}

static void negate(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  Value *value = f.read(s.operands[1], type);
  f.write(s.operands[0], type,
          type.isFloat() ? f.ir.CreateFNeg(value) : f.ir.CreateNeg(value));
}

static void absolute(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  Value *value = f.read(s.operands[1], type);
  f.write(s.operands[0], type,
          type.isFloat() ? f.ir.CreateUnaryIntrinsic(Intrinsic::fabs, value)
                         : f.ir.CreateBinaryIntrinsic(Intrinsic::abs, value,
                                                      f.ir.getFalse()));
}

/// The value of the second with the sign of the first.
static void copySign(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  f.write(s.operands[0], type,
          f.ir.CreateBinaryIntrinsic(Intrinsic::copysign,
                                     f.read(s.operands[2], type),
                                     f.read(s.operands[1], type)));
}

static void invert(PtxFunction &f, const Statement &s) {
  f.write(s.operands[0], s.types[0],
          f.ir.CreateNot(f.read(s.operands[1], s.types[0])));
}

static void reciprocal(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  checkRounding(f, s);
  f.write(s.operands[0], type,
          f.ir.CreateFDiv(ConstantFP::get(f.type(type), 1),
                          f.read(s.operands[1], type)));
}

static void root(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  checkRounding(f, s);
  f.write(
      s.operands[0], type,
      f.ir.CreateUnaryIntrinsic(Intrinsic::sqrt, f.read(s.operands[1], type)));
}

//===----------------------------------------------------------------------===//
// Bits
//===----------------------------------------------------------------------===//

/// A shift by more bits than there are leaves 0, or the sign.
static void shift(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  Value *value = f.read(s.operands[1], type),
        *by = f.read(s.operands[2], kWord);
  bool isSigned = s.opcode == "shr" && type.kind == PtxType::Signed;
  Value *most = f.ir.getInt32(type.bits - 1);
  Value *isInside = f.ir.CreateICmpULE(by, most);
  Value *within = f.ir.CreateSelect(isInside, by, most);
  within = f.ir.CreateZExtOrTrunc(within, f.type(type));
  Value *result = s.opcode == "shl" ? f.ir.CreateShl(value, within)
                  : isSigned        ? f.ir.CreateAShr(value, within)
                                    : f.ir.CreateLShr(value, within);
  if (!isSigned)
    result = f.ir.CreateSelect(isInside, result,
                               Constant::getNullValue(result->getType()));
  f.write(s.operands[0], type, result);
}

/// A field of constant place and length.
static void extractField(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  auto *place = dyn_cast<ConstantInt>(f.read(s.operands[2], kWord));
  auto *length = dyn_cast<ConstantInt>(f.read(s.operands[3], kWord));
  if (!place || !length || length->isZero() ||
      place->getZExtValue() + length->getZExtValue() > type.bits)
    return f.fail("an unexpected field");
  uint64_t unused = type.bits - length->getZExtValue();
  Value *value = f.ir.CreateShl(f.read(s.operands[1], type),
                                unused - place->getZExtValue());
  f.write(s.operands[0], type,
          type.kind == PtxType::Signed ? f.ir.CreateAShr(value, unused)
                                       : f.ir.CreateLShr(value, unused));
}

static void countBits(PtxFunction &f, const Statement &s) {
  f.write(s.operands[0], kWord,
          f.ir.CreateUnaryIntrinsic(Intrinsic::ctpop,
                                    f.read(s.operands[1], kWord)));
}

static void permute(PtxFunction &f, const Statement &s) {
  f.write(s.operands[0], kWord,
          f.call("llvm.nvvm.prmt",
                 {f.read(s.operands[1], kWord), f.read(s.operands[2], kWord),
                  f.read(s.operands[3], kWord)}));
}

/// The union of the cases that a table lists.
static void logic3(PtxFunction &f, const Statement &s) {
  Type *word = f.ir.getInt32Ty();
  std::string text = "lop3.b32 $0, $1, $2, $3, " + s.operands[4].str() + ";";
  auto *type = FunctionType::get(word, {word, word, word}, false);
  Value *value = f.ir.CreateCall(
      InlineAsm::get(type, text, "=r,r,r,r", /*hasSideEffects=*/false),
      {f.read(s.operands[1], kWord), f.read(s.operands[2], kWord),
       f.read(s.operands[3], kWord)});
  f.write(s.operands[0], kWord, value);
}

//===----------------------------------------------------------------------===//
// Comparisons, conversions and moves
//===----------------------------------------------------------------------===//

static CmpInst::Predicate predicateOf(StringRef name, PtxType type) {
  using P = CmpInst::Predicate;
  if (type.isFloat())
    return StringSwitch<P>(name)
        .Case("eq", P::FCMP_OEQ)
        .Case("ne", P::FCMP_ONE)
        .Case("lt", P::FCMP_OLT)
        .Case("le", P::FCMP_OLE)
        .Case("gt", P::FCMP_OGT)
        .Case("ge", P::FCMP_OGE)
        .Case("equ", P::FCMP_UEQ)
        .Case("neu", P::FCMP_UNE)
        .Case("ltu", P::FCMP_ULT)
        .Case("leu", P::FCMP_ULE)
        .Case("gtu", P::FCMP_UGT)
        .Case("geu", P::FCMP_UGE)
        .Case("num", P::FCMP_ORD)
        .Case("nan", P::FCMP_UNO)
        .Default(P::BAD_FCMP_PREDICATE);
  bool isSigned = type.kind == PtxType::Signed;
  return StringSwitch<P>(name)
      .Case("eq", P::ICMP_EQ)
      .Case("ne", P::ICMP_NE)
      .Case("lt", isSigned ? P::ICMP_SLT : P::ICMP_ULT)
      .Case("le", isSigned ? P::ICMP_SLE : P::ICMP_ULE)
      .Case("gt", isSigned ? P::ICMP_SGT : P::ICMP_UGT)
      .Case("ge", isSigned ? P::ICMP_SGE : P::ICMP_UGE)
      .Default(P::BAD_ICMP_PREDICATE);
}

static void compare(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  CmpInst::Predicate predicate = s.modifiers.size() == 1
                                     ? predicateOf(s.modifiers[0], type)
                                     : CmpInst::BAD_ICMP_PREDICATE;
  if (!CmpInst::isIntPredicate(predicate) && !CmpInst::isFPPredicate(predicate))
    return f.fail("an unknown comparison");
  f.write(s.operands[0], kPredicate,
          f.ir.CreateCmp(predicate, f.read(s.operands[1], type),
                         f.read(s.operands[2], type)));
}

static void select(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  f.write(s.operands[0], type,
          f.ir.CreateSelect(f.read(s.operands[3], kPredicate),
                            f.read(s.operands[1], type),
                            f.read(s.operands[2], type)));
}

static Intrinsic::ID roundingToInteger(const Statement &s) {
  return s.has("rni")   ? Intrinsic::roundeven
         : s.has("rzi") ? Intrinsic::trunc
         : s.has("rmi") ? Intrinsic::floor
         : s.has("rpi") ? Intrinsic::ceil
                        : Intrinsic::not_intrinsic;
}

static Value *convertFloat(PtxFunction &f, const Statement &s, Value *value) {
  PtxType to = s.types[0], from = s.types[1];
  Intrinsic::ID rounding = roundingToInteger(s);
  if (rounding != Intrinsic::not_intrinsic)
    value = f.ir.CreateUnaryIntrinsic(rounding, value);
  if (!to.isFloat()) {
    if (rounding == Intrinsic::not_intrinsic)
      f.fail("no rounding");
    return f.ir.CreateIntrinsic(to.kind == PtxType::Signed
                                    ? Intrinsic::fptosi_sat
                                    : Intrinsic::fptoui_sat,
                                {f.type(to), value->getType()}, {value});
  }
  if (to.bits == from.bits && to.kind != from.kind)
    f.fail("an unknown conversion");
  if (to.bits < from.bits && !s.has("rn"))
    f.fail("no rounding");
  return f.ir.CreateFPCast(value, f.type(to));
}

static void convert(PtxFunction &f, const Statement &s) {
  PtxType to = s.types[0], from = s.types[1];
  Value *value = f.read(s.operands[1], from);
  Type *type = f.type(to);
  if (to.count == 2) {
    // The first operand becomes the upper half.
    if (s.operands.size() != 3 || !s.has("rn") || !from.isFloat())
      return f.fail("an unknown conversion");
    Value *pair = PoisonValue::get(type);
    Type *element = type->getScalarType();
    Value *low = f.read(s.operands[2], from);
    pair = f.ir.CreateInsertElement(pair, f.ir.CreateFPTrunc(low, element),
                                    uint64_t(0));
    value = f.ir.CreateInsertElement(pair, f.ir.CreateFPTrunc(value, element),
                                     uint64_t(1));
  } else if (from.isFloat()) {
    value = convertFloat(f, s, value);
  } else if (to.isFloat()) {
    if (!s.has("rn"))
      f.fail("no rounding");
    value = from.kind == PtxType::Signed ? f.ir.CreateSIToFP(value, type)
                                         : f.ir.CreateUIToFP(value, type);
  } else {
    value = from.kind == PtxType::Signed ? f.ir.CreateSExtOrTrunc(value, type)
                                         : f.ir.CreateZExtOrTrunc(value, type);
  }
  f.write(s.operands[0], to, value);
}

/// Also of several registers to one, and the other way.
static void move(PtxFunction &f, const Statement &s) {
  PtxType type = s.types[0];
  StringRef to = s.operands[0], from = s.operands[1];
  bool packs = from.starts_with("{"), unpacks = to.starts_with("{");
  if (!packs && !unpacks)
    return f.write(to, type, f.read(from, type));
  SmallVector<StringRef, 4> parts = splitPtxOperands(packs ? from : to);
  if (packs == unpacks || type.bits % parts.size())
    return f.fail("unexpected parts");
  PtxType part{PtxType::Bits, type.bits / unsigned(parts.size()), 1};
  Value *whole = packs ? f.ir.getIntN(type.bits, 0) : f.read(from, type);
  whole = f.ir.CreateBitCast(whole, f.ir.getIntNTy(type.bits));
  for (auto [i, name] : enumerate(parts)) {
    uint64_t place = i * part.bits;
    if (unpacks) {
      f.write(name, part,
              f.ir.CreateTrunc(f.ir.CreateLShr(whole, place), f.type(part)));
      continue;
    }
    Value *value = f.ir.CreateZExt(f.read(name, part), whole->getType());
    whole = f.ir.CreateOr(whole, f.ir.CreateShl(value, place));
  }
  if (packs)
    f.write(to, type, f.ir.CreateBitCast(whole, f.type(type)));
}

//===----------------------------------------------------------------------===//
// Threads together
//===----------------------------------------------------------------------===//

static void barrier(PtxFunction &f, const Statement &s) {
  Value *operand = f.read(s.operands[0], kWord);
  if (s.has("warp"))
    f.call("llvm.nvvm.bar.warp.sync", {operand});
  else
    f.call("llvm.nvvm.barrier.cta.sync.aligned.all", {operand});
}

static void dependOnGrids(PtxFunction &f, const Statement &s) {
  f.call(s.has("wait") ? "llvm.nvvm.griddepcontrol.wait"
                       : "llvm.nvvm.griddepcontrol.launch.dependents",
         {});
}

static void shuffle(PtxFunction &f, const Statement &s) {
  std::string name = "llvm.nvvm.shfl.sync.";
  for (StringRef mode : {"idx", "bfly", "up", "down"})
    if (s.has(mode))
      name += (mode + ".i32").str();
  f.write(s.operands[0], kWord,
          f.call(name,
                 {f.read(s.operands[4], kWord), f.read(s.operands[1], kWord),
                  f.read(s.operands[2], kWord), f.read(s.operands[3], kWord)}));
}

static void vote(PtxFunction &f, const Statement &s) {
  f.write(s.operands[0], kWord,
          f.call("llvm.nvvm.vote.ballot.sync",
                 {f.read(s.operands[2], kWord),
                  f.read(s.operands[1], kPredicate)}));
}

static void multiplyMatrices(PtxFunction &f, const Statement &s) {
  std::string shape = join(s.modifiers, ".");
  if (shape != "sync.aligned.m16n8k16.row.col" ||
      s.types[0].kind != PtxType::Float || s.types[0].bits != 32 ||
      !s.types[1].isFloat() || s.types[1].bits != 16 ||
      s.types[2].kind != s.types[1].kind)
    return f.fail("an unknown product of matrices");
  PtxType single{PtxType::Float, 32, 1};
  SmallVector<Value *> operands;
  for (unsigned i : {1u, 2u, 3u})
    for (StringRef name : splitPtxOperands(s.operands[i]))
      operands.push_back(f.read(name, i == 3 ? single : kWord));
  Value *sums = f.call(s.types[1].kind == PtxType::BFloat
                           ? "llvm.nvvm.mma.m16n8k16.row.col.bf16"
                           : "llvm.nvvm.mma.m16n8k16.row.col.f32.f32",
                       operands);
  for (auto [i, name] : enumerate(splitPtxOperands(s.operands[0])))
    f.write(name, single, f.ir.CreateExtractValue(sums, unsigned(i)));
}

static void powerOf2(PtxFunction &f, const Statement &s) {
  if (!s.has("approx") || !s.has("ftz") || s.types[0].bits != 32)
    return f.fail("an unknown power");
  f.write(s.operands[0], s.types[0],
          f.call("llvm.nvvm.ex2.approx.ftz",
                 {f.read(s.operands[1], s.types[0])}, {f.type(s.types[0])}));
}

static void branch(PtxFunction &f, const Statement &s) {
  f.branch(s.operands[0]);
}

static void leave(PtxFunction &f, const Statement &) { f.leave(); }

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

namespace {
struct Row {
  StringRef opcode;
  StringRef modifiers; ///< Those that it may have.
  unsigned types;
  unsigned operands;
  void (*emit)(PtxFunction &, const Statement &);
};
} // namespace

static constexpr unsigned kAny = ~0u; ///< Operands that the row checks.

static const Row rows[] = {
    {"add", "rn", 1, 3, binary<Opcode::Add, Opcode::FAdd>},
    {"sub", "rn", 1, 3, binary<Opcode::Sub, Opcode::FSub>},
    {"mul", "rn lo hi wide", 1, 3, multiply},
    {"mad", "lo wide", 1, 4, multiplyAdd},
    {"fma", "rn", 1, 4, fused},
    {"div", "rn", 1, 3, divide},
    {"rem", "", 1, 3, remainder},
    {"min", "", 1, 3,
     extreme<Intrinsic::minnum, Intrinsic::smin, Intrinsic::umin>},
    {"max", "", 1, 3,
     extreme<Intrinsic::maxnum, Intrinsic::smax, Intrinsic::umax>},
    {"neg", "", 1, 2, negate},
    {"abs", "", 1, 2, absolute},
    {"copysign", "", 1, 3, copySign},
    {"rcp", "rn", 1, 2, reciprocal},
    {"sqrt", "rn", 1, 2, root},
    {"ex2", "approx ftz", 1, 2, powerOf2},

    {"and", "", 1, 3, bitwise<Opcode::And>},
    {"or", "", 1, 3, bitwise<Opcode::Or>},
    {"xor", "", 1, 3, bitwise<Opcode::Xor>},
    {"not", "", 1, 2, invert},
    {"shl", "", 1, 3, shift},
    {"shr", "", 1, 3, shift},
    {"bfe", "", 1, 4, extractField},
    {"popc", "", 1, 2, countBits},
    {"prmt", "", 1, 4, permute},
    {"lop3", "", 1, 5, logic3},

    {"setp", "eq ne lt le gt ge equ neu ltu leu gtu geu num nan", 1, 3,
     compare},
    {"selp", "", 1, 4, select},
    {"cvt", "rn rni rzi rmi rpi", 2, kAny, convert},
    {"mov", "", 1, 2, move},

    {"ld", "param global shared nc v2 v4", 1, 2, emitPtxLoad},
    {"st", "global shared v2 v4", 1, 2, emitPtxStore},
    {"cp", "async commit_group wait_group cg shared global", 0, kAny,
     emitPtxCopy},

    {"prefetch", "global L2", 0, 1, emitPtxPrefetch},
    {"atom", "global inc", 1, 3, emitPtxAtomic},
    {"fence", "acq_rel gpu", 0, 0, emitPtxFence},

    {"bar", "sync warp", 0, 1, barrier},
    {"griddepcontrol", "wait launch_dependents", 0, 0, dependOnGrids},
    {"shfl", "sync idx bfly up down", 1, 5, shuffle},
    {"vote", "sync ballot", 1, 3, vote},
    {"mma", "sync aligned m16n8k16 row col", 4, 4, multiplyMatrices},
    {"ldmatrix", "sync aligned m8n8 x2 x4 trans shared", 1, 2,
     emitPtxLoadMatrices},
    {"bra", "uni", 0, 1, branch},
    {"ret", "", 0, 0, leave},
};

void qcc::emulator::emitPtxInstruction(PtxFunction &f, const Statement &s) {
  for (const Row &row : rows) {
    if (row.opcode != s.opcode)
      continue;
    SmallVector<StringRef> known;
    SplitString(row.modifiers, known);
    for (StringRef modifier : s.modifiers)
      if (!is_contained(known, modifier))
        return f.fail("an unknown modifier " + modifier);
    bool fits = row.operands == kAny || row.operands == s.operands.size();
    if (row.types != s.types.size() || !fits)
      return f.fail("an unexpected form");
    return row.emit(f, s);
  }
  f.fail("an unknown instruction");
}
