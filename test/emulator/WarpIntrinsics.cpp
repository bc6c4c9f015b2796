//===- WarpIntrinsics.cpp - Shuffles, votes and reductions ----------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Intrinsics.h"

#include "llvm/ADT/bit.h"

#include <algorithm>

using namespace qcc::emulator;

/// Calls function(lane) for each lane that takes part.
template <typename F>
static void forLanes(const Collective &warp, F function) {
  for (unsigned lane = 0; lane < kWarpSize; ++lane)
    if (warp.mask >> lane & 1)
      function(lane);
}

static void completeWarpBarrier(Simt &simt, Collective &warp, Site) {
  simt.orderWarp(warp.mask);
  ++simt.count().warpBarriers;
}

static void warpBarrier(Simt &simt, const void *operands, void *, Site site) {
  simt.collective(operandsAs<uint32_t>(operands), completeWarpBarrier, operands,
                  nullptr, site);
}

//===----------------------------------------------------------------------===//
// Shuffles: values are 32 bits, whatever their type
//===----------------------------------------------------------------------===//

enum class Shuffle { Index, Butterfly, Up, Down };

namespace {
struct ShuffleOperands {
  uint32_t mask, value, which, clamp;
};
struct ShuffleResult {
  uint32_t value;
  bool inRange;
};
} // namespace

/// PTX's rules: `clamp` holds the segment mask in bits 8-12 and the bound of
/// the segment in bits 0-4. Out of range, a lane keeps its own value.
static std::pair<unsigned, bool> sourceOf(Shuffle mode, unsigned lane,
                                          const ShuffleOperands &values) {
  unsigned which = values.which & 31, segment = values.clamp >> 8 & 31;
  unsigned bound = values.clamp & 31;
  unsigned most = (lane & segment) | (bound & ~segment);
  unsigned least = lane & segment;
  bool inRange = false;
  unsigned source = lane;
  switch (mode) {
  case Shuffle::Up:
    source = lane - which;
    inRange = int(source) >= int(most);
    break;
  case Shuffle::Down:
    source = lane + which;
    inRange = source <= most;
    break;
  case Shuffle::Butterfly:
    source = lane ^ which;
    inRange = source <= most;
    break;
  case Shuffle::Index:
    source = least | (which & ~segment);
    inRange = source <= most;
    break;
  }
  return {inRange ? source : lane, inRange};
}

template <Shuffle kMode, bool kPredicate>
static void completeShuffle(Simt &simt, Collective &warp, Site) {
  ++simt.count().exchanges;
  uint32_t results[kWarpSize];
  bool inRange[kWarpSize];
  forLanes(warp, [&](unsigned lane) {
    auto [source, found] =
        sourceOf(kMode, lane, operandsAs<ShuffleOperands>(warp.operands[lane]));
    inRange[lane] = found;
    // What a lane outside the operation gives is undefined: poison.
    results[lane] =
        warp.mask >> source & 1
            ? operandsAs<ShuffleOperands>(warp.operands[source]).value
            : ~0u;
  });
  forLanes(warp, [&](unsigned lane) {
    auto &result = resultAs<ShuffleResult>(warp.results[lane]);
    result.value = results[lane];
    if (kPredicate)
      result.inRange = inRange[lane];
  });
}

template <Shuffle kMode, bool kPredicate>
static void shuffle(Simt &simt, const void *operands, void *result, Site site) {
  simt.collective(operandsAs<ShuffleOperands>(operands).mask,
                  completeShuffle<kMode, kPredicate>, operands, result, site);
}

//===----------------------------------------------------------------------===//
// Votes
//===----------------------------------------------------------------------===//

enum class Vote { All, Any, Same, Ballot };

namespace {
struct VoteOperands {
  uint32_t mask;
  bool predicate;
};
} // namespace

template <Vote kVote>
static void completeVote(Simt &simt, Collective &warp, Site) {
  ++simt.count().exchanges;
  uint32_t ballot = 0;
  forLanes(warp, [&](unsigned lane) {
    if (operandsAs<VoteOperands>(warp.operands[lane]).predicate)
      ballot |= 1u << lane;
  });
  forLanes(warp, [&](unsigned lane) {
    void *result = warp.results[lane];
    if (kVote == Vote::Ballot)
      resultAs<uint32_t>(result) = ballot;
    else if (kVote == Vote::Any)
      resultAs<bool>(result) = ballot != 0;
    else
      resultAs<bool>(result) =
          ballot == warp.mask || (kVote == Vote::Same && ballot == 0);
  });
}

