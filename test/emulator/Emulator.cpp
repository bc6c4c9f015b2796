//===- Emulator.cpp - GPU code on the CPU ---------------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Emulator.h"

#include "HostIR.h"
#include "Intrinsics.h"
#include "NarrowFloat.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace llvm;
using namespace llvm::orc;
using namespace qcc::emulator;

/// ptxas refuses more of it in static variables.
static constexpr size_t kMostStaticBytes = 48 * 1024;
/// Between variables, so that a step past the end of one is noticed.
static constexpr size_t kGapBytes = 128;

static constexpr size_t kMostBlocks = size_t(1) << 24;

struct EmulatedModule::Parts {
  Simt simt;
  std::unique_ptr<LLJIT> jit;
  std::vector<HostKernel> kernels;
  std::vector<SharedObject> objects;
  size_t staticBytes = 0;   ///< Of all variables.
  size_t dynamicOffset = 0; ///< Where the dynamic part begins.
  std::vector<std::string> sites;
  std::vector<Buffer> variables; ///< Of the module, in global memory.
};

//===----------------------------------------------------------------------===//
// What generated code calls
//===----------------------------------------------------------------------===//

static void checkAccess(Simt *simt, const void *address, uint64_t bytes,
                        uint32_t alignment, Access access, Site site) {
  if (bytes)
    simt->checkAccess(address, bytes, alignment, access, site);
}

static void fence(Simt *simt) { simt->fence(); }

/// Conversions that hosts without instructions for them call. Their argument
/// and result are passed as _Float16 and __bf16 are: in a vector register.
static _Float16 truncateToHalf(double value) {
  return std::bit_cast<_Float16>(Half::round(value));
}
static _Float16 truncateFloatToHalf(float value) {
  return std::bit_cast<_Float16>(Half::round(value));
}
static float extendHalf(_Float16 value) {
  return std::bit_cast<Half>(value).value();
}
static _Float16 truncateToBFloat(double value) {
  return std::bit_cast<_Float16>(BFloat::round(value));
}
static _Float16 truncateFloatToBFloat(float value) {
  return std::bit_cast<_Float16>(BFloat::round(value));
}

static Error defineSymbols(LLJIT &jit, const HostModule &host, Simt &simt,
                           ArrayRef<SharedObject> objects) {
  SymbolMap symbols;
  auto define = [&](const Twine &name, auto *address) {
    symbols[jit.mangleAndIntern(name.str())] = {ExecutorAddr::fromPtr(address),
                                                JITSymbolFlags::Exported};
  };
  define(kSimtSymbol, &simt);
  define(kCheckSymbol, &checkAccess);
  define(kFenceSymbol, &fence);
  for (const auto &entry : host.entries)
    define(kEntryPrefix + entry.getKey(), findEntry(entry.getKey()));
  for (auto [variable, object] : zip(host.shared, objects))
    define(variable.symbol, simt.sharedMemory() + object.offset);
  define("__truncdfhf2", &truncateToHalf);
  define("__truncsfhf2", &truncateFloatToHalf);
  define("__extendhfsf2", &extendHalf);
  define("__truncdfbf2", &truncateToBFloat);
  define("__truncsfbf2", &truncateFloatToBFloat);
  return jit.getMainJITDylib().define(absoluteSymbols(std::move(symbols)));
}

//===----------------------------------------------------------------------===//
// Compilation
//===----------------------------------------------------------------------===//

/// The next place of exactly that alignment: on a device a variable may lie so,
/// and code that needs more of it fails.
static size_t placeAt(size_t end, size_t alignment) {
  size_t offset = alignTo(end, alignment);
  return offset % (2 * alignment) ? offset : offset + alignment;
}

/// Static variables one after the other, then the dynamic part. The result is
/// in the order of the variables.
static Expected<std::vector<SharedObject>>
placeShared(ArrayRef<SharedVariable> variables, size_t &used, size_t &end) {
  std::vector<SharedObject> objects(variables.size());
  size_t dynamicAlignment = 16;
  used = end = 0;
  for (auto [variable, object] : zip(variables, objects)) {
    if (variable.alignment > kMostStaticBytes)
      return createStringError("shared variable '%s' is aligned to %zu bytes",
                               variable.name.c_str(), variable.alignment);
    if (!variable.bytes) {
      dynamicAlignment = std::max(dynamicAlignment, variable.alignment);
      continue;
    }
    used += variable.bytes;
    if (used > kMostStaticBytes)
      return createStringError("more than %zu bytes of static shared memory, "
                               "beginning with '%s'",
                               kMostStaticBytes, variable.name.c_str());
    object = {variable.name, placeAt(end, variable.alignment), variable.bytes};
    end = object.offset + object.bytes + kGapBytes;
  }
  end = placeAt(end, dynamicAlignment);
  if (end > Simt::kArenaBytes - Simt::kSharedBytes)
    return createStringError("too many variables in shared memory: %zu",
                             variables.size());
  for (auto [variable, object] : zip(variables, objects))
    if (!variable.bytes)
      object = {variable.name, end, 0};
  return objects;
}

static void optimize(Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O1)
      .run(module, modules);
}

