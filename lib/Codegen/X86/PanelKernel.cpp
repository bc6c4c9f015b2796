//===- PanelKernel.cpp - A panel of weights times a tile of rows ----------===//
// SPDX-License-Identifier: Apache-2.0
//
// Integer activations: for each group, an exact integer dot product, then
//
//   acc += float(sum (code - zero) * x) * (S * scale(x)) + M * fsum(x)
//
// with a zero point that all groups share entering through the precomputed sum
// of x, as the start value of the integer accumulator. Zero points of their own
// are minima of -zero * S: a multiplication of integers for each row would take
// longer than that of floats for all.
//
// bf16 activations, with weights that are bf16 without rounding: acc +=
// (sum code * x) * S for each group.
//
// Float activations: acc += (S * code + M) * x, or, in generating steps without
// M, acc += (sum code * x) * S for each group.
//===----------------------------------------------------------------------===//

#include "PanelKernel.h"

#include <cmath>

using namespace mlir;
using namespace qcc;
using namespace qcc::x86;

unsigned PanelKernel::maxCode(const Encoding &encoding) {
  if (encoding.table.empty())
    return (1u << encoding.bits) - 1;
  unsigned largest = 0;
  for (int8_t value : encoding.table)
    largest = std::max(largest, unsigned(value + 128));
  return largest;
}

Value PanelKernel::codes(int64_t q, function_ref<Value(int64_t)> loadWord) {
  Value result;
  for (const PackedLayout::Plane &plane : layout.planes) {
    int64_t width = plane.width, line = q % width;
    Value word = loadWord(plane.offset + line * 64);
    if (width != 8) {
      int position = int(width * (q / width)), target = int(plane.shift);
      uint32_t mask = (((1u << width) - 1) << target) * 0x01010101u;
      word = e.bitAnd(e.shift(word, target - position), mask);
    }
    result = result ? e.bitOr(result, word) : word;
  }
  if (encoding.table.empty())
    return result;
  SmallVector<uint8_t> table;
  for (int8_t value : encoding.table)
    table.push_back(uint8_t(value + 128));
  if (isa<VectorType>(result.getType()))
    return instructions.lookup(e, table, result);
  Value vector = e.splat(result, e.vec(instructions.lanes, e.i32()));
  return e.extract(instructions.lookup(e, table, vector), 0);
}

/// Sign and magnitude go to where f32 keeps sign and exponent, which makes
/// 2^-120 of the number, subnormal ones included. A magnitude of 0x7f gives a
/// number here; see nanLanes().
Values PanelKernel::e4m3Numbers(Value codes) {
  VectorType floats =
      e.vec(cast<VectorType>(codes.getType()).getNumElements(), e.f32());
  Values values;
  for (int j = 0; j < 4; ++j) {
    Value top = e.shift(codes, 24 - 8 * j);
    Value bits = e.bitAnd(e.ashr(top, 4), int64_t(int32_t(0x87f00000)));
    values.push_back(e.mulf(e.bitcast(bits, floats), std::ldexp(1.0, 120)));
  }
  return values;
}

/// Codes are the high bytes of half floats.
Values PanelKernel::e5m2Numbers(Value codes) {
  VectorType ints = cast<VectorType>(codes.getType());
  VectorType words = e.vec(2 * ints.getNumElements(), e.i16());
  Value both = e.bitcast(codes, words);
  // Codes 0 and 2, then 1 and 3.
  Value halves[] = {e.bitcast(e.shift(both, 8), ints),
                    e.bitcast(e.bitAnd(both, 0xff00), ints)};
  Values values;
  for (int shift : {0, -16})
    for (Value half : halves) {
      Value bits = e.trunc(e.shift(half, shift), e.i16());
      values.push_back(e.extf(
          e.bitcast(bits, e.vec(ints.getNumElements(), e.f16())), e.f32()));
    }
  return values;
}

Value PanelKernel::nanLanes(Value codes) {
  if (encoding.minifloat != Minifloat::E4M3FN)
    return Value();
  Value carry = e.add(e.bitAnd(codes, 0x7f7f7f7f), 0x01010101);
  return e.bitAnd(carry, int64_t(int32_t(0x80808080)));
}

