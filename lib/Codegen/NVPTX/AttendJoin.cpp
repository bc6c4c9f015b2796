//===- AttendJoin.cpp - Results of parts of attention as one --------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "AttendJoin.h"

#include "qcc/Codegen/Common/VectorMath.h"

#include <algorithm>

using namespace mlir;
using namespace qcc;
using namespace qcc::nvptx;

static const llvm::Align kFloat(4);
/// Records, and elements of each, that a thread reads before it adds them.
static constexpr int64_t kRecordsAtOnce = 8, kElementsAtOnce = 4;

static Value isTrue(WarpEmitter &e) {
  return arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(true));
}

int64_t AttendJoin::rowBytes() const {
  return entries(std::max(kWarps, plan.parts)) * 4;
}

int64_t AttendJoin::factorBytes(const AttendPlan &plan) {
  // And a word that says which block is the last.
  return plan.heads * entries(std::max(kWarps, plan.parts)) * 4 + 16;
}

/// What the output of each record is multiplied by, for each head: exp(its
/// maximum - the largest), and divided by the sum where `isWhole`; otherwise
/// maximum and sum go to `statistics`, the record that becomes of it. Behind
/// the last record factors are 0. A warp has a head.
void AttendJoin::findFactors(const Records &records, Value isWhole,
                             Value statistics) {
  const int64_t maximumAt = plan.heads * plan.valueDim * 4,
                sumAt = maximumAt + plan.heads * 4;
  for (int64_t firstHead = 0; firstHead < plan.heads; firstHead += kWarps) {
    Value head = e.add(stage.warp, firstHead);
    e.ifThen(e.lessThan(head, e.c32(plan.heads)), [&] {
      Values maxima, sums, inRow;
      Value maximum, sum;
      for (int64_t first = 0; first < entries(records.most);
           first += kWarpSize) {
        Value entry = e.add(stage.lane, first);
        Value exists = e.lessThan(entry, records.count);
        Value record = e.minS(entry, e.sub(records.count, e.c32(1)));
        Value at =
            e.offset(e.offset(records.base, e.mul(record, plan.recordBytes())),
                     e.mul(head, 4));
        Value m = e.load(e.f32(), at, maximumAt, kFloat);
        Value s = e.load(e.f32(), at, sumAt, kFloat);
        maxima.push_back(m);
        sums.push_back(e.select(exists, s, e.zero(e.f32())));
        inRow.push_back(entry);
        maximum = maximum ? e.larger(maximum, m) : m;
      }
      maximum = e.warpMax(maximum);
      Values scaled;
      for (auto [m, s] : llvm::zip_equal(maxima, sums)) {
        Value factor = emitExp(e, e.subf(m, maximum));
        Value part = e.mulf(s, factor);
        sum = sum ? e.addf(sum, part) : part;
        // A sum of 0 is a record that does not exist, or without a position.
        Value isNone = arith::CmpFOp::create(
            e.b, e.loc, arith::CmpFPredicate::OEQ, s, e.zero(e.f32()));
        scaled.push_back(e.select(isNone, e.zero(e.f32()), factor));
      }
      sum = e.warpSum(sum);
      Value one = e.constant(e.f32(), 1.0);
      Value scale = e.select(isWhole, e.divf(one, sum), one);
      for (auto [factor, entry] : llvm::zip_equal(scaled, inRow))
        e.ifThen(e.lessThan(entry, e.c32(entries(records.most))), [&] {
          e.store(e.mulf(factor, scale),
                  e.offset(factorsOf(head), e.mul(entry, 4)), kFloat);
        });
      if (!statistics)
        return;
      Value isWriter = arith::AndIOp::create(
          e.b, e.loc, stage.isFirstLane(),
          arith::XOrIOp::create(e.b, e.loc, isWhole, isTrue(e)));
      e.ifThen(isWriter, [&] {
        Value at = e.offset(statistics, e.mul(head, 4));
        e.store(maximum, at, maximumAt, kFloat);
        e.store(sum, at, sumAt, kFloat);
      });
    });
  }
}

