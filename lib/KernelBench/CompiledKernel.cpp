//===- CompiledKernel.cpp - One generated matmul in this process ----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "CompiledKernel.h"

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Codegen/Common/Backend.h"
#include "qcc/Formats/PackedWeight.h"
#include "qcc/Transforms/Passes.h"
#include "qcc/Transforms/Transforms.h"
#include "lib/Codegen/X86/FixedPanel.h"
#include "lib/Codegen/X86/MatmulKernel.h"
#include "lib/Codegen/X86/PanelKernel.h"
#include "lib/Codegen/X86/RowKernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
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

using namespace mlir;
using namespace qcc;
using namespace qcc::bench;

/// More rows than any target has registers for.
static constexpr int64_t kMostTileRows = 64;

struct CompiledKernel::Code {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

static DialectRegistry registry() {
  DialectRegistry registry;
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect,
                  func::FuncDialect, LLVM::LLVMDialect, llm::LLMDialect,
                  qz::QZDialect, scf::SCFDialect, vector::VectorDialect>();
  registerBackendTranslations(registry);
  return registry;
}

/// A model that is an embedding and one matmul: what the passes of stages 3 and
/// 4 need to decide on layouts and activations.
static std::string moduleText(MLIRContext &context, const Encoding &encoding,
                              const CompiledKernel::Shape &shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  std::string table, weight;
  Encoding f32;
  f32.element = ScalarType::F32;
  llvm::raw_string_ostream(table)
      << "!qz.tensor<16x" << shape.columns << ", "
      << qz::EncodingAttr::fromEncoding(&context, f32) << ">";
  llvm::raw_string_ostream(weight)
      << "!qz.tensor<" << shape.rows << "x" << shape.columns << ", "
      << qz::EncodingAttr::fromEncoding(&context, encoding) << ">";
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

/// (input, activations, rows, scratch): quantizes rows of f32 that follow each
/// other.
static std::string addQuantize(ModuleOp module, const x86::Isa &isa,
                               int64_t columns,
                               const ActivationLayout &layout) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  x86::Emitter e(builder, module.getLoc(), module);
  auto function = func::FuncOp::create(
      builder, module.getLoc(), "quantize",
      builder.getFunctionType({e.ptr(), e.ptr(), e.i64(), e.ptr()}, {}));
  function.setPrivate();
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  x86::RowNorm norm{Value(), Value(), false, 0};
  Value input = entry->getArgument(0), out = entry->getArgument(1),
        rows = entry->getArgument(2);
  if (layout.isFixed)
    e.loop(e.c64(0), e.udiv(e.add(rows, layout.tile - 1), layout.tile), 1,
           [&](Value tile) {
             x86::quantizeTile(e, isa, input, columns * 4, norm, Value(),
                               columns, layout, out, tile,
                               entry->getArgument(3));
           });
  else
    e.loop(e.c64(0), rows, 1, [&](Value row) {
      x86::quantizeRow(e, isa, e.offset(input, e.mul(row, columns * 4)), norm,
                       Value(), columns, layout, out, row);
    });
  func::ReturnOp::create(builder, module.getLoc());
  return function.getName().str();
}

CompiledKernel::CompiledKernel(const Encoding &encoding, const Shape &shape,
                               const Options &options)
    : encoding(encoding), shape(shape), copies(options.copies),
      bytes(PackedWeight(encoding, shape.columns).bytes(shape.rows)),
      copyBytes((bytes + 4095) / 4096 * 4096),
      stride((shape.rows + 15) / 16 * 64), code(std::make_unique<Code>()) {}

CompiledKernel::~CompiledKernel() = default;

llvm::Expected<CompiledKernel::Bytes> CompiledKernel::allocate(size_t size) {
  // Kernels may read, but not use, a line behind the end.
  size = (size + 8191) / 4096 * 4096;
  auto *memory = static_cast<uint8_t *>(std::aligned_alloc(4096, size));
  if (!memory)
    return llvm::createStringError("out of memory: " + llvm::Twine(size) +
                                   " bytes");
  std::memset(memory, 0x3c, size);
  return Bytes(memory);
}

llvm::Error CompiledKernel::compile(const Options &options) {
  MLIRContext context(registry(), MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::string diagnostics;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    diagnostics += diagnostic.str() + "; ";
    return success();
  });
  auto failed = [&](const char *what) {
    return llvm::createStringError(llvm::Twine(what) +
                                   " failed: " + diagnostics);
  };
  OwningOpRef<ModuleOp> source = parseSourceString<ModuleOp>(
      moduleText(context, encoding, shape), &context);
  if (!source)
    return failed("making the matmul");
  ScheduleOptions schedule;
  schedule.generate = schedule.prompt = schedule.felt = options.activations;
  schedule.blocks = options.target->multipliesBlocks();
  PassManager passes(&context);
  buildLayoutPipeline(passes);
  buildSchedulePipeline(passes, schedule);
  if (mlir::failed(passes.run(*source)))
    return failed("scheduling");

