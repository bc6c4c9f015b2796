//===- CompiledKernel.cpp - One generated matmul in this process ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "CompiledKernel.h"

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Formats/PackedLayout.h"
#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"
#include "lib/Codegen/X86/MatmulKernel.h"
#include "lib/Codegen/X86/PanelKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <stdexcept>

using namespace mlir;
using namespace qcc;
using namespace qcc::bench;

/// More rows than any target has registers for.
static constexpr int64_t kMostTileRows = 64;

struct CompiledKernel::Code {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

static MLIRContext &sharedContext() {
  static MLIRContext *context = [] {
    DialectRegistry registry;
    registry.insert<arith::ArithDialect, cf::ControlFlowDialect,
                    func::FuncDialect, LLVM::LLVMDialect, llm::LLMDialect,
                    qz::QZDialect, scf::SCFDialect, vector::VectorDialect>();
    registerBackendTranslations(registry);
    auto *result = new MLIRContext(registry, MLIRContext::Threading::DISABLED);
    result->loadAllAvailableDialects();
    return result;
  }();
  return *context;
}

template <typename T>
static T require(llvm::Expected<T> value) {
  if (!value)
    throw std::runtime_error(llvm::toString(value.takeError()));
  return std::move(*value);
}
static void require(llvm::Error error) {
  if (error)
    throw std::runtime_error(llvm::toString(std::move(error)));
}

/// A model that is an embedding and one matmul: what the passes of stages 3 and
/// 4 need to decide on layouts and activations.
static std::string moduleText(const Encoding &encoding,
                              const CompiledKernel::Shape &shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  std::string table, weight;
  Encoding f32;
  f32.element = ScalarType::F32;
  llvm::raw_string_ostream(table)
      << "!qz.tensor<16x" << shape.columns << ", "
      << qz::EncodingAttr::fromEncoding(&sharedContext(), f32) << ">";
  llvm::raw_string_ostream(weight)
      << "!qz.tensor<" << shape.rows << "x" << shape.columns << ", "
      << qz::EncodingAttr::fromEncoding(&sharedContext(), encoding) << ">";
  auto columns = std::to_string(shape.columns);
  std::string inner = "tensor<?x" + columns + "xf32>";
  std::string outer = "tensor<?x" + std::to_string(shape.rows) + "xf32>";
  std::string activation = "!qz.activation<" + columns + ">";
  os << "qz.weight @table : " << table << "\nqz.weight @weight : " << weight
     << "\nfunc.func @step(%batch: !llm.batch) -> " << outer << " {\n"
     << "  %t = qz.use @table : " << table << "\n"
     << "  %w = qz.use @weight : " << weight << "\n"
     << "  %x = llm.embedding %batch, %t : " << table << " -> " << inner << "\n"
     << "  %a = qz.quantize %x : " << inner << " -> " << activation << "\n"
     << "  %y = qz.matmul %a, [%w] : " << activation << ", [" << weight
     << "] -> " << outer << "\n"
     << "  return %y : " << outer << "\n}\n";
  return text;
}

CompiledKernel::Bytes CompiledKernel::allocate(size_t size) {
  size = (size + 8191) / 4096 * 4096;
  auto *memory = static_cast<uint8_t *>(std::aligned_alloc(4096, size));
  if (!memory)
    throw std::runtime_error("out of memory");
  std::memset(memory, 0x3c, size);
  return Bytes(memory);
}

CompiledKernel::CompiledKernel(const Encoding &encoding, const Shape &shape,
                               const std::string &form, bool prompt,
                               const TargetSpec &target)
    : shape(shape), code(std::make_unique<Code>()) {
  MLIRContext &context = sharedContext();
  std::string diagnostics;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    diagnostics += diagnostic.str() + "; ";
    return success();
  });
  auto check = [&](bool ok, const char *what) {
    if (!ok)
      throw std::runtime_error(std::string(what) + " failed: " + diagnostics);
  };
  OwningOpRef<ModuleOp> source =
      parseSourceString<ModuleOp>(moduleText(encoding, shape), &context);
  check(bool(source), "parsing");
  std::optional<qz::Activations> kind = qz::symbolizeActivations(form);
  check(kind.has_value(), "naming the activations");
  ScheduleOptions schedule;
  schedule.generate = schedule.prompt = schedule.felt = *kind;
  PassManager passes(&context);
  buildLayoutPipeline(passes);
  buildSchedulePipeline(passes, schedule);
  check(succeeded(passes.run(*source)), "scheduling");

  qz::MatmulOp matmul;
  source->walk([&](qz::MatmulOp op) { matmul = op; });
  auto quantize = matmul.getInput().getDefiningOp<qz::QuantizeOp>();
  x86::Isa isa(target);
  int64_t sumGroup = *quantize.getSumGroup();
  int64_t wanted = prompt ? kMostTileRows : int64_t(shape.tokens);
  ActivationLayout layout = isa.activations({*kind, sumGroup, wanted, prompt},
                                            int64_t(shape.columns));
  if (!encoding.isFloat())
    layout.zeroFactor =
        std::max<int64_t>(1, x86::PanelKernel::integerZeroOf(encoding));
  OwningOpRef<ModuleOp> module = ModuleOp::create(source->getLoc());
  x86::MatmulKernels kernels(*module, isa);
  auto stride = int64_t((shape.rows + 15) / 16 * 64);
  func::FuncOp kernel =
      kernels.get(matmul, layout, {stride, false}, std::nullopt);
  std::string name = kernel.getName().str();
  units = x86::MatmulKernels::units(matmul);

  PassManager toLLVM(&context);
  buildLLVMDialectPipeline(toLLVM);
  check(succeeded(toLLVM.run(*module)), "lowering to llvm");
  llvm::LLVMContext llvmContext;
  auto llvmModule =
      require(translateToLLVM(module->getOperation(), llvmContext, target));
  llvmModule->getFunction(name)->setLinkage(llvm::GlobalValue::ExternalLinkage);
  require(optimizeLLVM(*llvmModule, target));
  auto object = require(generateCode(*llvmModule, target, CodeKind::Object));
  code->jit = require(llvm::orc::LLJITBuilder().create());
  require(code->jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(
      llvm::StringRef(object.data(), object.size()), "kernel")));
  function = require(code->jit->lookup(name)).toPtr<Function>();

  bytes = PackedLayout(encoding).bytes(shape.rows, shape.columns);
  int64_t tiles = (int64_t(shape.tokens) + layout.tile - 1) / layout.tile;
  weights = allocate(bytes);
  activations = allocate(size_t(layout.bytes(int64_t(shape.tokens))));
  results = allocate(size_t(tiles * layout.tile * stride));
}

CompiledKernel::~CompiledKernel() = default;