Value PanelKernel::withNaN(Value sums, Value lanes) {
  if (!lanes)
    return sums;
  Value isNaN = e.cmp(arith::CmpIPredicate::ne, lanes, e.zero(lanes.getType()));
  Value nan = e.constant(sums.getType(), std::nan(""));
  return e.select(isNaN, nan, sums);
}

Values PanelKernel::numbers(Value codes, Value zero) {
  if (encoding.minifloat != Minifloat::None)
    return encoding.minifloat == Minifloat::E4M3FN ? e4m3Numbers(codes)
                                                   : e5m2Numbers(codes);
  Values values;
  for (int j = 0; j < 4; ++j) {
    Value code = e.shift(codes, -8 * j);
    if (!encoding.values.empty()) {
      values.push_back(
          instructions.lookup(e, ArrayRef<float>(encoding.values), code));
      continue;
    }
    code = e.bitAnd(code, 255);
    code = zero ? e.sub(code, zero) : e.add(code, -zeroPoint());
    values.push_back(e.intToFloat(code, e.f32()));
  }
  return values;
}

SmallVector<int64_t> PanelKernel::groupOrder() const {
  SmallVector<int64_t> widths;
  for (const PackedLayout::Plane &plane : layout.planes)
    widths.push_back(plane.width);
  llvm::sort(widths);
  SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(8));
  llvm::stable_sort(order, [&](int64_t a, int64_t b) {
    for (int64_t width : widths)
      if (a % width != b % width)
        return a % width < b % width;
    return false;
  });
  return order;
}

void PanelKernel::prefetchAfter(Value chunk) {
  if (llvm::any_of(layout.planes, [](const PackedLayout::Plane &plane) {
        return plane.width == 8;
      }))
    return;
  for (int64_t at = 0; at < layout.chunkBytes; at += 64)
    e.prefetch(chunk, layout.chunkBytes + at);
}

bool PanelKernel::isFactorLate() const {
  return !act.isFloat() && layout.scaleInUnit && !encoding.isTwoLevel() &&
         !encoding.hasMin() && layout.unitK > PackedLayout::kChunk;
}

Value PanelKernel::startSum(Value tileChunk, bool hasZeros, int64_t first,
                            int64_t end, int64_t r) {
  int64_t zero = integerZeroOf(encoding);
  if (hasZeros || zero == 0)
    return Value();
  // What a group of weights covers may be more than one sum.
  Value start;
  for (int64_t k = first; k < end; k += act.dotGroup()) {
    Value sum = e.loadSplat(e.vec(instructions.lanes, e.i32()), tileChunk,
                            act.nsumOffset(k / act.dotGroup(), r));
    start = start ? e.add(start, sum) : sum;
  }
  return e.mul(start, zero / act.zeroFactor);
}

Value PanelKernel::blockProduct(Value tileChunk, bool hasZeros, int64_t first,
                                int64_t end, int64_t r) {
  auto sums = [&](int64_t plane) {
    return tileSums(e, act, e.i32(), unpacked->sums, first, plane, r);
  };
  Value whole = sums(act.planes() - 1);
  if (act.planes() == 2)
    whole = e.add(e.shift(sums(0), 8), whole);
  if (!tileCodes().isSigned)
    if (Value start = startSum(tileChunk, hasZeros, first, end, r))
      whole = e.add(whole, start);
  return e.intToFloat(whole, e.f32());
}

Values PanelKernel::dotProducts(Value tileChunk, bool hasZeros, int64_t first,
                                int64_t end,
                                function_ref<Value(int64_t)> line) {
  VectorType ints = e.vec(instructions.lanes, e.i32()),
             floats = e.vec(instructions.lanes, e.f32());
  // By half of the weights' integers, then by plane of the activations.
  SmallVector<SmallVector<Values>, 2> sums(
      integers ? 2 : 1,
      SmallVector<Values>(act.planes(), Values(rows, e.zero(ints))));
  for (int64_t r = 0; r < rows; ++r)
    if (Value start = startSum(tileChunk, hasZeros, first, end, r))
      sums[0].back()[r] = start;
  for (int64_t q : groupOrder()) {
    if (q < first / 4 || q >= end / 4)
      continue;
    Value word = codes(q, line);
    Values halves = {word};
    if (integers)
      halves = {instructions.lookup(e, integers->high, word),
                instructions.lookup(e, integers->low, word)};
    unsigned largest = integers ? IntegerValues::kLargest : maxCode(encoding);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t plane = 0; plane < act.planes(); ++plane) {
        Value x = e.loadSplat(ints, tileChunk, act.dotOffset(plane, q, r));
        for (auto [half, sum] : llvm::zip_equal(halves, sums))
          sum[plane][r] =
              instructions.dotProduct(e, sum[plane][r], half, x, largest);
      }
  }
  Values result;
  for (int64_t r = 0; r < rows; ++r) {
    Values halves;
    for (SmallVector<Values> &sum : sums) {
      Value whole = sum.back()[r];
      if (act.planes() == 2)
        whole = e.add(e.shift(sum[0][r], 8), whole);
      halves.push_back(e.intToFloat(whole, e.f32()));
    }
    result.push_back(integers
                         ? e.fma(halves[0], e.constant(floats, 128), halves[1])
                         : halves[0]);
  }
  return result;
}

