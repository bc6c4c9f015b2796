//===- QZAttrs.td - Attributes and types of qz --------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QZ_ATTRS
#define QZ_ATTRS

include "dialects/QZ/QZDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

class QZ_Attr<string name, string attrMnemonic>
    : AttrDef<QZ_Dialect, name> {
  let mnemonic = attrMnemonic;
}

class QZ_Type<string name, string typeMnemonic>
    : TypeDef<QZ_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def QZ_EncodingAttr : QZ_Attr<"Encoding", "encoding"> {
  let summary = "What the numbers of a quantized weight mean";
  let description = [{
    The description of qcc/Formats/Encoding.h as an attribute. A plain float
    weight is `#qz.encoding<f16>` (f32, bf16). Otherwise key-value pairs, each
    left out when it has its default:

    ```
    #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
    #qz.encoding<bits = 4, zero_bits = 4, group = 128, scale = f16>
    #qz.encoding<bits = 4, group = 32, scale = f16, min = f16,
                 super_block = 256, sub_bits = 6, sub_min_bits = 6>
    #qz.encoding<bits = 3, table = [-90, -50, -25, -5, 5, 25, 50, 90],
                 group = 64, scale = u8>
    #qz.encoding<bits = 2, values = [-1.0, -0.25, 0.25, 1.0], group = 64,
                 scale = f32>
    #qz.encoding<bits = 8, float = e4m3fn, group = 128, scale = f32>
    #qz.encoding<bits = 4, table = [...], group = 16, scale = f32,
                 common_scale = 1, super_block = 576, sub_bits = 8,
                 sub_float = e4m3fn>
    #qz.encoding<spans = [[64, 5, 16, 32], [448, 4, 8, 64]], scale = f16,
                 common_scale = 1, sub_bits = 4>
    ```

    Codes are integers (less their zero points, or through a `table`) or floats:
    f32 `values` by code, for up to 4 bits, or `float`, numbers of 8 bits in the
    format e4m3fn or e5m2. Weights with the latter take f32 activations.
    `values` are printed so that they read back as the same bits. `spans` are
    runs of k whose codes differ in width, each [columns, bits, zero, group], in
    place of the keys bits, zero and group.

    Constraints (qcc::Encoding::check): widths are 1..8, a table and values have
    2^bits entries, groups divide super-blocks, scales have a type.
  }];
  let parameters = (ins "unsigned":$element, "unsigned":$bits, "int":$zero,
                        "unsigned":$zeroBits,
                        ArrayRefParameter<"int8_t">:$table,
                        ArrayRefParameter<"uint32_t">:$values,
                        "unsigned":$minifloat, "unsigned":$group,
                        "unsigned":$scale, "int":$scaleExponent,
                        "unsigned":$min, "bool":$scaledMin,
                        "bool":$commonScale, "bool":$splitScale,
                        "unsigned":$superBlock, "unsigned":$subBits,
                        "int":$subZero, "bool":$subSigned, "bool":$subSquared,
                        ArrayRefParameter<"uint32_t">:$subValues,
                        "unsigned":$subMinifloat,
                        "unsigned":$offset, "unsigned":$subMinBits,
                        ArrayRefParameter<"unsigned">:$spans);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The same description as a plain struct.
    ::qcc::Encoding toEncoding() const;
    static EncodingAttr fromEncoding(::mlir::MLIRContext *context,
                                     const ::qcc::Encoding &encoding);
  }];
}

def QZ_Activations : I32EnumAttr<"Activations",
    "How activations enter a matmul", [
      I32EnumAttrCase<"F32", 0, "f32">,
      I32EnumAttrCase<"A16", 1, "a16">,
      I32EnumAttrCase<"A8", 2, "a8">,
      I32EnumAttrCase<"A8G16", 3, "a8g16">,
      I32EnumAttrCase<"F16", 4, "f16">,
      I32EnumAttrCase<"BF16", 5, "bf16">]> {
  let cppNamespace = "::qcc::qz";
  let genSpecializedAttr = 0;
}

