//===- CompiledStep.cpp - Generated code inside the test process ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "CompiledStep.h"
#include "TestContext.h"
#include "TileEmulation.h"

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Codegen/X86/LowerToX86.h"
#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/Module.h"

#include <barrier>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

using namespace mlir;
using namespace qcc;
using namespace qcc::test;

//===----------------------------------------------------------------------===//
// Context and text
//===----------------------------------------------------------------------===//

std::string qcc::test::whyNotRunnable(const std::string &name) {
  const TargetSpec *target = findTarget(name);
  if (!target)
    return "there is no target " + name;
  if (target->isGpu())
    return "";
  llvm::Expected<const TargetSpec *> native = detectNativeTarget();
  if (!native)
    return llvm::toString(native.takeError());
  constexpr uint64_t emulated = QCC_CPU_AMX_INT8 | QCC_CPU_AMX_BF16;
  if (target->cpuFeatures & ~((*native)->cpuFeatures | emulated))
    return "this machine lacks the instructions of " + name;
  return "";
}

std::string qcc::test::encodingText(const Encoding &encoding) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << qz::EncodingAttr::fromEncoding(&testContext(), encoding);
  return text;
}

std::string qcc::test::tensorText(size_t rows, size_t columns,
                                  const Encoding &encoding) {
  return "!qz.tensor<" + std::to_string(rows) + "x" + std::to_string(columns) +
         ", " + encodingText(encoding) + ">";
}

//===----------------------------------------------------------------------===//
// Compilation
//===----------------------------------------------------------------------===//

struct CompiledStep::Code {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::unique_ptr<EmulatedProgram> program;
};

EmulatedProgram *CompiledStep::program() const { return code->program.get(); }

/// Whether `target` has tile registers and this process has none.
static bool emulatesTiles(const TargetSpec &target) {
  if (!target.multipliesBlocks())
    return false;
  const TargetSpec *native = require(detectNativeTarget());
  return !native->multipliesBlocks() || llvm::errorToBool(allowTarget(target));
}

/// Loads an object. Generated code may call nothing but these three, which
/// every C library has, and what emulates its instructions.
static std::unique_ptr<llvm::orc::LLJIT>
loadObject(llvm::SmallVector<char, 0> object) {
  using namespace llvm::orc;
  auto jit = require(LLJITBuilder()
                         .setLinkProcessSymbolsByDefault(false)
                         .setPlatformSetUp(setUpInactivePlatform)
                         .create());
  SymbolMap symbols;
  auto define = [&](const char *name, auto *function) {
    symbols[jit->mangleAndIntern(name)] = {ExecutorAddr::fromPtr(function),
                                           llvm::JITSymbolFlags::Exported};
  };
  define("memcpy", &std::memcpy);
  define("memset", &std::memset);
  define("memmove", &std::memmove);
  for (auto [name, function] : tileFunctions())
    define(name, function);
  require(jit->getMainJITDylib().define(absoluteSymbols(std::move(symbols))));
  require(jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(
      llvm::StringRef(object.data(), object.size()), "step")));
  return jit;
}

/// The object of the step function for a CPU.
static llvm::SmallVector<char, 0> compileStep(ModelCode &model,
                                              const TargetSpec &target,
                                              const Diagnostics &diagnostics) {
  PassManager toLLVM(model.module->getContext());
  buildLLVMDialectPipeline(toLLVM);
  diagnostics.check(succeeded(toLLVM.run(*model.module)), "lowering to llvm");
  llvm::LLVMContext llvmContext;
  auto module = require(
      translateToLLVM(model.module->getOperation(), llvmContext, target));
  if (emulatesTiles(target))
    emulateTiles(*module);
  require(optimizeLLVM(*module, target));
  return require(generateCode(*module, target, CodeKind::Object));
}

CompiledStep::CompiledStep(const std::string &text, const StepOptions &options)
    : code(std::make_unique<Code>()) {
  Diagnostics diagnostics(testContext());
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(text, &testContext());
  diagnostics.check(bool(module), "parsing");
  compile(*module, options);
}

CompiledStep::CompiledStep(ModuleOp module, const StepOptions &options)
    : code(std::make_unique<Code>()) {
  Diagnostics diagnostics(testContext());
  PassManager passes(&testContext());
  buildFusePipeline(passes);
  diagnostics.check(succeeded(passes.run(module)), "fusing");
  compile(module, options);
}