Value PanelKernel::integerFactor(Value factor) {
  return integers ? e.mulf(factor, integers->scale) : factor;
}

Values PanelKernel::chunkInteger(Value chunk, Value tileChunk, Value block,
                                 const PanelScales &unit, int64_t half,
                                 Values acc) {
  VectorType ints = e.vec(instructions.lanes, e.i32()),
             floats = e.vec(instructions.lanes, e.f32());
  Value lane = e.c64(half * instructions.lanes);
  int64_t weightGroup = std::min<int64_t>(encoding.group, 32);
  int64_t dotGroup = std::min(weightGroup, act.group());
  // Zero points that groups have for themselves are in the minima.
  auto scalesOf = [&](int64_t group) {
    PanelScales scales =
        scaleReader.group(unit, chunk, group / weightGroup, lane, floats);
    if (!isFactorLate())
      scales.factor = integerFactor(scales.factor);
    if (scales.zero) {
      Value zero = e.intToFloat(scales.zero, e.f32());
      if (!isFactorLate())
        zero = e.mulf(zero, scales.factor);
      scales.min = scales.min ? e.subf(scales.min, zero)
                              : arith::NegFOp::create(e.b, e.loc, zero);
    }
    return scales;
  };
  // `partial` has the products of a group of weights that several scales of
  // activations cover.
  auto addProducts = [&](const PanelScales &scales, int64_t first, int64_t r,
                         Value sum, Value &partial) {
    Value scale =
        e.loadSplat(floats, tileChunk, act.scaleOffset(first / act.group(), r));
    if (isFactorLate())
      acc[r] = e.fma(sum, scale, acc[r]);
    else if (dotGroup == weightGroup)
      acc[r] = e.fma(sum, e.mulf(scales.factor, scale), acc[r]);
    else
      partial = partial ? e.fma(sum, scale, partial) : e.mulf(sum, scale);
  };
  auto endGroup = [&](const PanelScales &scales, int64_t group, int64_t r,
                      Value partial) {
    if (partial)
      acc[r] = e.fma(partial, scales.factor, acc[r]);
    if (scales.min)
      for (int64_t s = group; s < group + weightGroup; s += act.sumGroup)
        acc[r] = e.fma(
            scales.min,
            e.loadSplat(floats, tileChunk, act.fsumOffset(s / act.sumGroup, r)),
            acc[r]);
  };

  if (block) {
    multiplyTiles(e, act,
                  tileCodes().isSigned ? TileProduct::SignedBytes
                                       : TileProduct::UnsignedBytes,
                  block, tileChunk, dotGroup, unpacked->sums);
    SmallVector<PanelScales, 2> scales;
    for (int64_t group = 0; group < 32; group += weightGroup)
      scales.push_back(scalesOf(group));
    // A row after the other: sums wait in memory, not in registers.
    for (int64_t r = 0; r < rows; ++r)
      for (auto [i, ofGroup] : llvm::enumerate(scales)) {
        int64_t group = int64_t(i) * weightGroup;
        Value partial;
        for (int64_t first = group; first < group + weightGroup;
             first += dotGroup)
          addProducts(ofGroup, first, r,
                      blockProduct(tileChunk, bool(ofGroup.zero), first,
                                   first + dotGroup, r),
                      partial);
        endGroup(ofGroup, group, r, partial);
      }
    return acc;
  }
  llvm::DenseMap<int64_t, Value> lines;
  auto line = [&](int64_t byteOffset) {
    Value &value = lines[byteOffset];
    if (!value)
      value = e.load(ints, chunk, byteOffset + half * instructions.lanes * 4);
    return value;
  };
  for (int64_t group = 0; group < 32; group += weightGroup) {
    PanelScales scales = scalesOf(group);
    Values partial(rows);
    for (int64_t first = group; first < group + weightGroup;
         first += dotGroup) {
      Values sums = dotProducts(tileChunk, bool(scales.zero), first,
                                first + dotGroup, line);
      for (int64_t r = 0; r < rows; ++r)
        addProducts(scales, first, r, sums[r], partial[r]);
    }
    for (int64_t r = 0; r < rows; ++r)
      endGroup(scales, group, r, partial[r]);
  }
  return acc;
}

