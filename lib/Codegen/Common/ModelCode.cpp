//===- ModelCode.cpp - What a backend makes of a model --------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "qcc/Codegen/Common/ModelCode.h"

#include "dialects/LLM/LLMDialect.h"
#include "dialects/QZ/QZDialect.h"

using namespace mlir;
using namespace qcc;

uint32_t qcc::numberOf(ModuleOp source, StringRef name) {
  auto attr = source->getAttrOfType<IntegerAttr>(name);
  return attr ? uint32_t(attr.getInt()) : 0;
}

Type qcc::kvElementType(ModuleOp source, StringRef name) {
  MLIRContext *context = source.getContext();
  if (name == "f16")
    return Float16Type::get(context);
  if (name == "bf16")
    return BFloat16Type::get(context);
  if (name == "f32")
    return Float32Type::get(context);
  if (name == "q8")
    return IntegerType::get(context, 8);
  source.emitError() << "unknown type of keys and values '" << name
                     << "' (f16, bf16, f32, q8)";
  return {};
}

void qcc::describeModel(
    ModuleOp source, StringRef kv,
    llvm::function_ref<qz::Activations(qz::Activations)> usable,
    ModelCode &code) {
  code.rowCapacity = numberOf(source, "llm.row_capacity");
  code.vocab = numberOf(source, "llm.vocab");
  code.hidden = numberOf(source, "llm.hidden");
  code.layers = numberOf(source, "llm.layers");
  code.context = numberOf(source, "llm.context");
  StringRef generate, prompt, head;
  source.walk([&](qz::QuantizeOp op) {
    bool isHead = op.getInput().getDefiningOp<llm::SelectOutputsOp>();
    (isHead ? head : prompt) = stringifyEnum(usable(*op.getPrompt()));
    generate = stringifyEnum(usable(*op.getGenerate()));
  });
  code.activations =
      ("decode " + generate + ", prompt " + prompt + ", head " + head).str();
  code.kv = kv.str();
}
