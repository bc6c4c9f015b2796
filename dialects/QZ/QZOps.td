//===- QZOps.td - Operations of qz --------------------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QZ_OPS
#define QZ_OPS

include "dialects/QZ/QZAttrs.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class QZ_Op<string opMnemonic, list<Trait> traits = []>
    : Op<QZ_Dialect, opMnemonic, traits>;

def QZ_WeightOp : QZ_Op<"weight", [Symbol]> {
  let summary = "One weight of the model";
  let description = [{
    Names a weight and the tensor of the checkpoint that holds it; the values
    stay in the file. Layout and place in the artefact are written by
    `qcc-select-layout`.

    ```mlir
    qz.weight @"blk.0.attn_q.weight" : !qz.tensor<576x576, #q4>
    qz.weight @"blk.0.attn_q.weight" : !qz.tensor<576x576, #q4>
        {layout = #qz.layout<r16k4>, offset = 4096 : i64, bytes = 207360 : i64}
    ```

    With `rows` the weight is a part of another tensor:

    ```mlir
    qz.weight @"blk.0.attn_k.weight" : !qz.tensor<192x576, #q4>
        {rows = #qz.rows<"blk.0.attn_qkv.weight", first = 576, run = 192, stride = 192>}
    ```

    With `row_order`, row r of the weight (element r of a vector) is row o[r] of
    what was said so far, o being the weight of that name (as in `qz.permute`);
    `qcc-fold-permutations` writes it.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<QZ_TensorType>:$type,
                       OptionalAttr<QZ_RowsAttr>:$rows,
                       OptionalAttr<FlatSymbolRefAttr>:$row_order,
                       OptionalAttr<QZ_LayoutAttr>:$layout,
                       OptionalAttr<I64Attr>:$offset,
                       OptionalAttr<I64Attr>:$bytes);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The tensor of the checkpoint that holds it.
    ::llvm::StringRef getTensor() {
      return getRows() ? getRows()->getTensor() : getSymName();
    }
    bool isTurned() { return getRows() && getRows()->getTurned(); }
    /// Rows of the matrices, elements of a vector; of turned ones, the columns.
    int64_t getRowCount() {
      if (getType().getShape().size() == 1)
        return getType().getColumns();
      return getType().getMatrices() *
             (isTurned() ? getType().getColumns() : getType().getRows());
    }
  }];
}

def QZ_UseOp : QZ_Op<"use", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A weight as a value";
  let description = [{
    ```mlir
    %w = qz.use @"blk.0.attn_q.weight" : !qz.tensor<576x576, #q4>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs QZ_TensorType:$result);
  let assemblyFormat = "$weight `:` type($result) attr-dict";
}

def QZ_DequantizeOp : QZ_Op<"dequantize", [Pure]> {
  let summary = "The real values of a weight";
  let description = [{
    The plain meaning of a weight: each element decoded as its encoding says.

    ```mlir
    %f = qz.dequantize %w : !qz.tensor<576x576, #q4> -> tensor<576x576xf32>
    ```
  }];
  let arguments = (ins QZ_TensorType:$weight);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = "$weight `:` type($weight) `->` type($result) attr-dict";
  let hasVerifier = 1;
}

def QZ_PermuteOp : QZ_Op<"permute", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "The elements of each row in another order";
  let description = [{
    result[m, j] = input[m, o[j]]. The order o is a permutation of 0 to N - 1,
    kept as a vector of f32, as all vectors are. Weights whose groups of k were
    formed in another order than that of the model (act-order) stand in the
    order of their groups; their rows of activations are permuted alike.

    ```mlir
    %y = qz.permute %x by %o : tensor<?x576xf32>, !qz.tensor<576, #f32>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input, QZ_TensorType:$order);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `by` $order attr-dict `:` type($input) `,` type($order)
  }];
  let hasVerifier = 1;
}

