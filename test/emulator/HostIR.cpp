//===- HostIR.cpp - A module for NVPTX, rewritten for the host ------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "HostIR.h"

#include "InlineAsm.h"
#include "Intrinsics.h"

#include "llvm/Analysis/ValueTracking.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/DebugInfo.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Verifier.h"

using namespace llvm;
using namespace qcc::emulator;

/// Half of a stack; the rest is for registers and calls.
static constexpr size_t kMostLocalBytes = FiberStacks::kBytes / 2;

namespace {
class Rewriter {
public:
  explicit Rewriter(HostModule &host)
      : host(host), module(*host.module), context(*host.context) {}

  Error rewriteFunction(Function &function);
  void addEntry(HostKernel &kernel);

private:
  Error rewriteCall(CallInst &call);
  Value *emitEntry(Instruction &before, StringRef name,
                   ArrayRef<Value *> operands, Type *result);
  void checkMemory(Instruction &instruction);
  void noteFence(FenceInst &fence);
  void emitCheck(Instruction &before, Value *address, Value *bytes,
                 Align alignment, Access access, StringRef what);
  Value *fusePerElement(CallInst &call);
  AllocaInst *buffer(AllocaInst *&slot, uint64_t bytes);
  Constant *site(const Twine &what);
  Constant *simt();

  HostModule &host;
  Module &module;
  LLVMContext &context;
  Function *current = nullptr;
  AllocaInst *operandBuffer = nullptr, *resultBuffer = nullptr;
  uint64_t localBytes = 0;
};
} // namespace

//===----------------------------------------------------------------------===//
// Calls of entries
//===----------------------------------------------------------------------===//

Constant *Rewriter::site(const Twine &what) {
  host.sites.push_back((what + " in '" + current->getName() + "'").str());
  return ConstantInt::get(Type::getInt32Ty(context), host.sites.size() - 1);
}

Constant *Rewriter::simt() {
  return module.getOrInsertGlobal(kSimtSymbol, Type::getInt8Ty(context));
}

/// One buffer serves all calls of a function, and is as large as the largest.
AllocaInst *Rewriter::buffer(AllocaInst *&slot, uint64_t bytes) {
  Type *byte = Type::getInt8Ty(context);
  if (!slot) {
    BasicBlock &entry = current->getEntryBlock();
    slot = new AllocaInst(ArrayType::get(byte, bytes), 0, nullptr, Align(16),
                          "", entry.begin());
  } else if (slot->getAllocatedType()->getArrayNumElements() < bytes) {
    slot->setAllocatedType(ArrayType::get(byte, bytes));
  }
  return slot;
}

Value *Rewriter::emitEntry(Instruction &before, StringRef name,
                           ArrayRef<Value *> operands, Type *result) {
  IRBuilder<> builder(&before);
  const DataLayout &layout = module.getDataLayout();
  PointerType *pointer = builder.getPtrTy();
  Value *in = ConstantPointerNull::get(pointer);
  Value *out = ConstantPointerNull::get(pointer);
  if (!operands.empty()) {
    SmallVector<Type *> types;
    for (Value *operand : operands)
      types.push_back(operand->getType());
    auto *structure = StructType::get(context, types);
    const StructLayout *offsets = layout.getStructLayout(structure);
    in = buffer(operandBuffer, offsets->getSizeInBytes());
    for (auto [index, operand] : enumerate(operands))
      builder.CreateStore(operand,
                          builder.CreateConstInBoundsGEP1_64(
                              builder.getInt8Ty(), in,
                              offsets->getElementOffset(unsigned(index))));
  }
  if (!result->isVoidTy())
    out = buffer(resultBuffer, layout.getTypeAllocSize(result));
  FunctionCallee callee = module.getOrInsertFunction(
      (kEntryPrefix + name).str(), builder.getVoidTy(), pointer, pointer,
      pointer, builder.getInt32Ty());
  host.entries.insert(name);
  auto *call = builder.CreateCall(callee, {simt(), in, out, site(name)});
  call->setConvergent();
  if (result->isVoidTy())
    return nullptr;
  return builder.CreateLoad(result, out);
}

