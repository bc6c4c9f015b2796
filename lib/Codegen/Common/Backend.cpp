//===- Backend.cpp - From MLIR to machine code ----------------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/Backend.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Triple.h"

#include <mutex>

using namespace mlir;
using namespace qcc;

static const char *tripleOf(const TargetSpec &target) {
  return target.isGpu() ? "nvptx64-nvidia-cuda" : "x86_64-unknown-linux-gnu";
}

void qcc::registerBackendTranslations(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

void qcc::buildLLVMDialectPipeline(OpPassManager &passes) {
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertMathToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

void qcc::registerBackendPasses() {
  registerPass([] { return createSCFToControlFlowPass(); });
  registerPass([] { return createConvertVectorToLLVMPass(); });
  registerPass([] { return createConvertMathToLLVMPass(); });
  registerPass([] { return createArithToLLVMConversionPass(); });
  registerPass([] { return createConvertControlFlowToLLVMPass(); });
  registerPass([] { return createConvertFuncToLLVMPass(); });
  registerPass([] { return createReconcileUnrealizedCastsPass(); });
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createMachine(const TargetSpec &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  llvm::Triple triple(tripleOf(target));
  std::string why;
  const llvm::Target *machine = llvm::TargetRegistry::lookupTarget(triple, why);
  if (!machine)
    return llvm::createStringError(why);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  options.FunctionSections = true;
  options.DataSections = true;
  std::unique_ptr<llvm::TargetMachine> result(machine->createTargetMachine(
      triple, target.cpu, target.features, options, llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!result)
    return llvm::createStringError("no code generator for target '" +
                                   llvm::StringRef(target.name) + "'");
  return result;
}

namespace {
/// Collects LLVM's errors instead of letting its default handler end the
/// process.
struct ErrorCollector : llvm::DiagnosticHandler {
  explicit ErrorCollector(std::string &text) : text(text) {}
  bool handleDiagnostics(const llvm::DiagnosticInfo &info) override {
    if (info.getSeverity() != llvm::DS_Error)
      return true;
    llvm::raw_string_ostream stream(text);
    if (!text.empty())
      stream << "; ";
    llvm::DiagnosticPrinterRawOStream printer(stream);
    info.print(printer);
    return true;
  }
  std::string &text;
};
} // namespace

llvm::Error qcc::prepareForTarget(llvm::Module &module,
                                  const TargetSpec &target) {
  auto machine = createMachine(target);
  if (!machine)
    return machine.takeError();
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  return llvm::Error::success();
}

/// Gives branches the hints that loops were emitted with: lowering keeps them
/// as an attribute that the translation does not know.
static void setLoopHints(Operation *module) {
  constexpr StringLiteral kHint("llvm.loop_annotation");
  module->walk([&](Operation *op) {
    auto hint = op->getAttrOfType<LLVM::LoopAnnotationAttr>(kHint);
    if (!hint)
      return;
    if (auto branch = dyn_cast<LLVM::BrOp>(op))
      branch.setLoopAnnotationAttr(hint);
    else if (auto branch = dyn_cast<LLVM::CondBrOp>(op))
      branch.setLoopAnnotationAttr(hint);
    op->removeDiscardableAttr(kHint);
  });
}

llvm::Expected<std::unique_ptr<llvm::Module>>
qcc::translateToLLVM(Operation *module, llvm::LLVMContext &context,
                     const TargetSpec &target) {
  if (target.kind == TargetKind::X86)
    setLoopHints(module);
  std::unique_ptr<llvm::Module> result =
      translateModuleToLLVMIR(module, context, "model");
  if (!result)
    return llvm::createStringError(
        "the generated code cannot be translated to llvm");
  if (llvm::Error error = prepareForTarget(*result, target))
    return error;
  for (llvm::GlobalVariable &global : result->globals())
    if (!global.isDeclaration() && !global.hasHiddenVisibility())
      global.setLinkage(llvm::GlobalValue::InternalLinkage);
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    bool isKernel = function.getCallingConv() == llvm::CallingConv::PTX_Kernel;
    if (!isKernel && !function.hasHiddenVisibility())
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
    function.addFnAttr("target-cpu", target.cpu);
    if (*target.tune)
      function.addFnAttr("tune-cpu", target.tune);
    if (*target.features)
      function.addFnAttr("target-features", target.features);
    if (target.kind == TargetKind::X86)
      function.addFnAttr("prefer-vector-width",
                         std::to_string(target.vectorBits));
    function.setDoesNotThrow();
    function.setUWTableKind(llvm::UWTableKind::None);
  }
  return result;
}

llvm::Error qcc::optimizeLLVM(llvm::Module &module, const TargetSpec &target) {
  auto machine = createMachine(target);
  if (!machine)
    return machine.takeError();
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine->get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, modules);
  return llvm::Error::success();
}

llvm::Expected<llvm::SmallVector<char, 0>>
qcc::generateCode(llvm::Module &module, const TargetSpec &target,
                  CodeKind kind) {
  auto machine = createMachine(target);
  if (!machine)
    return machine.takeError();
  std::string errors;
  module.getContext().setDiagnosticHandler(
      std::make_unique<ErrorCollector>(errors));
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  auto type = kind == CodeKind::Object ? llvm::CodeGenFileType::ObjectFile
                                       : llvm::CodeGenFileType::AssemblyFile;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, type))
    return llvm::createStringError("target '" + llvm::StringRef(target.name) +
                                   "' has no code emitter");
  passes.run(module);
  if (!errors.empty())
    return llvm::createStringError("code generation for target '" +
                                   llvm::StringRef(target.name) +
                                   "' failed: " + errors);
  return bytes;
}
