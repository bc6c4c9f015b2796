//===- PtxFunction.cpp - A kernel of PTX, being made IR -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "PtxFunction.h"

#include "llvm/IR/Dominators.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/Module.h"
#include "llvm/Transforms/Utils/PromoteMemToReg.h"

using namespace llvm;
using namespace qcc::emulator;

static unsigned spaceNumber(StringRef space) {
  return space == "global" ? 1 : space == "shared" ? 3 : 0;
}

PtxFunction::PtxFunction(Module &module, const PtxEntry &entry)
    : ir(module.getContext()), module(module), entry(entry) {
  SmallVector<Type *> parameters;
  for (const PtxEntry::Parameter &parameter : entry.parameters)
    parameters.push_back(ir.getIntNTy(parameter.bits));
  function =
      Function::Create(FunctionType::get(ir.getVoidTy(), parameters, false),
                       GlobalValue::ExternalLinkage, entry.name, module);
  function->setCallingConv(CallingConv::PTX_Kernel);
  if (entry.threads)
    function->addFnAttr("nvvm.maxntid", std::to_string(entry.threads));
}

void PtxFunction::fail(const Twine &what) {
  if (problem.empty())
    problem = ("PTX: " + what + " in '" + entry.name + "': " + current).str();
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Type *PtxFunction::type(const PtxType &of) {
  Type *element = ir.getIntNTy(of.bits);
  if (of.isFloat())
    element = of.kind == PtxType::BFloat ? ir.getBFloatTy()
              : of.bits == 16            ? ir.getHalfTy()
              : of.bits == 32            ? ir.getFloatTy()
                                         : ir.getDoubleTy();
  return of.count == 1 ? element : FixedVectorType::get(element, of.count);
}

AllocaInst *PtxFunction::slot(StringRef name) {
  AllocaInst *&result = slots[name];
  if (result)
    return result;
  StringRef kind = name.rtrim("0123456789");
  unsigned bits = 0;
  for (auto [prefix, width] : entry.registers)
    if (prefix == kind)
      bits = width;
  if (!bits) {
    fail("no register " + name);
    bits = 32;
  }
  BasicBlock &first = function->getEntryBlock();
  IRBuilder<> builder(&first, first.begin());
  return result = builder.CreateAlloca(builder.getIntNTy(bits), nullptr, name);
}

Value *PtxFunction::special(StringRef name) {
  for (StringRef known : {"%tid.", "%ntid.", "%ctaid.", "%nctaid."})
    if (name.starts_with(known))
      return call(("llvm.nvvm.read.ptx.sreg." + name.drop_front()).str(), {});
  if (name == "%laneid")
    return call("llvm.nvvm.read.ptx.sreg.laneid", {});
  return nullptr;
}

Value *PtxFunction::symbol(StringRef name) {
  for (auto [index, parameter] : enumerate(entry.parameters))
    if (parameter.name == name)
      return parameterAddress(unsigned(index));
  auto [base, offset] = name.split('+');
  uint64_t bytes = 0;
  GlobalVariable *variable = module.getNamedGlobal(base);
  if (!variable || (!offset.empty() && offset.getAsInteger(10, bytes))) {
    fail("an unknown operand " + name);
    return ir.getInt64(0);
  }
  return ir.CreateAdd(ir.CreatePtrToInt(variable, ir.getInt64Ty()),
                      ir.getInt64(bytes));
}

Value *PtxFunction::read(StringRef operand, const PtxType &as) {
  Type *wanted = type(as);
  unsigned bits = as.allBits();
  Value *value = nullptr;
  int64_t number = 0;
  uint64_t pattern = 0;
  if (operand.starts_with("%")) {
    value = special(operand);
    if (!value)
      value = ir.CreateLoad(slot(operand)->getAllocatedType(), slot(operand));
  } else if (operand.starts_with("0f") || operand.starts_with("0d")) {
    bool isInteger = as.kind == PtxType::Signed || as.kind == PtxType::Unsigned;
    if (operand.drop_front(2).getAsInteger(16, pattern) || isInteger ||
        bits != (operand[1] == 'f' ? 32u : 64u))
      fail("an unexpected number " + operand);
    value = ir.getIntN(bits, pattern);
  } else if (StringRef digits = operand.rtrim('U');
             !digits.getAsInteger(0, number) ||
             !digits.getAsInteger(0, pattern)) {
    value = ConstantInt::get(
        ir.getContext(),
        APInt(64, number ? uint64_t(number) : pattern).zextOrTrunc(bits));
  } else {
    value = symbol(operand);
  }
  unsigned has = value->getType()->getPrimitiveSizeInBits();
  if (has < bits) {
    fail("a register that is too narrow, " + operand);
    return PoisonValue::get(wanted);
  }
  if (has > bits)
    value = ir.CreateTrunc(value, ir.getIntNTy(bits));
  return ir.CreateBitCast(value, wanted);
}

void PtxFunction::write(StringRef operand, const PtxType &as, Value *value) {
  if (operand == "_")
    return;
  AllocaInst *to = slot(operand);
  Type *stored = to->getAllocatedType();
  value = ir.CreateBitCast(value, ir.getIntNTy(as.allBits()));
  if (stored->getIntegerBitWidth() < as.allBits())
    return fail("a register that is too narrow, " + operand);
  value = as.kind == PtxType::Signed ? ir.CreateSExt(value, stored)
                                     : ir.CreateZExt(value, stored);
  ir.CreateStore(value, to);
}

Value *PtxFunction::address(StringRef operand, StringRef space) {
  bool isInBrackets = operand.consume_front("[") && operand.consume_back("]");
  StringRef base = operand, offset;
  if (operand.starts_with("%"))
    std::tie(base, offset) = operand.split('+');
  int64_t bytes = 0;
  if (!isInBrackets || (!offset.empty() && offset.getAsInteger(10, bytes)))
    fail("an unknown address " + operand);
  Value *value = read(base, {PtxType::Bits, 64, 1});
  return ir.CreateIntToPtr(ir.CreateAdd(value, ir.getInt64(uint64_t(bytes))),
                           ir.getPtrTy(spaceNumber(space)));
}

Value *PtxFunction::parameter(StringRef operand, const PtxType &as) {
  operand = operand.trim("[]");
  for (auto [known, argument] : zip(entry.parameters, function->args()))
    if (known.name == operand)
      return &argument;
  if (!operand.starts_with("%") || operand.contains('+')) {
    fail("no parameter " + operand);
    return ir.getIntN(as.allBits(), 0);
  }
  Value *address = read(operand, {PtxType::Bits, 64, 1});
  Value *value = PoisonValue::get(ir.getIntNTy(as.allBits()));
  for (Argument &argument : function->args())
    if (argument.getType() == value->getType())
      value = ir.CreateSelect(
          ir.CreateICmpEQ(address, parameterAddress(argument.getArgNo())),
          &argument, value);
  return value;
}

Value *PtxFunction::parameterAddress(unsigned index) {
  return ir.getInt64(index + 1);
}

Value *PtxFunction::call(StringRef intrinsic, ArrayRef<Value *> operands,
                         ArrayRef<Type *> overloads) {
  Intrinsic::ID id = Intrinsic::lookupIntrinsicID(intrinsic);
  if (id == Intrinsic::not_intrinsic) {
    fail("no intrinsic " + intrinsic);
    return ir.getInt32(0);
  }
  Function *callee = Intrinsic::getOrInsertDeclaration(&module, id, overloads);
  SmallVector<Value *> arguments;
  if (callee->arg_size() != operands.size()) {
    fail("a wrong count of operands");
    return PoisonValue::get(callee->getReturnType());
  }
  for (auto [operand, argument] : zip(operands, callee->args())) {
    bool fits = CastInst::isBitCastable(operand->getType(), argument.getType());
    if (!fits)
      fail("an operand of an unexpected type");
    arguments.push_back(fits ? ir.CreateBitCast(operand, argument.getType())
                             : PoisonValue::get(argument.getType()));
  }
  return ir.CreateCall(callee, arguments);
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

/// What follows goes to `block`, which is reached from above.
void PtxFunction::continueAt(BasicBlock *block) {
  if (!ir.GetInsertBlock()->getTerminator())
    ir.CreateBr(block);
  ir.SetInsertPoint(block);
}

void PtxFunction::branch(StringRef label) {
  auto found = labels.find(label);
  if (found == labels.end())
    return fail("no label " + label);
  ir.CreateBr(found->second);
}

void PtxFunction::leave() { ir.CreateRetVoid(); }

void PtxFunction::emitStatement(const PtxStatement &statement) {
  current = statement.text;
  if (!statement.label.empty())
    return continueAt(labels[statement.label]);
  auto block = [&] {
    return BasicBlock::Create(module.getContext(), "", function);
  };
  if (ir.GetInsertBlock()->getTerminator())
    ir.SetInsertPoint(block()); // nothing comes here
  if (statement.guard.empty())
    return emitPtxInstruction(*this, statement);
  Value *condition = read(statement.guard, {PtxType::Predicate, 1, 1});
  BasicBlock *then = block(), *after = block();
  ir.CreateCondBr(condition, statement.negated ? after : then,
                  statement.negated ? then : after);
  ir.SetInsertPoint(then);
  emitPtxInstruction(*this, statement);
  continueAt(after);
}

Error PtxFunction::emit() {
  ir.SetInsertPoint(BasicBlock::Create(module.getContext(), "", function));
  for (const PtxStatement &statement : entry.statements)
    if (!statement.label.empty() &&
        !labels
             .try_emplace(statement.label,
                          BasicBlock::Create(module.getContext(),
                                             statement.label, function))
             .second)
      fail("a second label " + statement.label);
  for (const PtxStatement &statement : entry.statements) {
    emitStatement(statement);
    if (!problem.empty())
      return createStringError("%s", problem.c_str());
  }
  if (!ir.GetInsertBlock()->getTerminator())
    leave();
  DominatorTree dominators(*function);
  SmallVector<AllocaInst *> variables;
  for (auto &entry : slots)
    variables.push_back(entry.second);
  PromoteMemToReg(variables, dominators);
  return Error::success();
}