template <Vote kVote>
static void vote(Simt &simt, const void *operands, void *result, Site site) {
  simt.collective(operandsAs<VoteOperands>(operands).mask, completeVote<kVote>,
                  operands, result, site);
}

static void completeElection(Simt &simt, Collective &warp, Site) {
  ++simt.count().exchanges;
  uint32_t leader = uint32_t(llvm::countr_zero(warp.mask));
  forLanes(warp, [&](unsigned lane) {
    auto &result = resultAs<ShuffleResult>(warp.results[lane]);
    result.value = leader;
    result.inRange = lane == leader;
  });
}

static void elect(Simt &simt, const void *operands, void *result, Site site) {
  simt.collective(operandsAs<uint32_t>(operands), completeElection, operands,
                  result, site);
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

namespace {
struct ReduceOperands {
  uint32_t value, mask;
};
} // namespace

template <uint32_t (*kCombine)(uint32_t, uint32_t)>
static void completeReduction(Simt &simt, Collective &warp, Site) {
  ++simt.count().exchanges;
  uint32_t total = 0;
  bool first = true;
  forLanes(warp, [&](unsigned lane) {
    uint32_t value = operandsAs<ReduceOperands>(warp.operands[lane]).value;
    total = first ? value : kCombine(total, value);
    first = false;
  });
  forLanes(warp, [&](unsigned lane) {
    resultAs<uint32_t>(warp.results[lane]) = total;
  });
}

template <uint32_t (*kCombine)(uint32_t, uint32_t)>
static void reduce(Simt &simt, const void *operands, void *result, Site site) {
  simt.collective(operandsAs<ReduceOperands>(operands).mask,
                  completeReduction<kCombine>, operands, result, site);
}

static uint32_t add(uint32_t a, uint32_t b) { return a + b; }
static uint32_t bitAnd(uint32_t a, uint32_t b) { return a & b; }
static uint32_t bitOr(uint32_t a, uint32_t b) { return a | b; }
static uint32_t bitXor(uint32_t a, uint32_t b) { return a ^ b; }
static uint32_t unsignedMin(uint32_t a, uint32_t b) { return std::min(a, b); }
static uint32_t unsignedMax(uint32_t a, uint32_t b) { return std::max(a, b); }
static uint32_t signedMin(uint32_t a, uint32_t b) {
  return uint32_t(std::min(int32_t(a), int32_t(b)));
}
static uint32_t signedMax(uint32_t a, uint32_t b) {
  return uint32_t(std::max(int32_t(a), int32_t(b)));
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

#define QCC_SHUFFLE(name, mode)                                                \
  {"llvm.nvvm.shfl.sync." name ".i32", shuffle<Shuffle::mode, false>},         \
      {"llvm.nvvm.shfl.sync." name ".f32", shuffle<Shuffle::mode, false>},     \
      {"llvm.nvvm.shfl.sync." name ".i32p", shuffle<Shuffle::mode, true>}, {   \
    "llvm.nvvm.shfl.sync." name ".f32p", shuffle<Shuffle::mode, true>          \
  }

llvm::ArrayRef<NamedEntry> qcc::emulator::warpEntries() {
  static const NamedEntry entries[] = {
      {"llvm.nvvm.bar.warp.sync", warpBarrier},
      QCC_SHUFFLE("idx", Index),
      QCC_SHUFFLE("bfly", Butterfly),
      QCC_SHUFFLE("up", Up),
      QCC_SHUFFLE("down", Down),
      {"llvm.nvvm.vote.all.sync", vote<Vote::All>},
      {"llvm.nvvm.vote.any.sync", vote<Vote::Any>},
      {"llvm.nvvm.vote.uni.sync", vote<Vote::Same>},
      {"llvm.nvvm.vote.ballot.sync", vote<Vote::Ballot>},
      {"llvm.nvvm.elect.sync", elect},
      {"llvm.nvvm.redux.sync.add", reduce<add>},
      {"llvm.nvvm.redux.sync.and", reduce<bitAnd>},
      {"llvm.nvvm.redux.sync.or", reduce<bitOr>},
      {"llvm.nvvm.redux.sync.xor", reduce<bitXor>},
      {"llvm.nvvm.redux.sync.umin", reduce<unsignedMin>},
      {"llvm.nvvm.redux.sync.umax", reduce<unsignedMax>},
      {"llvm.nvvm.redux.sync.min", reduce<signedMin>},
      {"llvm.nvvm.redux.sync.max", reduce<signedMax>},
  };
  return entries;
}