/// A fused multiply-add of narrow floats may be rounded twice by a host that
/// does it in f32.
Value *Rewriter::fusePerElement(CallInst &call) {
  Type *element = call.getType()->getScalarType();
  StringRef name = element->isHalfTy() ? "llvm.fma.f16" : "llvm.fma.bf16";
  auto *vector = dyn_cast<FixedVectorType>(call.getType());
  if (!vector)
    return emitEntry(call, name, SmallVector<Value *>(call.args()), element);
  IRBuilder<> builder(&call);
  Value *result = PoisonValue::get(vector);
  for (unsigned i = 0; i < vector->getNumElements(); ++i) {
    SmallVector<Value *> operands;
    for (Value *operand : call.args())
      operands.push_back(builder.CreateExtractElement(operand, uint64_t(i)));
    result = builder.CreateInsertElement(
        result, emitEntry(call, name, operands, element), uint64_t(i));
  }
  return result;
}

Error Rewriter::rewriteCall(CallInst &call) {
  auto emit = [&](StringRef name, ArrayRef<Value *> operands, Type *result) {
    return emitEntry(call, name, operands, result);
  };
  std::string place = " in '" + current->getName().str() + "'";
  Value *result = nullptr;
  if (call.isInlineAsm()) {
    std::optional<Value *> expanded = expandInlineAsm(call, emit);
    if (expanded)
      result = *expanded;
    else
      return createStringError(
          "inline assembly \"%s\"%s is not known to the emulator",
          cast<InlineAsm>(call.getCalledOperand())
              ->getAsmString()
              .str()
              .c_str(),
          place.c_str());
  } else {
    Function *callee = call.getCalledFunction();
    if (!callee)
      return createStringError("an indirect call%s", place.c_str());
    StringRef name = callee->getName();
    Type *element = call.getType()->getScalarType();
    if (!callee->isDeclaration())
      return Error::success();
    if (name == "llvm.nvvm.prmt") {
      IRBuilder<> builder(&call);
      result = buildPermute(builder, call.getArgOperand(0),
                            call.getArgOperand(1), call.getArgOperand(2));
    } else if (name.starts_with("llvm.fma.") &&
               (element->isHalfTy() || element->isBFloatTy())) {
      result = fusePerElement(call);
    } else if (name.starts_with("llvm.nvvm.") || findEntry(name)) {
      if (!findEntry(name))
        return createStringError(
            "intrinsic '%s'%s is not known to the emulator", name.str().c_str(),
            place.c_str());
      result = emit(name, SmallVector<Value *>(call.args()), call.getType());
    } else if (callee->isIntrinsic()) {
      return Error::success();
    } else {
      return createStringError("function '%s', called%s, is not defined in the "
                               "module",
                               name.str().c_str(), place.c_str());
    }
  }
  if (result)
    call.replaceAllUsesWith(result);
  call.eraseFromParent();
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Memory accesses
//===----------------------------------------------------------------------===//

/// Before an instruction that accesses memory. Variables of the function and of
/// the module (which are not in shared memory) are not checked.
void Rewriter::emitCheck(Instruction &before, Value *address, Value *bytes,
                         Align alignment, Access access, StringRef what) {
  const Value *object = getUnderlyingObject(address);
  auto *variable = dyn_cast<GlobalVariable>(object);
  auto *argument = dyn_cast<Argument>(object);
  if (isa<AllocaInst>(object) || (variable && variable->hasInitializer()) ||
      (argument && argument->hasByValAttr()))
    return;
  IRBuilder<> builder(&before);
  IntegerType *word = builder.getInt32Ty();
  PointerType *pointer = builder.getPtrTy();
  FunctionCallee check = module.getOrInsertFunction(
      kCheckSymbol, builder.getVoidTy(), pointer, pointer, builder.getInt64Ty(),
      word, word, word);
  builder.CreateCall(check,
                     {simt(), address,
                      builder.CreateZExtOrTrunc(bytes, builder.getInt64Ty()),
                      builder.getInt32(uint32_t(alignment.value())),
                      builder.getInt32(uint32_t(access)), site(what)});
}

/// Fences of a block order nothing between blocks.
void Rewriter::noteFence(FenceInst &fence) {
  SmallVector<StringRef> scopes;
  context.getSyncScopeNames(scopes);
  StringRef scope = scopes[fence.getSyncScopeID()];
  if (scope != "device" && !scope.empty())
    return;
  IRBuilder<> builder(&fence);
  FunctionCallee callee = module.getOrInsertFunction(
      kFenceSymbol, builder.getVoidTy(), builder.getPtrTy());
  builder.CreateCall(callee, {simt()});
}

void Rewriter::checkMemory(Instruction &instruction) {
  auto check = [&](Value *address, Type *type, Align alignment, Access access,
                   StringRef what) {
    uint64_t bytes = module.getDataLayout().getTypeStoreSize(type);
    emitCheck(instruction, address,
              ConstantInt::get(Type::getInt64Ty(context), bytes), alignment,
              access, what);
  };
  if (auto *load = dyn_cast<LoadInst>(&instruction)) {
    check(load->getPointerOperand(), load->getType(), load->getAlign(),
          Access::Read, "load");
  } else if (auto *store = dyn_cast<StoreInst>(&instruction)) {
    check(store->getPointerOperand(), store->getValueOperand()->getType(),
          store->getAlign(), Access::Write, "store");
  } else if (auto *atomic = dyn_cast<AtomicRMWInst>(&instruction)) {
    check(atomic->getPointerOperand(), atomic->getType(), atomic->getAlign(),
          Access::Atomic, "atomic operation");
  } else if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(&instruction)) {
    check(exchange->getPointerOperand(),
          exchange->getCompareOperand()->getType(), exchange->getAlign(),
          Access::Atomic, "atomic operation");
  } else if (auto *fence = dyn_cast<FenceInst>(&instruction)) {
    noteFence(*fence);
  } else if (auto *fill = dyn_cast<MemIntrinsic>(&instruction)) {
    emitCheck(*fill, fill->getRawDest(), fill->getLength(),
              fill->getDestAlign().valueOrOne(), Access::Write, "store");
    if (auto *copy = dyn_cast<MemTransferInst>(fill))
      emitCheck(*copy, copy->getRawSource(), copy->getLength(),
                copy->getSourceAlign().valueOrOne(), Access::Read, "load");
  }
}

