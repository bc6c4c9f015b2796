//===- TileEmulation.cpp - AMX on machines that have none -----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TileEmulation.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsX86.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <stdexcept>

using namespace llvm;
using namespace qcc::test;

//===----------------------------------------------------------------------===//
// What the instructions do
//===----------------------------------------------------------------------===//

namespace {
constexpr unsigned kRows = 16, kBytes = 64;

/// A tile register with its configuration. What lies outside of the shape is 0.
struct Tile {
  uint16_t rows, bytes;
  uint8_t data[kRows][kBytes];
};

std::atomic<uint64_t> products;
std::mutex faultMutex;
std::string fault;

void refuse(const std::string &why) {
  std::lock_guard lock(faultMutex);
  if (fault.empty())
    fault = why;
}

void expectShape(const Tile &tile, unsigned rows, unsigned bytes,
                 const char *what) {
  if (tile.rows != rows || tile.bytes != bytes)
    refuse(std::string(what) + " of " + std::to_string(tile.rows) +
           " rows of " + std::to_string(tile.bytes) + " bytes, not " +
           std::to_string(rows) + " of " + std::to_string(bytes));
}

void zero(Tile *tile, uint16_t rows, uint16_t bytes) {
  std::memset(tile, 0, sizeof(Tile));
  if (rows == 0 || rows > kRows || bytes == 0 || bytes > kBytes)
    return refuse("a tile of " + std::to_string(rows) + " rows of " +
                  std::to_string(bytes) + " bytes");
  tile->rows = rows;
  tile->bytes = bytes;
}

/// TILELOADD
void load(Tile *tile, uint16_t rows, uint16_t bytes, const uint8_t *from,
          int64_t stride) {
  zero(tile, rows, bytes);
  for (unsigned row = 0; row < tile->rows; ++row)
    std::memcpy(tile->data[row], from + row * stride, tile->bytes);
}

/// TILESTORED
void store(uint16_t rows, uint16_t bytes, uint8_t *to, int64_t stride,
           const Tile *tile) {
  expectShape(*tile, rows, bytes, "a stored tile");
  for (unsigned row = 0; row < tile->rows; ++row)
    std::memcpy(to + row * stride, tile->data[row], tile->bytes);
}

/// Counts a product, and says whether its shapes let it be done.
bool isProduct(uint16_t m, uint16_t n, uint16_t k, const Tile &c, const Tile &a,
               const Tile &b) {
  ++products;
  expectShape(c, m, n, "a sum");
  expectShape(a, m, k, "a first factor");
  expectShape(b, uint16_t(k / 4), n, "a second factor");
  if (n % 4 == 0 && k % 4 == 0)
    return true;
  refuse("a product of parts of dwords");
  return false;
}

/// TDPB..D: dwords of `a` hold four bytes along the inner dimension, those of
/// row k of `b` the four bytes of each column that they meet.
template <typename A, typename B>
void dotBytes(Tile *result, uint16_t m, uint16_t n, uint16_t k, const Tile *c,
              const Tile *a, const Tile *b) {
  if (!isProduct(m, n, k, *c, *a, *b))
    return;
  Tile sum = *c;
  for (unsigned row = 0; row < m; ++row)
    for (unsigned inner = 0; inner < k / 4u; ++inner)
      for (unsigned column = 0; column < n / 4u; ++column) {
        uint32_t total;
        std::memcpy(&total, &sum.data[row][column * 4], 4);
        for (unsigned i = 0; i < 4; ++i)
          total += uint32_t(int32_t(A(a->data[row][inner * 4 + i])) *
                            int32_t(B(b->data[inner][column * 4 + i])));
        std::memcpy(&sum.data[row][column * 4], &total, 4);
      }
  *result = sum;
}

/// Subnormal numbers are 0 before and after each operation.
float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

float fromHalf(const uint8_t *bytes) {
  uint32_t bits = uint32_t(bytes[0]) << 16 | uint32_t(bytes[1]) << 24;
  float x;
  std::memcpy(&x, &bits, 4);
  return flushed(x);
}

/// TDPBF16PS: the first and the second elements of pairs are summed apart.
void dotHalves(Tile *result, uint16_t m, uint16_t n, uint16_t k, const Tile *c,
               const Tile *a, const Tile *b) {
  if (!isProduct(m, n, k, *c, *a, *b))
    return;
  Tile sum = *c;
  for (unsigned row = 0; row < m; ++row)
    for (unsigned column = 0; column < n / 4u; ++column) {
      float parts[2] = {0, 0}, total;
      for (unsigned inner = 0; inner < k / 4u; ++inner)
        for (unsigned i = 0; i < 2; ++i)
          parts[i] = flushed(std::fma(
              fromHalf(&a->data[row][inner * 4 + 2 * i]),
              fromHalf(&b->data[inner][column * 4 + 2 * i]), parts[i]));
      std::memcpy(&total, &sum.data[row][column * 4], 4);
      total = flushed(flushed(total) + flushed(parts[0] + parts[1]));
      std::memcpy(&sum.data[row][column * 4], &total, 4);
    }
  *result = sum;
}

struct TileFunction {
  Intrinsic::ID intrinsic;
  const char *name;
  void *function;
};
const TileFunction kFunctions[] = {
    {Intrinsic::x86_tilezero_internal, "tile.zero",
     reinterpret_cast<void *>(&zero)},
    {Intrinsic::x86_tileloadd64_internal, "tile.load",
     reinterpret_cast<void *>(&load)},
    {Intrinsic::x86_tilestored64_internal, "tile.store",
     reinterpret_cast<void *>(&store)},
    {Intrinsic::x86_tdpbssd_internal, "tile.bssd",
     reinterpret_cast<void *>(&dotBytes<int8_t, int8_t>)},
    {Intrinsic::x86_tdpbsud_internal, "tile.bsud",
     reinterpret_cast<void *>(&dotBytes<int8_t, uint8_t>)},
    {Intrinsic::x86_tdpbf16ps_internal, "tile.bf16",
     reinterpret_cast<void *>(&dotHalves)}};
} // namespace