def QZ_QuantizeOp : QZ_Op<"quantize", [Pure, AttrSizedOperandSegments]> {
  let summary = "Prepare rows of activations for matmuls, after an optional norm";
  let description = [{
    Turns f32 rows into the form that the dot products of `qz.matmul` take. With
    a `norm` operand each row is first RMS-normed: x * rsqrt(mean(x^2) + eps) *
    norm. If it is `centered`, x there is what remains when the row's mean is
    subtracted (a layer norm). `norm_bias` is added to the normed row. With an
    `order` operand the elements then stand in that order, as after
    `qz.permute`. `generate` and `prompt` say how activations are stored in generating
    and in prompt steps (written by `qcc-select-activations`); `sum_group` is
    the number of k elements that share one sum. With `prompt_blocks` prompt
    steps multiply blocks of rows by blocks of weights, for which what is next
    to each other in a row is next to each other in memory; without it
    activations `f16` are not stored at all.

    With `experts`, the result of an `llm.route` with S slots, there is one row
    for each slot of a row: the input's row if that has as many columns as the
    result, or its part of that slot if it has S times as many.

    ```mlir
    %a = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : tensor<?x576xf32>, !qz.tensor<576, #f32>
           -> !qz.activation<576>
    %a = qz.quantize %x norm %n bias %b {centered, eps = 1.0e-5 : f32} : tensor<?x576xf32>,
           !qz.tensor<576, #f32> bias !qz.tensor<576, #f32> -> !qz.activation<576>
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$input,
                       Optional<QZ_TensorType>:$norm,
                       Optional<QZ_TensorType>:$norm_bias,
                       Optional<QZ_TensorType>:$order,
                       Optional<RankedTensorOf<[F32]>>:$experts,
                       OptionalAttr<F32Attr>:$eps,
                       UnitAttr:$centered,
                       OptionalAttr<QZ_ActivationsAttr>:$generate,
                       OptionalAttr<QZ_ActivationsAttr>:$prompt,
                       OptionalAttr<I64Attr>:$sum_group,
                       UnitAttr:$prompt_blocks);
  let results = (outs QZ_QActivationType:$result);
  let assemblyFormat = [{
    $input (`norm` $norm^)? (`bias` $norm_bias^)? (`order` $order^)?
    (`experts` $experts^)? attr-dict `:` type($input) (`,` type($norm)^)?
    (`bias` type($norm_bias)^)? (`by` type($order)^)?
    (`experts` type($experts)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def QZ_Epilogue : I32EnumAttr<"Epilogue", "What follows a matmul's dot products", [
      I32EnumAttrCase<"None", 0, "none">,
      I32EnumAttrCase<"Residual", 1, "residual">,
      I32EnumAttrCase<"GluSilu", 2, "glu_silu">,
      I32EnumAttrCase<"GluGeluTanh", 3, "glu_gelu_tanh">,
      I32EnumAttrCase<"Logits", 4, "logits">,
      I32EnumAttrCase<"GluGeluErf", 5, "glu_gelu_erf">,
      I32EnumAttrCase<"GluRelu", 6, "glu_relu">,
      I32EnumAttrCase<"Silu", 7, "silu">,
      I32EnumAttrCase<"GeluTanh", 8, "gelu_tanh">,
      I32EnumAttrCase<"GeluErf", 9, "gelu_erf">,
      I32EnumAttrCase<"Relu", 10, "relu">,
      I32EnumAttrCase<"GluClampedSwiglu", 11, "glu_clamped_swiglu">]> {
  let cppNamespace = "::qcc::qz";
  let genSpecializedAttr = 0;
}

def QZ_EpilogueAttr : EnumAttr<QZ_Dialect, QZ_Epilogue, "epilogue"> {
  let assemblyFormat = "`<` $value `>`";
}

def QZ_MatmulOp : QZ_Op<"matmul", [Pure, AttrSizedOperandSegments]> {
  let summary = "Activations times quantized weights, with an epilogue";
  let description = [{
    result[m, n] = sum over k of a[m, k] * w[n, k], computed from the codes and
    scales of `weights`. Several weights are row segments of one product, each
    with its own encoding; their results stand side by side.

    A segment may have a bias, a vector with an element for each of its rows,
    which is added to its product. `bias_of` says which: `biases[i]` belongs to
    `weights[bias_of[i]]`, ascending. Segments without have none, not one of
    zeros.

    With an epilogue, which comes after the biases:
    * `residual`: result = residual + product;
    * `silu`, `gelu_tanh`, `gelu_erf`, `relu`: result = act(product);
    * the same with `glu_` before: exactly two weights of the same shape, gate
      and up; result = act(gate product) * up product.

    * `logits`: result = scale * product; with a `softcap` c that is not 0,
      c * tanh(scale * product / c).

    `llm.activate` says what the functions are, `llm.glu` what
    `glu_clamped_swiglu` is.

    With `experts`, the result of an `llm.route` with S slots, each weight holds
    a matrix for each expert, each bias a vector, and a row of the input, which
    belongs to a slot of a row, meets those of that slot's expert. The results
    of the slots of a row stand side by side. Only the matrices of experts that
    some slot names are read.

    ```mlir
    %y = qz.matmul %a, [%q, %k, %v] : (!qz.activation<576>, [!qz.tensor<...>, ...])
           -> tensor<?x960xf32>
    %z = qz.matmul %a, [%q, %k, %v] bias[%bq, %bv] {bias_of = array<i64: 0, 2>}
           : (!qz.activation<576>, [!qz.tensor<...>, ...]
           bias[!qz.tensor<576, #f32>, !qz.tensor<192, #f32>]) -> tensor<?x960xf32>
    ```
  }];
  let arguments = (ins QZ_QActivationType:$input,
                       Variadic<QZ_TensorType>:$weights,
                       Variadic<QZ_TensorType>:$biases,
                       Optional<RankedTensorOf<[F32]>>:$residual,
                       Optional<RankedTensorOf<[F32]>>:$experts,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$bias_of,
                       DefaultValuedAttr<QZ_EpilogueAttr,
                           "::qcc::qz::Epilogue::None">:$epilogue,
                       OptionalAttr<F32Attr>:$scale,
                       OptionalAttr<F32Attr>:$softcap);
  let results = (outs RankedTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` `[` $weights `]` (`bias` `[` $biases^ `]`)?
    (`residual` $residual^)? (`experts` $experts^)? attr-dict
    `:` type($input) `,` `[` type($weights) `]`
    (`bias` `[` type($biases)^ `]`)? (`,` type($residual)^)?
    (`experts` type($experts)^)? `->` type($result)
  }];
  let builders = [
    // With an epilogue that has no parameters.
    OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$input,
                   "::mlir::ValueRange":$weights, "::mlir::ValueRange":$biases,
                   "::mlir::Value":$residual, "::mlir::Value":$experts,
                   "::llvm::ArrayRef<int64_t>":$bias_of,
                   "::qcc::qz::Epilogue":$epilogue), [{
      build($_builder, $_state, result, input, weights, biases, residual, experts,
            $_builder.getDenseI64ArrayAttr(bias_of),
            EpilogueAttr::get($_builder.getContext(), epilogue),
            ::mlir::FloatAttr(), ::mlir::FloatAttr());
    }]>];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    bool isGlu() {
      switch (getEpilogue()) {
      case ::qcc::qz::Epilogue::GluSilu:
      case ::qcc::qz::Epilogue::GluGeluTanh:
      case ::qcc::qz::Epilogue::GluGeluErf:
      case ::qcc::qz::Epilogue::GluRelu:
      case ::qcc::qz::Epilogue::GluClampedSwiglu:
        return true;
      default:
        return false;
      }
    }
    /// The bias of a weight; null without.
    ::mlir::Value findBias(unsigned weight);
  }];
}

#endif // QZ_OPS
