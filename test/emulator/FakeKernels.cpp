//===- FakeKernels.cpp - The emulator behind the fake driver --------------===//
// SPDX-License-Identifier: Apache-2.0
//
// A library for FAKE_CUDA_KERNELS (runtime/test/FakeCuda.h): PTX that a program
// loads runs in the emulator, so that whole compiled models do.
//===----------------------------------------------------------------------===//

#include "Emulator.h"
#include "Ptx.h"

#include "FakeCuda.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace qcc::emulator;

namespace {
/// Never destroyed, as the driver's own objects may end after those of LLVM.
struct LoadedModule {
  llvm::LLVMContext context;
  std::unique_ptr<EmulatedModule> code;
  uint32_t launches = 0;
};
} // namespace

constexpr int illegalAddress = 700;

/// The order of blocks and of what a device leaves open changes from launch to
/// launch.
static int run(LoadedModule &module, const std::string &name, size_t parameters,
               const FakeLaunch &launch) {
  std::vector<Buffer> buffers;
  for (const FakeMemory &memory : launch.memory)
    buffers.push_back(
        {memory.start, memory.bytes, /*writable=*/true, memory.isConstant});
  Launch options;
  options.gridX = launch.grid[0];
  options.gridY = launch.grid[1];
  options.gridZ = launch.grid[2];
  options.blockX = launch.block[0];
  options.blockY = launch.block[1];
  options.blockZ = launch.block[2];
  options.dynamicSharedBytes = launch.sharedBytes;
  options.seed = module.launches++;
  options.copies = CopyTiming(options.seed % 3);
  options.startsEarly = launch.startsEarly;
  options.buffers = buffers;
  if (llvm::Error error = module.code->launch(
          name, options, llvm::ArrayRef(launch.arguments, parameters))) {
    llvm::errs() << "emulator: " << llvm::toString(std::move(error)) << '\n';
    return illegalAddress;
  }
  return 0;
}

/// As a driver does: text for one kind of GPU ("sm_90a") is refused by others,
/// any other by older ones, and there is no machine code here that could run.
static bool fits(const FakeCuda &fake, llvm::StringRef image,
                 std::string &log) {
  llvm::StringRef target = image.split("\n.target sm_").second;
  target = target.take_while([](char c) { return isalnum(c); });
  bool specific = target.consume_back("a");
  int architecture = 0, own = fake.major * 10 + fake.minor;
  if (target.getAsInteger(10, architecture) || architecture > own ||
      (specific && architecture != own))
    log = "no text for compute capability " + std::to_string(fake.major) + "." +
          std::to_string(fake.minor);
  return log.empty();
}

static bool load(const FakeCuda &fake, const void *image,
                 std::vector<FakeKernel> &kernels, std::string &log) {
  if (!fits(fake, static_cast<const char *>(image), log))
    return false;
  auto *loaded = new LoadedModule();
  auto failed = [&](llvm::Error error) {
    log = llvm::toString(std::move(error));
    return false;
  };
  auto ptx = readPtx(static_cast<const char *>(image), loaded->context);
  if (!ptx)
    return failed(ptx.takeError());
  auto code = EmulatedModule::create(*ptx->module);
  if (!code)
    return failed(code.takeError());
  loaded->code = std::move(*code);
  for (const PtxKernel &kernel : ptx->kernels)
    kernels.push_back(
        {kernel.name, kernel.parameterBytes,
         [loaded, name = kernel.name,
          parameters = kernel.parameterBytes.size()](const FakeLaunch &launch) {
           return run(*loaded, name, parameters, launch);
         },
         kernel.threads ? kernel.threads : 1024});
  return true;
}

extern "C" __attribute__((visibility("default"))) void
fake_kernels(FakeCuda *fake) {
  fake->loadImage = [fake](const void *image, std::vector<FakeKernel> &kernels,
                           std::string &log) {
    return load(*fake, image, kernels, log);
  };
}