void CompiledStep::compile(ModuleOp module, const StepOptions &options) {
  MLIRContext &context = testContext();
  Diagnostics diagnostics(context);
  pagesPerSequence = options.pages;
  const TargetSpec *target = findTarget(options.target);
  diagnostics.check(target, "finding the target");
  ScheduleOptions schedule;
  schedule.generate = *qz::symbolizeActivations(options.activations);
  schedule.prompt = options.prompt.empty()
                        ? schedule.generate
                        : *qz::symbolizeActivations(options.prompt);
  schedule.felt = schedule.prompt;
  schedule.blocks = target->multipliesBlocks() || target->isGpu();
  PassManager passes(&context);
  passes.addPass(createVerifyFusedPass());
  buildLayoutPipeline(passes);
  buildSchedulePipeline(passes, schedule);
  diagnostics.check(succeeded(passes.run(module)), "scheduling");

  for (auto op : module.getOps<qz::WeightOp>()) {
    if (!op.getOffset())
      continue;
    auto type = cast<qz::QTensorType>(op.getType());
    weights[op.getSymName().str()] = {type.getEncoding().toEncoding(),
                                      size_t(type.getMatrices()),
                                      size_t(type.getRows()),
                                      size_t(type.getColumns()),
                                      size_t(*op.getOffset()),
                                      size_t(*op.getBytes()),
                                      op.getLayout() == qz::Layout::Plain};
  }
  auto total = module->getAttrOfType<IntegerAttr>("qz.weight_bytes");
  weightSize = size_t(total.getInt());
  weightBytes = allocate(weightSize, 0);
  auto function = module.lookupSymbol<func::FuncOp>("step");
  resultColumns = size_t(
      cast<RankedTensorType>(function.getResultTypes()[0]).getDimSize(1));

  ModelCode model;
  if (target->isGpu()) {
    NVPTXOptions gpu;
    gpu.kv = options.kv;
    try {
      code->program = std::make_unique<EmulatedProgram>(module, *target, gpu);
    } catch (const std::runtime_error &error) {
      diagnostics.check(false, error.what());
    }
  } else {
    X86Options x86;
    x86.kv = options.kv;
    diagnostics.check(
        succeeded(lowerToX86(module, *target, x86, stepSymbolName(0), model)),
        "lowering");
    code->jit = loadObject(compileStep(model, *target, diagnostics));
    step = require(code->jit->lookup(model.stepSymbol)).toPtr<qcc_step_fn>();
  }
  const ModelCode &made = code->program ? code->program->code() : model;
  arenaBytes = made.arenaBytes;
  threadBytes = made.arenaThreadBytes;
  for (const qcc_state_v1 &state : made.states)
    pageBytes.push_back(state.page_bytes);
  clearState();
}

CompiledStep::~CompiledStep() = default;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

CompiledStep::Bytes CompiledStep::allocate(size_t bytes, uint8_t fill) {
  size_t size = (bytes + 4095) / 4096 * 4096 + 4096;
  auto *memory = static_cast<uint8_t *>(std::aligned_alloc(4096, size));
  std::memset(memory, fill, size);
  return Bytes(memory);
}

void CompiledStep::clearState() {
  states.clear();
  for (size_t s = 0; s < pageBytes.size(); ++s)
    states.push_back(
        allocate(pageStride(s) * kSequences * pagesPerSequence, 0xff));
}

size_t CompiledStep::pageStride(size_t state) const {
  return code->program
             ? pageBytes[state]
             : std::accumulate(pageBytes.begin(), pageBytes.end(), size_t(0));
}

void CompiledStep::setWeights(const std::vector<uint8_t> &bytes) {
  if (bytes.size() != weightSize)
    throw std::runtime_error("the weights have another size");
  std::memcpy(weightBytes.get(), bytes.data(), bytes.size());
}

uint32_t CompiledStep::pageNumber(unsigned sequence, unsigned page) const {
  const unsigned pages = kSequences * pagesPerSequence;
  // Any permutation: one of the two does not divide the number of pages that a
  // test has.
  const unsigned by = pages % 5 ? 5 : 7;
  return (sequence * pagesPerSequence + page) * by % pages;
}

uint8_t *CompiledStep::page(unsigned sequence, unsigned position) const {
  return states[0].get() +
         pageNumber(sequence, position / QCC_PAGE_TOKENS) * pageStride(0);
}