def QZ_ActivationsAttr : EnumAttr<QZ_Dialect, QZ_Activations, "activations"> {
  let assemblyFormat = "`<` $value `>`";
}

def QZ_Layout : I32EnumAttr<"Layout", "Where the bits of a weight lie", [
      I32EnumAttrCase<"Plain", 0, "plain">,
      I32EnumAttrCase<"R16K4", 1, "r16k4">]> {
  let cppNamespace = "::qcc::qz";
  let genSpecializedAttr = 0;
}

def QZ_LayoutAttr : EnumAttr<QZ_Dialect, QZ_Layout, "layout"> {
  let summary = "Where the bits of a weight lie";
  let description = [{
    `plain`: rows of f32 values, decoded when the model is compiled.
    `r16k4`: the packed layout of qcc/Formats/PackedLayout.h.
  }];
  let assemblyFormat = "`<` $value `>`";
}

def QZ_RowsAttr : QZ_Attr<"Rows", "rows"> {
  let summary = "Some rows of a tensor of the checkpoint";
  let description = [{
    Checkpoints keep matrices that read the same rows as one tensor. Row i of
    such a part is row first + i / run * stride + i % run of `tensor`: runs of
    `run` rows, `stride` rows apart. Of a vector these are its elements.

    ```mlir
    #qz.rows<"blk.0.attn_qkv.weight", first = 576, run = 192, stride = 192>
    ```

    A weight of several matrices has as many of those rows in each, one after
    the other. If it is `turned`, they are the matrices' columns: element (h, r, c)
    of a weight of 4 x 512 x 128 elements is element r of row h * 128 + c. Codes of
    weights that are not floats do not stay codes then: the weight is f32.
  }];
  let parameters = (ins StringRefParameter<>:$tensor, "int64_t":$first,
                        "int64_t":$run, "int64_t":$stride,
                        DefaultValuedParameter<"bool", "false">:$turned);
  let assemblyFormat = [{
    `<` $tensor `,` `first` `=` $first `,` `run` `=` $run `,` `stride` `=` $stride
    (`,` `turned` `=` $turned^)? `>`
  }];
  let genVerifyDecl = 1;
}

def QZ_TensorType : QZ_Type<"QTensor", "tensor"> {
  let summary = "A weight of the model in its encoding";
  let description = [{
    `!qz.tensor<576x1536, #qz.encoding<...>>`: rows (outputs) first, then k
    (inputs); one dimension for vectors. All dimensions are positive; the last
    is a multiple of the encoding's group, or all columns of its spans. Before
    those may stand the number of experts, each of which has such a matrix, or a
    vector (`!qz.tensor<8x96x64, ...>`).
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::qcc::qz::EncodingAttr":$encoding);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Of one matrix.
    int64_t getRows() const {
      return getShape().size() == 1 ? 1 : getShape().drop_back().back();
    }
    int64_t getColumns() const { return getShape().back(); }
    /// Matrices of so many rows and columns, one after the other.
    int64_t getMatrices() const {
      return getShape().size() == 3 ? getShape().front() : 1;
    }
    int64_t getElements() const {
      return getMatrices() * getRows() * getColumns();
    }
  }];
}

def QZ_QActivationType : QZ_Type<"QActivation", "activation"> {
  let summary = "Rows of activations, ready for a dot product with weights";
  let description = [{
    `!qz.activation<576>`: a run-time number of rows of k elements. How they are
    stored (a8, a8g16, a16, bf16, f16, f32) is for the `qz.quantize` that makes them to
    say: `generate` for generating and `prompt` for prompt steps.
    `!qz.activation<576, 4>`: 4 of them, the slots of its experts, for each row
    of the step.
  }];
  let parameters = (ins "int64_t":$columns,
                        DefaultValuedParameter<"int64_t", "1">:$slots);
  let assemblyFormat = "`<` $columns (`,` $slots^)? `>`";
  let genVerifyDecl = 1;
}

#endif // QZ_ATTRS