/// The sums of each row's `chains`, of which `parts` holds those of chain 0 for
/// all rows, then those of chain 1 and so on.
static Values sumChains(Emitter &e, Values parts, int64_t chains) {
  for (size_t half = parts.size() / 2; chains > 1; chains /= 2, half /= 2) {
    for (size_t i = 0; i < half; ++i)
      parts[i] = e.addf(parts[i], parts[half + i]);
    parts.resize(half);
  }
  return parts;
}

Values PanelKernel::chunkFloat(Value chunk, Value tileChunk,
                               const PanelScales &unit, int64_t half,
                               Values acc) {
  VectorType ints = e.vec(instructions.lanes, e.i32()),
             floats = e.vec(instructions.lanes, e.f32());
  Value lane = e.c64(half * instructions.lanes);
  int64_t weightGroup = std::min<int64_t>(encoding.group, 32);
  // A few rows are multiplied by the factor once for a group; for many it is
  // less work to multiply the weights.
  bool isLate = act.chains > 1, isScaled = !isLate || encoding.hasMin();
  Value nan;
  for (int64_t group = 0; group < 32; group += weightGroup) {
    PanelScales scales =
        scaleReader.group(unit, chunk, group / weightGroup, lane, floats);
    Values parts = isLate ? Values(act.chains * rows, e.zero(floats)) : acc;
    for (int64_t q = group / 4; q < (group + weightGroup) / 4; ++q) {
      Value word = codes(q, [&](int64_t byteOffset) {
        return e.load(ints, chunk, byteOffset + half * instructions.lanes * 4);
      });
      if (Value lanes = nanLanes(word))
        nan = nan ? e.bitOr(nan, lanes) : lanes;
      for (auto [j, value] : llvm::enumerate(numbers(word, scales.zero))) {
        if (isScaled)
          value = e.mulf(scales.factor, value);
        if (encoding.hasMin())
          value = e.addf(value, scales.min);
        for (int64_t r = 0; r < rows; ++r) {
          Value x =
              e.loadSplat(floats, tileChunk, act.floatOffset(q * 4 + j, r));
          Value &part = parts[int64_t(j) % act.chains * rows + r];
          part = e.fma(value, x, part);
        }
      }
    }
    if (!isLate) {
      acc = std::move(parts);
      continue;
    }
    for (auto [sum, part] :
         llvm::zip_equal(acc, sumChains(e, std::move(parts), act.chains)))
      sum = isScaled ? e.addf(sum, part) : e.fma(part, scales.factor, sum);
  }
  for (Value &sum : acc)
    sum = withNaN(sum, nan);
  return acc;
}