Expected<std::unique_ptr<EmulatedModule>>
EmulatedModule::create(const Module &nvptxModule) {
  InitializeNativeTarget();
  InitializeNativeTargetAsmPrinter();
  auto target = JITTargetMachineBuilder::detectHost();
  if (!target)
    return target.takeError();
  target->setCodeGenOptLevel(CodeGenOptLevel::Less);
  auto machine = target->createTargetMachine();
  if (!machine)
    return machine.takeError();
  auto host = rewriteForHost(nvptxModule, (*machine)->createDataLayout(),
                             target->getTargetTriple());
  if (!host)
    return host.takeError();

  auto parts = std::make_unique<Parts>();
  if (!parts->simt.sharedMemory())
    return createStringError("no memory below 4 GiB for shared memory");
  auto objects =
      placeShared(host->shared, parts->staticBytes, parts->dynamicOffset);
  if (!objects)
    return objects.takeError();
  optimize(*host->module, **machine);

  auto jit = LLJITBuilder()
                 .setJITTargetMachineBuilder(std::move(*target))
                 .setPlatformSetUp(setUpInactivePlatform)
                 .create();
  if (!jit)
    return jit.takeError();
  if (Error error = defineSymbols(**jit, *host, parts->simt, *objects))
    return error;
  if (Error error = (*jit)->addIRModule(
          ThreadSafeModule(std::move(host->module), std::move(host->context))))
    return error;
  parts->jit = std::move(*jit);
  parts->kernels = std::move(host->kernels);
  parts->objects = std::move(*objects);
  parts->sites = std::move(host->sites);
  for (const GlobalVariableSymbol &variable : host->variables) {
    auto address = parts->jit->lookup(variable.symbol);
    if (!address)
      return address.takeError();
    parts->variables.push_back({address->toPtr<void *>(), variable.bytes,
                                /*writable=*/true, /*constant=*/true});
  }
  // Compiles now, so that what cannot be linked is an error here.
  for (const HostKernel &kernel : parts->kernels)
    if (auto address = parts->jit->lookup(kernel.entry); !address)
      return address.takeError();
  return std::unique_ptr<EmulatedModule>(new EmulatedModule(std::move(parts)));
}

EmulatedModule::EmulatedModule(std::unique_ptr<Parts> parts)
    : parts(std::move(parts)) {}
EmulatedModule::~EmulatedModule() = default;

//===----------------------------------------------------------------------===//
// Launch
//===----------------------------------------------------------------------===//

/// What a driver would refuse.
static Error checkLaunch(const HostKernel &kernel, const Launch &launch,
                         size_t staticBytes, size_t arguments) {
  const char *name = kernel.name.c_str();
  if (kernel.arguments != arguments)
    return createStringError("kernel '%s' takes %u arguments, found %zu", name,
                             kernel.arguments, arguments);
  if (!launch.gridX || !launch.gridY || !launch.gridZ ||
      launch.gridX > INT32_MAX || launch.gridY > 65535 || launch.gridZ > 65535)
    return createStringError("grid (%u, %u, %u) of kernel '%s' is not possible",
                             launch.gridX, launch.gridY, launch.gridZ, name);
  if (uint64_t(launch.gridX) * launch.gridY > kMostBlocks / launch.gridZ)
    return createStringError("grid (%u, %u, %u) of kernel '%s' has more than "
                             "%zu blocks, too many to emulate",
                             launch.gridX, launch.gridY, launch.gridZ, name,
                             kMostBlocks);
  uint64_t threads = 0;
  if (launch.blockX <= 1024 && launch.blockY <= 1024 && launch.blockZ <= 64)
    threads = uint64_t(launch.blockX) * launch.blockY * launch.blockZ;
  if (!threads || threads > 1024)
    return createStringError(
        "block (%u, %u, %u) of kernel '%s' is not possible", launch.blockX,
        launch.blockY, launch.blockZ, name);
  if (kernel.mostThreads && (threads > kernel.mostThreads ||
                             (kernel.exact && threads != kernel.mostThreads)))
    return createStringError("kernel '%s' was compiled for %s%u threads, found "
                             "%u",
                             name, kernel.exact ? "" : "at most ",
                             kernel.mostThreads, unsigned(threads));
  if (launch.startsEarly && launch.buffers.empty())
    return createStringError("kernel '%s' starts early, but what it may touch "
                             "is not known",
                             name);
  if (launch.dynamicSharedBytes > Simt::kSharedBytes - staticBytes)
    return createStringError(
        "kernel '%s' with %zu static and %zu dynamic bytes of shared memory, "
        "more than %zu",
        name, staticBytes, launch.dynamicSharedBytes, Simt::kSharedBytes);
  return Error::success();
}

Error EmulatedModule::launch(StringRef name, const Launch &launch,
                             ArrayRef<void *> arguments, Counters *counters) {
  const HostKernel *kernel = nullptr;
  for (const HostKernel &candidate : parts->kernels)
    if (candidate.name == name)
      kernel = &candidate;
  if (!kernel)
    return createStringError("there is no kernel '%s'", name.str().c_str());
  if (Error error =
          checkLaunch(*kernel, launch, parts->staticBytes, arguments.size()))
    return error;
  auto entry = parts->jit->lookup(kernel->entry);
  if (!entry)
    return entry.takeError();
  Counters counted;
  Launch checked = launch;
  std::vector<Buffer> buffers = launch.buffers.vec();
  if (!buffers.empty())
    buffers.insert(buffers.end(), parts->variables.begin(),
                   parts->variables.end());
  checked.buffers = buffers;
  Error error = parts->simt.run(entry->toPtr<Simt::Body>(), arguments, checked,
                                parts->objects, parts->dynamicOffset,
                                parts->sites, counted);
  if (counters)
    *counters = counted;
  return error;
}
