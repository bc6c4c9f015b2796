//===- LLMDialect.td - The language model dialect -----------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef LLM_DIALECT
#define LLM_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def LLM_Dialect : Dialect {
  let name = "llm";
  let cppNamespace = "::qcc::llm";
  let summary = "The parts of decoder language models";
  let description = [{
    Operations on rows of activations, `tensor<?xNxf32>`: one row for each token
    of a step, whatever sequences the tokens belong to. `!llm.batch` stands for
    what a step says of its rows (token, position, sequence, which rows want
    logits), `!llm.state` for state that grows with the tokens of a sequence.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
}

#endif // LLM_DIALECT
