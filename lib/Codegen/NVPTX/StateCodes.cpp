//===- StateCodes.cpp - Keys and values in 8 bits -------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "StateCodes.h"

#include "qcc/Formats/QuantizedState.h"

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

static_assert(kStateGroup == kWarpSize, "a lane has one element of each group");

/// The lane's element of each group; 0 behind the last element.
static Values loadGroups(StageKernel &stage, Value row, int64_t size) {
  WarpEmitter &e = stage.e;
  Values x;
  for (int64_t first = 0; first < size; first += kWarpSize) {
    Value index = e.add(stage.lane, first);
    auto load = [&] {
      return Values{
          e.load(e.f32(), e.offset(row, e.mul(index, 4)), llvm::Align(4))};
    };
    if (first + kWarpSize <= size)
      x.append(load());
    else
      x.append(e.ifElse(e.lessThan(index, e.c32(size)), load,
                        [&] { return Values{e.zero(e.f32())}; }));
  }
  return x;
}

/// mixState() of the first `count` groups. All take a step before any takes the
/// next one, since a warp waits for what its lanes exchange.
static void mixGroups(StageKernel &stage, Values &x, int64_t count) {
  WarpEmitter &e = stage.e;
  for (int64_t apart = 1; apart < kWarpSize; apart *= 2) {
    Value isSecond =
        e.cmp(arith::CmpIPredicate::ne, e.bitAnd(stage.lane, apart), e.c32(0));
    for (int64_t i = 0; i < count; ++i) {
      Value &own = x[size_t(i)];
      Value other = e.shuffleXor(own, apart);
      own = e.select(isSecond, e.subf(other, own), e.addf(own, other));
    }
  }
  for (int64_t i = 0; i < count; ++i)
    x[size_t(i)] = e.mulf(x[size_t(i)], double(kStateMix));
}

/// Calls `body` with the lane's element of each group and its index.
static void forElements(StageKernel &stage, int64_t size,
                        function_ref<void(size_t group, Value index)> body) {
  WarpEmitter &e = stage.e;
  for (int64_t first = 0; first < size; first += kWarpSize) {
    Value index = e.add(stage.lane, first);
    auto put = [&] { body(size_t(first / kWarpSize), index); };
    if (first + kWarpSize <= size)
      put();
    else
      e.ifThen(e.lessThan(index, e.c32(size)), put);
  }
}

void nvptx::mixQuery(StageKernel &stage, Value row, int64_t size, Value out) {
  WarpEmitter &e = stage.e;
  Values x = loadGroups(stage, row, size);
  mixGroups(stage, x, size / kWarpSize);
  forElements(stage, size, [&](size_t group, Value index) {
    e.store(x[group], e.offset(out, e.mul(index, 4)), llvm::Align(4));
  });
}

void nvptx::quantizeHead(StageKernel &stage, Value row, int64_t size,
                         bool isKey, Value codes, Value scales) {
  WarpEmitter &e = stage.e;
  Values x = loadGroups(stage, row, size), peaks, rounded, inverses;
  if (isKey)
    mixGroups(stage, x, size / kWarpSize);
  for (Value element : x)
    peaks.push_back(
        e.larger(e.absf(element), e.constant(e.f32(), double(kStatePeak))));
  for (int64_t mask = 1; mask < kWarpSize; mask *= 2)
    for (Value &peak : peaks)
      peak = e.larger(e.shuffleXor(peak, mask), peak);
  for (Value peak : peaks) {
    rounded.push_back(
        e.truncf(e.mulf(peak, double(1 / kStateCode)), e.b.getBF16Type()));
    inverses.push_back(
        e.divf(e.constant(e.f32(), 1.0), e.extf(rounded.back(), e.f32())));
  }
  e.ifThen(stage.isFirstLane(), [&] {
    for (auto [group, scale] : llvm::enumerate(rounded))
      e.store(scale, scales, int64_t(group) * 2, llvm::Align(2));
  });
  forElements(stage, size, [&](size_t group, Value index) {
    Value code = e.unary("llvm.roundeven", e.mulf(x[group], inverses[group]));
    Value biased = e.add(e.floatToInt(code, e.i32()), kStateBias);
    e.store(e.trunc(biased, e.i8()), e.offset(codes, index));
  });
}

Values nvptx::loadCodes(WarpEmitter &e, Value pointer, int64_t count) {
  const llvm::Align alignment{uint64_t(count)};
  if (count < 4) {
    Type type = count == 2 ? e.i16() : e.i8();
    return {e.zext(e.load(type, pointer, alignment), e.i32())};
  }
  if (count == 4)
    return {e.load(e.i32(), pointer, alignment)};
  Value words = e.load(e.vec(count / 4, e.i32()), pointer, alignment);
  Values result;
  for (int64_t i = 0; i < count / 4; ++i)
    result.push_back(e.extract(words, i));
  return result;
}

Value nvptx::loadStateScale(WarpEmitter &e, Value pointer) {
  Value bits = e.load(e.i16(), pointer, llvm::Align(2));
  return e.bitcast(e.shift(e.zext(bits, e.i32()), 16), e.f32());
}

Values nvptx::scaleCodes(WarpEmitter &e, ValueRange words, int64_t first,
                         int64_t count, Value scale) {
  // A byte in the second byte of the f32 2^15 adds it. What is subtracted has
  // nine bits more than the scale, so that nothing is rounded.
  constexpr int64_t kMagic = 0x47000000;
  constexpr double kBase = 0x1p15 + kStateBias;
  Value base = e.mulf(scale, -kBase);
  Values result;
  for (int64_t i = first; i < first + count; ++i) {
    Value selector = e.c32(0x7404 | i % 4 << 4);
    Value bits = e.call("llvm.nvvm.prmt", e.i32(),
                        {words[unsigned(i / 4)], e.c32(kMagic), selector});
    result.push_back(e.fma(e.bitcast(bits, e.f32()), scale, base));
  }
  return result;
}