Values PanelKernel::chunkHalves(Value chunk, Value tileChunk, Value block,
                                const PanelScales &unit, int64_t half,
                                Values acc) {
  assert((encoding.minifloat != Minifloat::None || !encoding.values.empty()) &&
         !encoding.hasMin() &&
         "qcc-select-activations allows bf16 for what it holds");
  VectorType ints = e.vec(instructions.lanes, e.i32()),
             floats = e.vec(instructions.lanes, e.f32()),
             halves = e.vec(2 * instructions.lanes, e.b.getBF16Type());
  Value lane = e.c64(half * instructions.lanes), nan;
  int64_t weightGroup = std::min<int64_t>(encoding.group, 32);
  bool isTiles = block && act.isBlock;
  if (isTiles)
    multiplyTiles(e, act, TileProduct::Halves, block, tileChunk, weightGroup,
                  unpacked->sums);
  for (int64_t group = 0; group < 32; group += weightGroup) {
    PanelScales scales =
        scaleReader.group(unit, chunk, group / weightGroup, lane, floats);
    for (int64_t r = 0; isTiles && r < rows; ++r) {
      Value sum = tileSums(e, act, e.f32(), unpacked->sums, group, 0, r);
      acc[r] = isFactorLate() ? e.addf(acc[r], sum)
                              : e.fma(sum, scales.factor, acc[r]);
    }
    if (isTiles)
      continue;
    Values parts = isFactorLate() ? acc : Values(rows, e.zero(floats));
    auto multiply = [&](int64_t pair, Value pairs) {
      for (int64_t r = 0; r < rows; ++r)
        parts[r] = instructions.halfProduct(e, parts[r], pairs, tileChunk,
                                            act.pairOffset(pair, r));
    };
    for (int64_t q = group / 4; q < (group + weightGroup) / 4; ++q) {
      if (block) {
        for (int64_t pair = 2 * q; pair < 2 * q + 2; ++pair)
          multiply(pair, e.load(halves, block, pair * 64));
        continue;
      }
      Value word = codes(q, [&](int64_t byteOffset) {
        return e.load(ints, chunk, byteOffset + half * instructions.lanes * 4);
      });
      if (Value lanes = nanLanes(word))
        nan = nan ? e.bitOr(nan, lanes) : lanes;
      Values values = numbers(word, Value());
      for (int64_t i = 0; i < 2; ++i)
        multiply(2 * q + i,
                 instructions.halfPairs(e, values[2 * i], values[2 * i + 1]));
    }
    for (int64_t r = 0; r < rows; ++r)
      acc[r] =
          isFactorLate() ? parts[r] : e.fma(parts[r], scales.factor, acc[r]);
  }
  for (Value &sum : acc)
    sum = withNaN(sum, nan);
  return acc;
}

Values PanelKernel::emitHalfBlocks(Value tile, Values sums) {
  return e.loop(
      e.c64(0), e.c64(chunkCount()), e.c64(1), sums,
      [&](Value c, ValueRange in) {
        Values acc(in.begin(), in.end());
        multiplyTiles(e, act, TileProduct::Halves,
                      e.offset(unpacked->codes, e.mul(c, unpackedChunk(true))),
                      e.offset(tile, e.mul(c, act.chunkBytes())),
                      PackedLayout::kChunk, unpacked->sums);
        for (int64_t r = 0; r < rows; ++r)
          acc[r] = e.addf(acc[r],
                          tileSums(e, act, e.f32(), unpacked->sums, 0, 0, r));
        return acc;
      });
}

/// A unit is four elements of k of 16 rows.
Values PanelKernel::emitHalfWeights(Value panel, Value tile, Values sums) {
  VectorType halves = e.vec(32, e.b.getBF16Type());
  return e.loop(
      e.c64(0), e.c64(layout.unitsFor(k)), e.c64(1), sums,
      [&](Value u, ValueRange in) {
        Values acc(in.begin(), in.end());
        Value unit = e.offset(panel, e.mul(u, layout.unitBytes));
        Value x = e.offset(tile, e.mul(u, act.pairOffset(2, 0)));
        for (int64_t i = 0; i < 2; ++i) {
          Value pairs =
              unpacked
                  ? e.load(halves, e.offset(unpacked->codes, e.mul(u, 128)),
                           i * 64)
                  : instructions.halfPairs(e, e.load(halves, unit, i * 64));
          for (int64_t r = 0; r < rows; ++r)
            acc[r] = instructions.halfProduct(e, acc[r], pairs, x,
                                              act.pairOffset(i, r));
        }
        return acc;
      });
}

