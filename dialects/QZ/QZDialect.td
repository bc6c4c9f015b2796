//===- QZDialect.td - The quantization dialect --------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QZ_DIALECT
#define QZ_DIALECT

include "mlir/IR/OpBase.td"

def QZ_Dialect : Dialect {
  let name = "qz";
  let cppNamespace = "::qcc::qz";
  let summary = "Quantized weights and the matmuls that read them";
  let description = [{
    `qz` describes weights as they are stored in checkpoints: a type
    `!qz.tensor` carries the encoding (`#qz.encoding`), a symbol `qz.weight`
    names one weight of the model, `qz.dequantize` is its plain meaning, and
    `qz.matmul` multiplies without ever forming the dequantized matrix.

    An encoding is a description (code width, table, groups, scales); no
    operation, pass or verifier knows the name of a weight format.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let extraClassDeclaration = [{
    void registerAttributes();
    void registerTypes();
  }];
}

#endif // QZ_DIALECT