std::vector<std::pair<const char *, void *>> qcc::test::tileFunctions() {
  std::vector<std::pair<const char *, void *>> list;
  for (const TileFunction &known : kFunctions)
    list.emplace_back(known.name, known.function);
  return list;
}

uint64_t qcc::test::tileProductCount() { return products; }

std::string qcc::test::takeTileFault() {
  std::lock_guard lock(faultMutex);
  return std::exchange(fault, "");
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// A tile becomes memory of its function; whoever reads it gets its address.
void qcc::test::emulateTiles(Module &module) {
  for (Function &function : module) {
    SmallVector<CallInst *> calls;
    DenseMap<Value *, Value *> memory;
    for (Instruction &instruction : instructions(function)) {
      auto *call = dyn_cast<CallInst>(&instruction);
      bool isTile = instruction.getType()->isX86_AMXTy();
      for (Value *operand : instruction.operands())
        isTile |= operand->getType()->isX86_AMXTy();
      if (!isTile)
        continue;
      if (!call)
        throw std::runtime_error("a tile is used by something else than an "
                                 "intrinsic");
      calls.push_back(call);
      if (!call->getType()->isX86_AMXTy())
        continue;
      Type *bytes =
          ArrayType::get(Type::getInt8Ty(module.getContext()), sizeof(Tile));
      memory[call] = new AllocaInst(bytes, 0, nullptr, Align(64), "tile",
                                    function.getEntryBlock().begin());
    }
    for (CallInst *call : calls) {
      const TileFunction *known =
          find_if(kFunctions, [&](const TileFunction &candidate) {
            return candidate.intrinsic == call->getIntrinsicID();
          });
      if (known == std::end(kFunctions))
        throw std::runtime_error("no emulation of " +
                                 call->getCalledFunction()->getName().str());
      SmallVector<Value *> operands;
      if (Value *result = memory.lookup(call))
        operands.push_back(result);
      for (Value *operand : call->args())
        operands.push_back(operand->getType()->isX86_AMXTy()
                               ? memory.lookup(operand)
                               : operand);
      SmallVector<Type *> types;
      for (Value *operand : operands)
        types.push_back(operand->getType());
      IRBuilder<> builder(call);
      CallInst *made = builder.CreateCall(
          module.getOrInsertFunction(
              known->name,
              FunctionType::get(builder.getVoidTy(), types, false)),
          operands);
      for (unsigned i = 0; i < types.size(); ++i)
        if (types[i]->isIntegerTy(16))
          made->addParamAttr(i, Attribute::ZExt);
    }
    for (CallInst *call : calls)
      if (call->getType()->isX86_AMXTy())
        call->replaceAllUsesWith(PoisonValue::get(call->getType()));
    for (CallInst *call : calls)
      call->eraseFromParent();
  }
}
