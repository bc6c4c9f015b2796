//===- UnusedTargets.cpp - Keeps foreign back ends out of qcc -------------===//
// SPDX-License-Identifier: Apache-2.0
//
// LLD registers every back end of LLVM, for link-time optimization. qcc links
// finished x86-64 objects and generates code for x86 and NVIDIA GPUs only; that
// the other back ends register nothing keeps some 60 MB out of the compiler.
//===----------------------------------------------------------------------===//

extern "C" {

#define QCC_UNUSED_TARGET(name)                                                \
  void LLVMInitialize##name##TargetInfo() {}                                   \
  void LLVMInitialize##name##Target() {}                                       \
  void LLVMInitialize##name##TargetMC() {}                                     \
  void LLVMInitialize##name##AsmPrinter() {}                                   \
  void LLVMInitialize##name##AsmParser() {}

QCC_UNUSED_TARGET(AArch64)
QCC_UNUSED_TARGET(AMDGPU)
QCC_UNUSED_TARGET(ARM)
QCC_UNUSED_TARGET(AVR)
QCC_UNUSED_TARGET(BPF)
QCC_UNUSED_TARGET(Hexagon)
QCC_UNUSED_TARGET(Lanai)
QCC_UNUSED_TARGET(LoongArch)
QCC_UNUSED_TARGET(M68k)
QCC_UNUSED_TARGET(MSP430)
QCC_UNUSED_TARGET(Mips)
QCC_UNUSED_TARGET(PowerPC)
QCC_UNUSED_TARGET(RISCV)
QCC_UNUSED_TARGET(SPIRV)
QCC_UNUSED_TARGET(Sparc)
QCC_UNUSED_TARGET(SystemZ)
QCC_UNUSED_TARGET(VE)
QCC_UNUSED_TARGET(WebAssembly)
QCC_UNUSED_TARGET(XCore)
QCC_UNUSED_TARGET(Xtensa)

} // extern "C"