void CompiledStep::setWeight(const std::string &name,
                             const std::vector<Fields> &rows) {
  const Weight &weight = weights.at(name);
  PackedWeight packed(weight.encoding, weight.columns);
  if (rows.size() != weight.matrices * weight.rows ||
      weight.matrices * packed.bytes(weight.rows) != weight.bytes)
    throw std::runtime_error("weight " + name + " has another size");
  uint8_t *panel = weightBytes.get() + weight.offset;
  for (size_t first = 0; first < rows.size(); first += weight.rows)
    for (size_t row = 0; row < weight.rows; row += 16) {
      packed.packPanel(&rows[first + row],
                       unsigned(std::min<size_t>(16, weight.rows - row)),
                       panel);
      panel += packed.panelBytes;
    }
}

void CompiledStep::setVector(const std::string &name,
                             const std::vector<float> &values) {
  const Weight &weight = weights.at(name);
  if (!weight.isVector || values.size() * 4 != weight.bytes)
    throw std::runtime_error("weight " + name + " has another size");
  std::memcpy(weightBytes.get() + weight.offset, values.data(), weight.bytes);
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

namespace {
/// Where the threads of a step meet.
class Team {
public:
  Team(unsigned threads, const std::function<void(unsigned)> &turn)
      : threads(threads), turn(turn), barrier(threads) {}

  /// Before anything else, and after everything.
  void begin(unsigned thread) {
    if (turn)
      await(thread);
  }
  void end(unsigned thread) {
    if (turn)
      pass(thread);
  }

  void meet(unsigned thread) {
    if (!turn)
      return barrier.arrive_and_wait();
    pass(thread);
    await(thread);
  }

private:
  void await(unsigned thread) {
    std::unique_lock lock(mutex);
    passed.wait(lock, [&] { return running == thread; });
    turn(thread);
  }
  void pass(unsigned thread) {
    {
      std::lock_guard lock(mutex);
      running = (thread + 1) % threads;
    }
    passed.notify_all();
  }

  const unsigned threads;
  const std::function<void(unsigned)> &turn;
  std::barrier<> barrier;
  std::mutex mutex;
  std::condition_variable passed;
  unsigned running = 0;
};
} // namespace

std::vector<float> CompiledStep::run(const StepRows &in) {
  size_t rows = in.token.size();
  std::vector<int32_t> position = in.position;
  for (size_t i = position.size(); i < rows; ++i)
    position.push_back(int32_t(i));
  std::vector<uint32_t> sequence = in.sequence, output = in.output;
  sequence.resize(rows);
  for (uint32_t i = 0; in.output.empty() && i < rows; ++i)
    output.push_back(i);
  std::vector<uint32_t> table;
  for (unsigned s = 0; s < kSequences; ++s)
    for (unsigned p = 0; p < pagesPerSequence; ++p)
      table.push_back(pageNumber(s, p));

  Bytes arena = allocate(arenaBytes + in.threads * threadBytes, 0xff);
  // A row more than there are, which must stay as it is.
  std::vector<float> logits((output.size() + 1) * resultColumns, -12345.0f);
  std::vector<uint8_t *> statePointers;
  for (const Bytes &state : states)
    statePointers.push_back(state.get());
  Team team(in.threads, in.turn);

  qcc_step_v1 call = {};
  call.struct_size = sizeof(call);
  call.flags = in.prompt ? QCC_STEP_PROMPT : 0;
  call.rows = uint32_t(rows);
  call.outputs = uint32_t(output.size());
  call.token = in.token.data();
  call.position = position.data();
  call.sequence = sequence.data();
  call.output = output.data();
  call.page_table = table.data();
  call.pages_per_sequence = pagesPerSequence;
  call.weights = weightBytes.get();
  call.state = statePointers.data();
  call.page_stride = states.empty() ? 0 : pageStride(0);
  call.arena = arena.get();
  call.logits = logits.data();
  call.barrier = [](void *context, uint32_t thread) -> int32_t {
    static_cast<Team *>(context)->meet(thread);
    return 0;
  };
  call.barrier_context = &team;

  if (code->program) {
    code->program->run(call,
                       {weightSize, kSequences, kSequences * pagesPerSequence});
  } else {
    auto enter = [&](uint32_t thread) {
      team.begin(thread);
      step(&call, thread, in.threads);
      team.end(thread);
    };
    std::vector<std::thread> others;
    for (uint32_t t = 1; t < in.threads; ++t)
      others.emplace_back(enter, t);
    enter(0);
    for (std::thread &thread : others)
      thread.join();
  }

  if (std::string fault = takeTileFault(); !fault.empty())
    throw std::runtime_error("the CPU would refuse " + fault);
  for (size_t i = output.size() * resultColumns; i < logits.size(); ++i)
    if (logits[i] != -12345.0f)
      throw std::runtime_error("the step wrote past its results");
  logits.resize(output.size() * resultColumns);
  return logits;
}
