//===- Intrinsics.cpp - Indices, barriers and copies ----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Intrinsics.h"

#include "llvm/ADT/StringMap.h"

using namespace qcc::emulator;

Entry qcc::emulator::findEntry(llvm::StringRef name) {
  static const llvm::StringMap<Entry> table = [] {
    llvm::StringMap<Entry> result;
    for (auto entries :
         {threadEntries(), warpEntries(), matrixEntries(), mathEntries()})
      for (const NamedEntry &entry : entries)
        result[entry.name] = entry.entry;
    return result;
  }();
  return table.lookup(name);
}

//===----------------------------------------------------------------------===//
// Special registers
//===----------------------------------------------------------------------===//

template <Dim3 (Simt::*kGet)() const, unsigned Dim3::*kAxis>
static void readAxis(Simt &simt, const void *, void *result, Site) {
  resultAs<uint32_t>(result) = (simt.*kGet)().*kAxis;
}

template <unsigned (Simt::*kGet)() const>
static void readValue(Simt &simt, const void *, void *result, Site) {
  resultAs<uint32_t>(result) = (simt.*kGet)();
}

static void readWarpSize(Simt &, const void *, void *result, Site) {
  resultAs<uint32_t>(result) = kWarpSize;
}

//===----------------------------------------------------------------------===//
// Block barriers
//===----------------------------------------------------------------------===//

template <bool kAligned, bool kAll, bool kWait = true>
static void barrier(Simt &simt, const void *operands, void *, Site site) {
  auto *values = static_cast<const uint32_t *>(operands);
  Simt::BarrierArrival arrival;
  arrival.id = values[0];
  arrival.all = kAll;
  arrival.threads = kAll ? 0 : values[1];
  arrival.aligned = kAligned;
  arrival.wait = kWait;
  simt.barrier(arrival, site);
}

template <BarrierReduction kReduction, bool kAligned>
static void reduceAtBarrier(Simt &simt, const void *operands, void *result,
                            Site site) {
  struct Operands {
    uint32_t id;
    bool predicate;
  };
  auto &values = operandsAs<Operands>(operands);
  Simt::BarrierArrival arrival;
  arrival.id = values.id;
  arrival.aligned = kAligned;
  arrival.reduction = kReduction;
  arrival.predicate = values.predicate;
  arrival.result = result;
  simt.barrier(arrival, site);
}

//===----------------------------------------------------------------------===//
// Fences, exits and asynchronous copies
//===----------------------------------------------------------------------===//

/// Threads take turns on one CPU thread: memory is always in order.
static void fence(Simt &, const void *, void *, Site) {}

static void exitThread(Simt &simt, const void *, void *, Site) { simt.exit(); }

static void trap(Simt &simt, const void *, void *, Site site) {
  simt.fail(site, "the kernel gave up");
}

static void awaitLaunchBefore(Simt &simt, const void *, void *, Site) {
  simt.awaitLaunchBefore();
}

/// No launch comes after this one here.
static void allowNextLaunch(Simt &, const void *, void *, Site) {}

template <uint32_t kBytes>
static void copy(Simt &simt, const void *operands, void *, Site site) {
  struct Operands {
    void *to;
    const void *from;
  };
  auto &values = operandsAs<Operands>(operands);
  simt.copy(values.to, values.from, kBytes, kBytes, site);
}

template <uint32_t kBytes>
static void copyPart(Simt &simt, const void *operands, void *, Site site) {
  struct Operands {
    void *to;
    const void *from;
    uint32_t read;
  };
  auto &values = operandsAs<Operands>(operands);
  simt.copy(values.to, values.from, kBytes, values.read, site);
}

/// Changes nothing, but is held to the rules of a load.
static void prefetch(Simt &simt, const void *operands, void *, Site site) {
  simt.checkAccess(operandsAs<const void *>(operands), 1, 1, Access::Read,
                   site);
}

static void commitCopies(Simt &simt, const void *, void *, Site) {
  simt.commitCopies();
}

