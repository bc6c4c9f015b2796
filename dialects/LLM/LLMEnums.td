//===- LLMEnums.td - Enumerations of llm --------------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// In a file of its own, since TableGen writes every enumeration that it sees.
//===----------------------------------------------------------------------===//

#ifndef LLM_ENUMS
#define LLM_ENUMS

include "mlir/IR/EnumAttr.td"

def LLM_Activation : I32EnumAttr<"Activation", "Elementwise function", [
      I32EnumAttrCase<"Silu", 0, "silu">,
      I32EnumAttrCase<"GeluTanh", 1, "gelu_tanh">,
      I32EnumAttrCase<"GeluErf", 2, "gelu_erf">,
      I32EnumAttrCase<"Relu", 3, "relu">,
      I32EnumAttrCase<"ClampedSwiglu", 4, "clamped_swiglu">]> {
  let cppNamespace = "::qcc::llm";
  let genSpecializedAttr = 0;
}

#endif // LLM_ENUMS
