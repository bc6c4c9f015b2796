//===- Bundle.cpp - The model's tables as an object -----------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/Bundle.h"
#include "qcc/Codegen/Common/Backend.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

using namespace qcc;
using llvm::Constant;

namespace {
/// Builds constants the way a C compiler lays out the structs of qcc_abi.h.
class BundleBuilder {
public:
  BundleBuilder(llvm::Module &module)
      : module(module), context(module.getContext()),
        pointer(llvm::PointerType::get(context, 0)) {}

  Constant *i16(uint64_t value) { return integer(16, value); }
  Constant *i32(uint64_t value) { return integer(32, value); }
  Constant *i64(uint64_t value) { return integer(64, value); }
  Constant *null() { return llvm::ConstantPointerNull::get(pointer); }

  Constant *string(llvm::StringRef text) {
    return global(llvm::ConstantDataArray::getString(context, text), "text", 1,
                  /*canMerge=*/true);
  }

  /// A private constant; its address.
  llvm::GlobalVariable *global(Constant *value, llvm::StringRef name,
                               uint64_t alignment, bool canMerge = false) {
    auto *result = new llvm::GlobalVariable(
        module, value->getType(), /*isConstant=*/true,
        llvm::GlobalValue::PrivateLinkage, value, name);
    result->setAlignment(llvm::Align(alignment));
    if (canMerge)
      result->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return result;
  }

  Constant *structure(std::initializer_list<Constant *> fields) {
    return llvm::ConstantStruct::getAnon(context, fields);
  }

  Constant *array(llvm::Type *element, llvm::ArrayRef<Constant *> values) {
    return llvm::ConstantArray::get(
        llvm::ArrayType::get(element, values.size()), values);
  }

  Constant *model(const BundleModel &model);

  /// The address of an array of structures; null for none.
  Constant *table(llvm::ArrayRef<Constant *> rows, llvm::StringRef name) {
    return rows.empty() ? null()
                        : global(array(rows.front()->getType(), rows), name, 8);
  }

  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::PointerType *pointer;

private:
  Constant *gpuCode(const LaunchProgram &program);

  Constant *integer(unsigned bits, uint64_t value) {
    return llvm::ConstantInt::get(llvm::IntegerType::get(context, bits), value);
  }
};
} // namespace

Constant *BundleBuilder::gpuCode(const LaunchProgram &program) {
  llvm::SmallVector<Constant *> images, kernels, operands;
  for (const GpuImage &image : program.images)
    images.push_back(structure(
        {i32(image.kind), i32(image.architecture), i32(image.specific),
         i32(image.cudaVersion),
         global(llvm::ConstantDataArray::getString(context, image.data,
                                                   /*AddNull=*/false),
                "image", 16),
         i64(image.data.size())}));
  for (const LaunchKernel &kernel : program.kernels)
    kernels.push_back(structure({string(kernel.name), i32(kernel.threads),
                                 i32(kernel.mostSharedBytes)}));
  auto tableOf = [&](const std::vector<Launch> &all) {
    llvm::SmallVector<Constant *> launches;
    for (const Launch &launch : all) {
      static_assert(sizeof(qcc_gpu_launch_v1) == 48, "fields below");
      launches.push_back(structure(
          {string(launch.name), i32(launch.kernel), i32(operands.size()),
           i32(launch.operands.size()), i32(launch.per), i32(launch.units),
           i32(launch.rowsPerBlock), i32(launch.sharedBytes),
           i32(launch.sharedBytesPerRow), i32(launch.layer), i32(0)}));
      for (const qcc_gpu_operand_v1 &operand : launch.operands)
        operands.push_back(structure({i32(operand.kind), i32(0),
                                      i64(operand.value), i64(operand.bytes)}));
    }
    return table(launches, "launches");
  };
  Constant *generate = tableOf(program.launches),
           *prompt = program.promptLaunches.empty()
                         ? generate
                         : tableOf(program.promptLaunches),
           *several = tableOf(program.severalLaunches);
  // Of the runtime; of no type that matters.
  Constant *runtime = module.getOrInsertGlobal(QCC_GPU_RUNTIME_SYMBOL,
                                               llvm::Type::getInt8Ty(context));
  llvm::cast<llvm::GlobalVariable>(runtime)->setVisibility(
      llvm::GlobalValue::HiddenVisibility);
  uint32_t flags = program.startsEarly ? QCC_GPU_STARTS_EARLY : 0;
  static_assert(sizeof(qcc_gpu_code_v1) == 112, "fields below");
  return global(structure({i32(sizeof(qcc_gpu_code_v1)), i32(images.size()),
                           table(images, "images"), table(kernels, "kernels"),
                           table(operands, "operands"), i32(kernels.size()),
                           i32(operands.size()), generate,
                           i32(program.launchesOf(false).size()), i32(flags),
                           prompt, i32(program.launchesOf(true).size()),
                           i32(flags), i64(program.residualOffset),
                           i64(program.residualStride), runtime, several,
                           i32(program.severalLaunches.size()), i32(flags)}),
                "gpu", 8);
}