static void waitForGroups(Simt &simt, const void *operands, void *, Site) {
  simt.waitForCopies(operandsAs<uint32_t>(operands), /*open=*/false);
}

static void waitForAll(Simt &simt, const void *, void *, Site) {
  simt.waitForCopies(0, /*open=*/true);
}

//===----------------------------------------------------------------------===//
// Table
//===----------------------------------------------------------------------===//

#define QCC_AXES(name, get)                                                    \
  {"llvm.nvvm.read.ptx.sreg." name ".x", readAxis<&Simt::get, &Dim3::x>},      \
      {"llvm.nvvm.read.ptx.sreg." name ".y", readAxis<&Simt::get, &Dim3::y>},  \
  {                                                                            \
    "llvm.nvvm.read.ptx.sreg." name ".z", readAxis<&Simt::get, &Dim3::z>       \
  }
#define QCC_BARRIER(name) "llvm.nvvm.barrier.cta." name
#define QCC_REDUCTION(name, reduction)                                         \
  {QCC_BARRIER("red." name ".aligned.all"),                                    \
   reduceAtBarrier<BarrierReduction::reduction, true>},                        \
  {                                                                            \
    QCC_BARRIER("red." name ".all"),                                           \
        reduceAtBarrier<BarrierReduction::reduction, false>                    \
  }
#define QCC_COPY(name, bytes)                                                  \
  {"llvm.nvvm.cp.async." name, copy<bytes>}, {                                 \
    "llvm.nvvm.cp.async." name ".s", copyPart<bytes>                           \
  }

llvm::ArrayRef<NamedEntry> qcc::emulator::threadEntries() {
  static const NamedEntry entries[] = {
      QCC_AXES("tid", threadIndex),
      QCC_AXES("ntid", blockSize),
      QCC_AXES("ctaid", blockIndex),
      QCC_AXES("nctaid", gridSize),
      {"llvm.nvvm.read.ptx.sreg.laneid", readValue<&Simt::lane>},
      {"llvm.nvvm.read.ptx.sreg.warpid", readValue<&Simt::warp>},
      {"llvm.nvvm.read.ptx.sreg.nwarpid", readValue<&Simt::warps>},
      {"llvm.nvvm.read.ptx.sreg.warpsize", readWarpSize},

      {QCC_BARRIER("sync.aligned.all"), barrier<true, true>},
      {QCC_BARRIER("sync.all"), barrier<false, true>},
      {QCC_BARRIER("sync.aligned.count"), barrier<true, false>},
      {QCC_BARRIER("sync.count"), barrier<false, false>},
      {QCC_BARRIER("arrive.aligned.count"), barrier<true, false, false>},
      {QCC_BARRIER("arrive.count"), barrier<false, false, false>},
      QCC_REDUCTION("popc", Count),
      QCC_REDUCTION("and", And),
      QCC_REDUCTION("or", Or),

      {"llvm.nvvm.membar.cta", fence},
      {"llvm.nvvm.membar.gl", fence},
      {"llvm.nvvm.membar.sys", fence},
      {"llvm.nvvm.fence.sc.cluster", fence},
      {"llvm.nvvm.griddepcontrol.wait", awaitLaunchBefore},
      {"griddepcontrol.wait", awaitLaunchBefore},
      {"llvm.nvvm.griddepcontrol.launch.dependents", allowNextLaunch},
      {"llvm.nvvm.exit", exitThread},
      {"llvm.trap", trap},
      {"llvm.debugtrap", trap},
      {"llvm.ubsantrap", trap},

      QCC_COPY("ca.shared.global.4", 4),
      QCC_COPY("ca.shared.global.8", 8),
      QCC_COPY("ca.shared.global.16", 16),
      QCC_COPY("cg.shared.global.16", 16),
      {"prefetch.global.L2", prefetch},
      {"llvm.nvvm.prefetch.global.L2", prefetch},
      {"llvm.nvvm.cp.async.commit.group", commitCopies},
      {"llvm.nvvm.cp.async.wait.group", waitForGroups},
      {"llvm.nvvm.cp.async.wait.all", waitForAll},
  };
  return entries;
}