Values PanelKernel::emitFloatWeights(Value panel, Value tile, int64_t half,
                                     Values sums) {
  VectorType floats = e.vec(instructions.lanes, e.f32());
  int64_t size = scalarBytes(encoding.element);
  sums.resize(act.chains * rows, e.zero(floats));
  sums = e.loop(e.c64(0), e.c64(layout.unitsFor(k)), e.c64(1), sums,
                [&](Value u, ValueRange in) {
                  Values acc(in.begin(), in.end());
                  Value unit = e.offset(panel, e.mul(u, layout.unitBytes));
                  Value x = e.offset(tile, e.mul(u, act.floatOffset(4, 0)));
                  for (int64_t j = 0; j < 4; ++j) {
                    Value value = scaleReader.scalars(
                        encoding.element, e.offset(unit, j * 16 * size),
                        e.c64(half * instructions.lanes), floats);
                    for (int64_t r = 0; r < rows; ++r) {
                      Value &sum = acc[j % act.chains * rows + r];
                      sum = e.fma(value,
                                  e.loadSplat(floats, x, act.floatOffset(j, r)),
                                  sum);
                    }
                  }
                  return acc;
                });
  return sumChains(e, std::move(sums), act.chains);
}

Values PanelKernel::emit(Value panel, Value tile, int64_t half, Values sums,
                         const UnpackedPanel *unpackedPanel) {
  unpacked = unpackedPanel;
  if (encoding.isFloat() && act.isBlock && unpacked)
    return emitHalfBlocks(tile, std::move(sums));
  if (encoding.isFloat() && act.isHalf())
    return emitHalfWeights(panel, tile, std::move(sums));
  if (encoding.isFloat())
    return emitFloatWeights(panel, tile, half, std::move(sums));
  VectorType floats = e.vec(instructions.lanes, e.f32());
  int64_t chunks = layout.unitK / PackedLayout::kChunk;
  auto emitChunk = [&](Value chunk, Value tileChunk, Value block,
                       const PanelScales &unit, ValueRange in) {
    Values acc(in.begin(), in.end());
    if (act.isHalf())
      acc = chunkHalves(chunk, tileChunk, block, unit, half, acc);
    else if (act.isFloat())
      acc = chunkFloat(chunk, tileChunk, unit, half, acc);
    else
      acc = chunkInteger(chunk, tileChunk, block, unit, half, acc);
    if (half == 0 && rows <= kFewRows)
      prefetchAfter(chunk);
    return acc;
  };
  // `count` is none for a unit of one chunk.
  auto emitUnit = [&](Value u, Value count, ValueRange in) {
    Value unit = e.offset(panel, e.mul(u, layout.unitBytes));
    Value x = e.offset(tile, e.mul(u, chunks * act.chunkBytes()));
    Value block = unpacked
                      ? e.offset(unpacked->codes,
                                 e.mul(u, chunks * unpackedChunk(act.isHalf())))
                      : Value();
    Value lane = e.c64(half * instructions.lanes);
    PanelScales scales = scaleReader.unit(unit, lane, floats);
    Value first = e.offset(unit, layout.chunkOffset);
    Values sums(in.begin(), in.end());
    if (isFactorLate())
      sums.assign(sums.size(), e.zero(floats));
    if (!count)
      sums = emitChunk(first, x, block,
                       scaleReader.chunk(scales, Value(), lane, floats), sums);
    else
      sums = e.loop(
          e.c64(0), count, e.c64(1), sums, [&](Value c, ValueRange inner) {
            return emitChunk(
                e.offset(first, e.mul(c, layout.chunkBytes)),
                e.offset(x, e.mul(c, act.chunkBytes())),
                block ? e.offset(block, e.mul(c, unpackedChunk(act.isHalf())))
                      : Value(),
                scaleReader.chunk(scales, c, lane, floats), inner);
          });
    if (!isFactorLate())
      return sums;
    Value factor = integerFactor(scales.factor);
    for (auto [sum, before] : llvm::zip_equal(sums, in))
      sum = e.fma(sum, factor, before);
    return sums;
  };
  // Activations end with the chunk that k ends in. A unit that is not whole
  // runs the code of the others: hardware prefetchers follow the addresses of
  // one instruction, and lose them in each panel where two share the work.
  int64_t units = layout.unitsFor(k),
          last =
              llvm::divideCeil(k, PackedLayout::kChunk) - (units - 1) * chunks;
  return e.loop(
      e.c64(0), e.c64(units), e.c64(1), sums, [&](Value u, ValueRange in) {
        Value count;
        if (chunks > 1)
          count = last == chunks ? e.c64(chunks)
                                 : e.select(e.cmp(arith::CmpIPredicate::ult, u,
                                                  e.c64(units - 1)),
                                            e.c64(chunks), e.c64(last));
        return emitUnit(u, count, in);
      });
}