Error Rewriter::rewriteFunction(Function &function) {
  current = &function;
  operandBuffer = resultBuffer = nullptr;
  SmallVector<Instruction *> worklist;
  for (Instruction &instruction : instructions(function))
    worklist.push_back(&instruction);
  for (Instruction *instruction : worklist) {
    if (auto *variable = dyn_cast<AllocaInst>(instruction)) {
      auto size = variable->getAllocationSize(module.getDataLayout());
      localBytes += size ? size->getFixedValue() : kMostLocalBytes + 1;
      if (localBytes > kMostLocalBytes)
        return createStringError("more than %zu bytes of local variables in "
                                 "'%s'",
                                 kMostLocalBytes,
                                 function.getName().str().c_str());
    }
    checkMemory(*instruction);
    if (auto *call = dyn_cast<CallInst>(instruction))
      if (Error error = rewriteCall(*call))
        return error;
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// Adds the function that loads the arguments and calls the kernel.
void Rewriter::addEntry(HostKernel &kernel) {
  Function *function = module.getFunction(kernel.name);
  IRBuilder<> builder(context);
  PointerType *pointer = builder.getPtrTy();
  auto *entry =
      Function::Create(FunctionType::get(builder.getVoidTy(), {pointer}, false),
                       GlobalValue::ExternalLinkage, kernel.entry, module);
  builder.SetInsertPoint(BasicBlock::Create(context, "", entry));
  SmallVector<Value *> arguments;
  for (Argument &argument : function->args()) {
    Value *place = builder.CreateLoad(
        pointer, builder.CreateConstInBoundsGEP1_64(pointer, entry->getArg(0),
                                                    argument.getArgNo()));
    arguments.push_back(argument.hasByValAttr()
                            ? place
                            : builder.CreateLoad(argument.getType(), place));
  }
  builder.CreateCall(function, arguments)
      ->setAttributes(function->getAttributes());
  builder.CreateRetVoid();
}

/// The number of threads that an attribute like nvvm.maxntid="128,1,1" names.
static unsigned threadsOf(const Function &function, StringRef attribute) {
  StringRef text = function.getFnAttribute(attribute).getValueAsString();
  if (text.empty())
    return 0;
  uint64_t product = 1;
  SmallVector<StringRef> parts;
  text.split(parts, ',');
  for (StringRef part : parts) {
    unsigned value = 0;
    if (part.trim().getAsInteger(10, value) || value > 1024)
      return 0;
    product *= value;
  }
  return product > 1024 ? 0 : unsigned(product);
}

static std::vector<HostKernel> listKernels(const Module &module) {
  std::vector<HostKernel> result;
  for (const Function &function : module) {
    if (function.getCallingConv() != CallingConv::PTX_Kernel ||
        function.isDeclaration())
      continue;
    HostKernel kernel;
    kernel.name = function.getName().str();
    kernel.entry = "emulator.kernel." + kernel.name;
    kernel.arguments = unsigned(function.arg_size());
    kernel.mostThreads = threadsOf(function, "nvvm.maxntid");
    if (unsigned required = threadsOf(function, "nvvm.reqntid")) {
      kernel.mostThreads = required;
      kernel.exact = true;
    }
    result.push_back(std::move(kernel));
  }
  return result;
}

/// The module in another context, without debug information.
static Expected<std::unique_ptr<Module>> copyInto(LLVMContext &context,
                                                  const Module &source) {
  SmallVector<char, 0> bitcode;
  raw_svector_ostream stream(bitcode);
  WriteBitcodeToFile(source, stream);
  auto copy = parseBitcodeFile(
      MemoryBufferRef(StringRef(bitcode.data(), bitcode.size()), "kernels"),
      context);
  if (copy)
    StripDebugInfo(**copy);
  return copy;
}

Expected<HostModule> qcc::emulator::rewriteForHost(const Module &source,
                                                   const DataLayout &layout,
                                                   const Triple &triple) {
  std::string problem;
  raw_string_ostream stream(problem);
  if (verifyModule(source, &stream))
    return createStringError("the module is not valid: %s", problem.c_str());
  HostModule host;
  host.context = std::make_unique<LLVMContext>();
  auto copy = copyInto(*host.context, source);
  if (!copy)
    return copy.takeError();
  host.kernels = listKernels(**copy);
  if (host.kernels.empty())
    return createStringError("the module has no function of the ptx_kernel "
                             "calling convention");
  auto flat = flattenAddressSpaces(**copy, layout, triple);
  if (!flat)
    return flat.takeError();
  host.module = std::move(flat->module);
  host.shared = std::move(flat->shared);
  host.variables = std::move(flat->variables);

  Rewriter rewriter(host);
  SmallVector<Function *> functions;
  for (Function &function : *host.module)
    if (!function.isDeclaration())
      functions.push_back(&function);
  for (Function *function : functions)
    if (Error error = rewriter.rewriteFunction(*function))
      return error;
  for (HostKernel &kernel : host.kernels)
    rewriter.addEntry(kernel);
  for (Function &function : make_early_inc_range(*host.module))
    if (function.isDeclaration() && function.use_empty())
      function.eraseFromParent();
  if (verifyModule(*host.module, &stream))
    return createStringError("the rewritten module is not valid: %s",
                             problem.c_str());
  return host;
}