  qz::MatmulOp matmul;
  source->walk([&](qz::MatmulOp op) { matmul = op; });
  auto quantizeOp = matmul.getInput().getDefiningOp<qz::QuantizeOp>();
  x86::Isa isa(*options.target);
  qz::Activations kind =
      options.prompt ? *quantizeOp.getPrompt() : *quantizeOp.getGenerate();
  int64_t sumGroup = *quantizeOp.getSumGroup();
  int64_t wanted = options.prompt ? kMostTileRows : int64_t(shape.tokens);
  bool mayBeFixed = x86::FixedPanel::takes(encoding);
  ActivationLayout layout = isa.activations(
      {kind, sumGroup, wanted, options.prompt,
       options.prompt && quantizeOp.getPromptBlocks(), mayBeFixed,
       mayBeFixed && x86::FixedPanel::hasTerms(encoding)},
      int64_t(shape.columns));
  usedKind = layout.kind;
  if (!encoding.isFloat() && !encoding.hasZeros() && encoding.spans.empty())
    layout.zeroFactor =
        std::max<int64_t>(1, x86::PanelKernel::integerZeroOf(encoding));
  OwningOpRef<ModuleOp> module = ModuleOp::create(source->getLoc());
  x86::MatmulKernels kernels(*module, isa);
  std::string multiplyName =
      kernels.get(matmul, layout, {int64_t(stride), false}, std::nullopt)
          .getName()
          .str();
  std::string quantizeName =
      addQuantize(*module, isa, int64_t(shape.columns), layout);
  units = x86::MatmulKernels::units(matmul);

  PassManager toLLVM(&context);
  buildLLVMDialectPipeline(toLLVM);
  if (mlir::failed(toLLVM.run(*module)))
    return failed("lowering to llvm");
  llvm::LLVMContext llvmContext;
  auto llvmModule =
      translateToLLVM(module->getOperation(), llvmContext, *options.target);
  if (!llvmModule)
    return llvmModule.takeError();
  for (const std::string &name : {multiplyName, quantizeName})
    (*llvmModule)
        ->getFunction(name)
        ->setLinkage(llvm::GlobalValue::ExternalLinkage);
  if (llvm::Error error = optimizeLLVM(**llvmModule, *options.target))
    return error;
  auto object = generateCode(**llvmModule, *options.target, CodeKind::Object);
  if (!object)
    return object.takeError();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  code->jit = std::move(*jit);
  if (llvm::Error error =
          code->jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(
              llvm::StringRef(object->data(), object->size()), "kernel")))
    return error;
  auto find = [&](const std::string &name, auto &function) -> llvm::Error {
    auto address = code->jit->lookup(name);
    if (!address)
      return address.takeError();
    function = address->toPtr<std::remove_reference_t<decltype(function)>>();
    return llvm::Error::success();
  };
  if (llvm::Error error = find(multiplyName, multiplyPanels))
    return error;
  if (llvm::Error error = find(quantizeName, quantizeRows))
    return error;

  int64_t scratchBytes =
      x86::MatmulKernels::scratchBytes(matmul, layout, int64_t(shape.tokens));
  if (layout.isFixed)
    scratchBytes = std::max(scratchBytes, x86::quantizeTileBytes(layout));
  auto tokens = int64_t(shape.tokens);
  int64_t padded = (tokens + layout.tile - 1) / layout.tile * layout.tile;
  const std::pair<Bytes *, size_t> memories[] = {
      {&inputs, size_t(padded) * shape.columns * sizeof(float)},
      {&weights, copies * copyBytes},
      {&activations, size_t(layout.bytes(padded))},
      {&results, size_t(padded) * stride},
      {&scratch, size_t(scratchBytes)}};
  for (auto [memory, size] : memories) {
    llvm::Expected<Bytes> allocated = allocate(size);
    if (!allocated)
      return allocated.takeError();
    *memory = std::move(*allocated);
  }
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<CompiledKernel>>
CompiledKernel::create(const Encoding &encoding, const Shape &shape,
                       const Options &options) {
  std::unique_ptr<CompiledKernel> kernel(
      new CompiledKernel(encoding, shape, options));
  if (llvm::Error error = kernel->compile(options))
    return error;
  return kernel;
}

void CompiledKernel::setWeights(
    llvm::function_ref<void(size_t, Fields &)> row) {
  PackedWeight packed(encoding, shape.columns);
  std::memset(weights.get(), 0, copies * copyBytes);
  Fields fields[PackedLayout::kRows];
  for (size_t first = 0; first < shape.rows; first += PackedLayout::kRows) {
    auto count =
        unsigned(std::min<size_t>(PackedLayout::kRows, shape.rows - first));
    for (unsigned i = 0; i < count; ++i)
      row(first + i, fields[i]);
    packed.packPanel(fields, count,
                     weights.get() +
                         first / PackedLayout::kRows * packed.panelBytes);
  }
  for (size_t copy = 1; copy < copies; ++copy)
    std::memcpy(weights.get() + copy * copyBytes, weights.get(), bytes);
}