/// out = the sum of the outputs of records, each times its factor.
void AttendJoin::addUp(const Records &records, Value out) {
  const int64_t elements = plan.heads * plan.valueDim;
  for (int64_t first = 0; first < elements;
       first += kElementsAtOnce * kThreads) {
    int64_t count =
        std::min(kElementsAtOnce, (elements - first + kThreads - 1) / kThreads);
    Values index, weights;
    for (int64_t i = 0; i < count; ++i) {
      Value at = e.add(stage.thread, first + i * kThreads);
      // Threads behind the last element read it again.
      index.push_back(e.minS(at, e.c32(elements - 1)));
      weights.push_back(factorsOf(e.udiv(index.back(), plan.valueDim)));
    }
    auto addSome = [&](Value record, int64_t some, ValueRange in) {
      Values totals(in.begin(), in.end());
      for (int64_t k = 0; k < some; ++k) {
        Value number = e.add(record, k);
        Value existing = e.minS(number, e.sub(records.count, e.c32(1)));
        Value from =
            e.offset(records.base, e.mul(existing, plan.recordBytes()));
        for (int64_t i = 0; i < count; ++i)
          totals[size_t(i)] = e.fma(
              e.load(e.f32(), e.offset(from, e.mul(index[size_t(i)], 4)),
                     kFloat),
              e.load(e.f32(), e.offset(weights[size_t(i)], e.mul(number, 4)),
                     kFloat),
              totals[size_t(i)]);
      }
      return totals;
    };
    Values none(size_t(count), e.zero(e.f32()));
    Values totals = e.loop(
        e.c32(0), records.count, e.c32(std::min(kRecordsAtOnce, records.most)),
        none, [&](Value record, ValueRange in) {
          return addSome(record, std::min(kRecordsAtOnce, records.most), in);
        });
    for (int64_t i = 0; i < count; ++i) {
      Value at = e.add(stage.thread, first + i * kThreads);
      e.ifThen(e.lessThan(at, e.c32(elements)), [&] {
        e.store(totals[size_t(i)], e.offset(out, e.mul(at, 4)), kFloat);
      });
    }
  }
}

void AttendJoin::joinWarps(const Records &warps, Value out, Value parts) {
  Value isWhole = isTrue(e);
  if (plan.isSplit())
    isWhole = e.cmp(arith::CmpIPredicate::eq, parts, e.c32(1));
  findFactors(warps, isWhole, plan.isSplit() ? out : Value());
  e.blockBarrier();
  addUp(warps, out);
}

/// i1: whether this block is the last of `count` to come here. What the others
/// wrote before is then seen by all threads of this one. (Of a release or an
/// acquire that an atomic operation has itself, LLVM makes a relaxed one.)
Value AttendJoin::isLast(Value came, Value count) {
  Value word = e.offset(factors, plan.heads * rowBytes());
  e.blockBarrier();
  e.ifThen(e.cmp(arith::CmpIPredicate::eq, stage.thread, e.c32(0)), [&] {
    auto fence = [&] {
      LLVM::FenceOp::create(e.b, e.loc, LLVM::AtomicOrdering::acq_rel,
                            "device");
    };
    Value last = e.sub(count, e.c32(1));
    fence();
    // Back at 0 after the last.
    Value before = LLVM::AtomicRMWOp::create(
        e.b, e.loc, LLVM::AtomicBinOp::uinc_wrap, came, last,
        LLVM::AtomicOrdering::monotonic, "device");
    fence();
    e.store(e.zext(e.cmp(arith::CmpIPredicate::eq, before, last), e.i32()),
            word, kFloat);
  });
  e.blockBarrier();
  return e.cmp(arith::CmpIPredicate::ne, e.load(e.i32(), word, kFloat),
               e.c32(0));
}

void AttendJoin::joinParts(const Records &parts, Value out, Value came) {
  e.ifThen(isLast(came, parts.count), [&] {
    findFactors(parts, isTrue(e), Value());
    e.blockBarrier();
    addUp(parts, out);
  });
}