Constant *BundleBuilder::model(const BundleModel &model) {
  const ModelCode &code = *model.code;
  llvm::SmallVector<Constant *> states;
  for (const qcc_state_v1 &state : code.states)
    states.push_back(
        structure({i64(state.page_bytes), i32(state.window), i32(0)}));

  llvm::SmallVector<Constant *> matmuls;
  for (const MatmulInput &matmul : code.matmuls)
    matmuls.push_back(structure({string(matmul.weight), i64(matmul.first),
                                 i32(matmul.columns), i32(0)}));

  llvm::SmallVector<Constant *> stages;
  for (const ProfiledStage &stage : code.stages)
    stages.push_back(structure({string(stage.name), i64(stage.weightBytes),
                                i64(stage.macs), i32(stage.runs), i32(0)}));

  Constant *step = null();
  if (!code.gpu) {
    auto *stepType =
        llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                                {pointer, llvm::Type::getInt32Ty(context),
                                 llvm::Type::getInt32Ty(context)},
                                false);
    llvm::Function *function = llvm::Function::Create(
        stepType, llvm::GlobalValue::ExternalLinkage, code.stepSymbol, module);
    function->setVisibility(llvm::GlobalValue::HiddenVisibility);
    step = function;
  }

  static_assert(sizeof(qcc_model_v1) == 144, "fields below");
  Constant *fields = structure({i32(sizeof(qcc_model_v1)),
                                i32(states.size()),
                                string(model.target->name),
                                i64(model.target->cpuFeatures),
                                step,
                                table(states, "states"),
                                i64(code.arenaBytes),
                                i64(code.arenaThreadBytes),
                                i32(code.rowCapacity),
                                i32(code.vocab),
                                i32(code.hidden),
                                i32(code.layers),
                                i32(code.context),
                                i32(code.splits ? QCC_CODE_SPLITS : 0),
                                string(code.activations),
                                string(code.kv),
                                table(matmuls, "matmuls"),
                                i32(matmuls.size()),
                                i32(0),
                                i64(code.matmulColumns),
                                table(stages, "stages"),
                                i32(stages.size()),
                                i32(0),
                                code.gpu ? gpuCode(*code.gpu) : null()});
  return global(fields, "model", 8);
}

llvm::Expected<llvm::SmallVector<char, 0>>
qcc::emitBundle(const BundleContents &contents) {
  // The tables are data: any target's data layout will do.
  const TargetSpec &target = targetTable().front();
  llvm::LLVMContext context;
  llvm::Module module("bundle", context);
  if (llvm::Error error = prepareForTarget(module, target))
    return error;

  BundleBuilder b(module);
  llvm::SmallVector<Constant *> models;
  for (const BundleModel &model : contents.models)
    models.push_back(b.model(model));
  Constant *modelTable = b.global(b.array(b.pointer, models), "models", 8);
  Constant *tokenizer = b.null();
  if (!contents.tokenizer.empty())
    tokenizer =
        b.global(llvm::ConstantDataArray::get(context, contents.tokenizer),
                 "tokenizer", 64);

  llvm::SmallVector<Constant *> templates;
  for (const auto &[name, source] : contents.templates)
    templates.push_back(b.structure({b.string(name), b.string(source)}));
  static_assert(sizeof(qcc_bundle_v1) == 136, "fields below");
  Constant *bundle = b.structure(
      {b.i32(sizeof(qcc_bundle_v1)),
       b.i16(QCC_ABI_VERSION_MAJOR),
       b.i16(QCC_ABI_VERSION_MINOR),
       modelTable,
       b.i32(models.size()),
       b.i32(0),
       b.string(contents.name),
       b.string(contents.architecture),
       b.string(contents.compiler),
       tokenizer,
       b.i64(contents.tokenizer.size()),
       contents.chatTemplate ? b.string(*contents.chatTemplate) : b.null(),
       b.string(contents.info),
       b.i64(contents.parameters),
       b.i64(contents.weightBytes),
       b.i64(contents.weightBytesPerToken),
       b.string(contents.checkpoint),
       b.string(contents.weightTypes),
       b.table(templates, "templates"),
       b.i32(templates.size()),
       b.i32(0)});
  const llvm::DataLayout &layout = module.getDataLayout();
  if (layout.getTypeAllocSize(bundle->getType()) != sizeof(qcc_bundle_v1))
    return llvm::createStringError("qcc_bundle_v1: layout differs from the "
                                   "header's");
  llvm::GlobalVariable *global = b.global(bundle, QCC_BUNDLE_SYMBOL, 8);
  global->setLinkage(llvm::GlobalValue::ExternalLinkage);
  global->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return generateCode(module, target, CodeKind::Object);
}
