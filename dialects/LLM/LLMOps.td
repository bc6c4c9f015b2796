//===- LLMOps.td - Types and operations of llm --------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef LLM_OPS
#define LLM_OPS

include "dialects/LLM/LLMDialect.td"
include "dialects/LLM/LLMEnums.td"
include "dialects/QZ/QZAttrs.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class LLM_Op<string opMnemonic, list<Trait> traits = []>
    : Op<LLM_Dialect, opMnemonic, traits>;

def LLM_BatchType : TypeDef<LLM_Dialect, "Batch"> {
  let mnemonic = "batch";
  let summary = "What a step says of its rows";
}

def LLM_StateType : TypeDef<LLM_Dialect, "State"> {
  let mnemonic = "state";
  let summary = "Keys and values of a layer, for every sequence";
  let description = [{
    `!llm.state<kv_heads x head_dim>`: each position holds a key and a value of
    head_dim elements for each of kv_heads heads. With
    `!llm.state<kv_heads, head_dim, value_dim>` values have another number of
    elements than keys.
  }];
  let parameters = (ins "int64_t":$kvHeads, "int64_t":$headDim,
                        DefaultValuedParameter<"int64_t", "0">:$otherValueDim);
  let assemblyFormat = "`<` $kvHeads `,` $headDim (`,` $otherValueDim^)? `>`";
  let builders = [
    TypeBuilder<(ins "int64_t":$kvHeads, "int64_t":$headDim), [{
      return $_get($_ctxt, kvHeads, headDim, /*otherValueDim=*/0);
    }]>,
    TypeBuilder<(ins "int64_t":$kvHeads, "int64_t":$headDim,
                     "int64_t":$valueDim), [{
      return $_get($_ctxt, kvHeads, headDim,
                   valueDim == headDim ? 0 : valueDim);
    }]>];
  let skipDefaultBuilders = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Elements of a value.
    int64_t getValueDim() const {
      return getOtherValueDim() ? getOtherValueDim() : getHeadDim();
    }
    int64_t getKeyColumns() const { return getKvHeads() * getHeadDim(); }
    int64_t getValueColumns() const { return getKvHeads() * getValueDim(); }
  }];
}

def LLM_Rows : RankedTensorOf<[F32], [HasAnyRankOfPred<[2]>], "rows of f32">;
def LLM_Weight : AnyTypeOf<[RankedTensorOf<[F32]>, QZ_TensorType]>;

def LLM_KVStateOp : LLM_Op<"kv_state", [Symbol]> {
  let summary = "Declare the keys and values of one layer";
  let description = [{
    ```mlir
    llm.kv_state @kv.0 : !llm.state<3, 64> {window = 0 : i64}
    ```
    `window` is the number of positions that stay visible, 0 for all.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<LLM_StateType>:$type,
                       DefaultValuedAttr<I64Attr, "0">:$window);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
}

def LLM_StateOp : LLM_Op<"state", [Pure,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A declared state as a value";
  let arguments = (ins FlatSymbolRefAttr:$state);
  let results = (outs LLM_StateType:$result);
  let assemblyFormat = "$state `:` type($result) attr-dict";
}

def LLM_EmbeddingOp : LLM_Op<"embedding", [Pure]> {
  let summary = "Rows of the embedding table for the step's tokens";
  let description = [{
    result[m] = scale * table[token(m)], plus positions[position(m)] with a table
    of `positions`, which has a row for every position of the module's context.

    ```mlir
    %x = llm.embedding %batch, %t positions %p : !qz.tensor<512x64, #f16>
           positions !qz.tensor<128x64, #f16> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins LLM_BatchType:$batch, LLM_Weight:$table,
                       Optional<LLM_Weight>:$positions,
                       DefaultValuedAttr<F32Attr, "1.0f">:$scale);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $batch `,` $table (`positions` $positions^)? attr-dict `:` type($table)
    (`positions` type($positions)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def LLM_RMSNormOp : LLM_Op<"rms_norm", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "Root-mean-square norm of each group of a row";
  let description = [{
    For each run of `weight` length elements of a row:
    x * rsqrt(mean(x^2) + eps) * weight. A weight of the row's length norms the
    row; one of head_dim elements norms each head.
  }];
  let arguments = (ins LLM_Rows:$input, LLM_Weight:$weight, F32Attr:$eps);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $input `,` $weight attr-dict `:` type($input) `,` type($weight)
  }];
  let hasVerifier = 1;
}

def LLM_LayerNormOp : LLM_Op<"layer_norm", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "Norm of each row by its mean and variance";
  let description = [{
    (x - mean(x)) * rsqrt(mean((x - mean(x))^2) + eps) * weight, plus `bias` if
    there is one, over whole rows. With a weight of two dimensions each of its
    rows is that of a head, which is normed for itself.

    ```mlir
    %y = llm.layer_norm %x, %w bias %b {eps = 1.0e-5 : f32}
           : tensor<?x64xf32>, tensor<64xf32> bias tensor<64xf32>
    %z = llm.layer_norm %x, %v {eps = 1.0e-5 : f32}
           : tensor<?x64xf32>, tensor<4x16xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$input, RankedTensorOf<[F32]>:$weight,
                       Optional<RankedTensorOf<[F32]>>:$bias, F32Attr:$eps);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? attr-dict `:` type($input) `,`
    type($weight) (`bias` type($bias)^)?
  }];
  let hasVerifier = 1;
}

def LLM_LinearOp : LLM_Op<"linear", [Pure]> {
  let summary = "Rows times the transpose of a matrix";
  let description = [{
    result[m, n] = sum over k of input[m, k] * weight[n, k], in f32, k ascending.
    With a `bias`, bias[n] is added to the sum.

    ```mlir
    %y = llm.linear %x, %w bias %b : tensor<?x64xf32>, tensor<96x64xf32>
           bias tensor<96xf32> -> tensor<?x96xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$input, RankedTensorOf<[F32]>:$weight,
                       Optional<RankedTensorOf<[F32]>>:$bias);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? attr-dict `:` type($input) `,`
    type($weight) (`bias` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def LLM_AddOp : LLM_Op<"add", [Pure, Commutative,
    AllTypesMatch<["lhs", "rhs", "result"]>]> {
  let summary = "Elementwise sum of two sets of rows";
  let arguments = (ins LLM_Rows:$lhs, LLM_Rows:$rhs);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

def LLM_ActivationAttr : EnumAttr<LLM_Dialect, LLM_Activation, "activation"> {
  let assemblyFormat = "`<` $value `>`";
}

def LLM_ActivateOp : LLM_Op<"activate", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "Activation function of each element";
  let description = [{
    `silu`: x / (1 + e^-x). `relu`: max(x, 0). `gelu_erf`: x Phi(x), Phi being the
    normal distribution function, (1 + erf(x / sqrt(2))) / 2. `gelu_tanh`: the same
    with (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2.
  }];
  let arguments = (ins LLM_Rows:$input, LLM_ActivationAttr:$activation);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def LLM_GluOp : LLM_Op<"glu", [Pure,
    AllTypesMatch<["gate", "up", "result"]>]> {
  let summary = "Gated linear unit: activation(gate) * up";
  let description = [{
    `clamped_swiglu` is no function of the gate alone: with g = min(gate, 7) and
    u = up within -7 and 7 it is g * sigmoid(1.702 * g) * (u + 1).
  }];
  let arguments = (ins LLM_Rows:$gate, LLM_Rows:$up,
                       LLM_ActivationAttr:$activation);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($result)";
}

def LLM_RouteOp : LLM_Op<"route", [Pure]> {
  let summary = "The experts of each row, and their weights";
  let description = [{
    From the logits of a router, one for each expert: the `top_k` experts with
    the largest ones fill the slots of a row, largest first; of equal ones the
    expert with the lower number. Row m of the result holds the expert's number
    in each slot (as f32, as all rows are), then each slot's weight:
    exp(logit), divided by the sum of that over all experts, or with `normalize`
    over those of the row's slots; all times `scale`.

    With `sigmoid`, sigmoid(logit) takes the place of exp(logit), and is divided
    by a sum only with `normalize`. Experts are chosen by that plus their element
    of `bias`, which their weight does not have.

    Of `groups` groups of experts that follow each other, equally many in each,
    only experts of the `top_groups` best can be chosen; of equal groups those
    with lower numbers. A group is as good as its best expert, or with `sigmoid`
    as the sum of its two best.

    ```mlir
    %r = llm.route %logits {top_k = 2 : i64, normalize}
           : tensor<?x8xf32> -> tensor<?x4xf32>
    %r = llm.route %logits bias %b {top_k = 2 : i64, normalize, sigmoid, scale = 2.5 : f32,
           groups = 4 : i64, top_groups = 2 : i64}
           : tensor<?x8xf32> bias tensor<8xf32> -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$logits, Optional<LLM_Weight>:$bias,
                       I64Attr:$top_k, UnitAttr:$normalize, UnitAttr:$sigmoid,
                       DefaultValuedAttr<F32Attr, "1.0f">:$scale,
                       DefaultValuedAttr<I64Attr, "1">:$groups,
                       DefaultValuedAttr<I64Attr, "1">:$top_groups);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $logits (`bias` $bias^)? attr-dict `:` type($logits)
    (`bias` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def LLM_RouteAllOp : LLM_Op<"route_all", [Pure]> {
  let summary = "Every expert for each row";
  let description = [{
    What `llm.route` says, for S experts and as many slots: expert s in slot s,
    with weight 1. So a matrix for each head of a row is a mixture of experts
    that every row has.

    ```mlir
    %r = llm.route_all %batch : tensor<?x8xf32>
    ```
  }];
  let arguments = (ins LLM_BatchType:$batch);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$batch attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def LLM_ExpertLinearOp : LLM_Op<"expert_linear", [Pure]> {
  let summary = "Each slot of a row times the transpose of its expert's matrix";
  let description = [{
    `llm.linear` where the weight holds a matrix for each expert, and `routing`
    (of `llm.route`) says which one each of the S slots of a row takes:

    result[m, s * N + n] = sum over k of x[k] * weight[expert(m, s), n, k]
                           + bias[expert(m, s), n]

    x is row m of the input if that has K columns, or its part s if it has
    S * K. The matrix of an expert that no slot names is not read.

    ```mlir
    %y = llm.expert_linear %x, %w experts %r : tensor<?x64xf32>,
           tensor<8x96x64xf32> experts tensor<?x4xf32> -> tensor<?x192xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$input, RankedTensorOf<[F32]>:$weight,
                       LLM_Rows:$routing,
                       Optional<RankedTensorOf<[F32]>>:$bias);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $input `,` $weight `experts` $routing (`bias` $bias^)? attr-dict
    `:` type($input) `,` type($weight) `experts` type($routing)
    (`bias` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def LLM_CombineOp : LLM_Op<"combine", [Pure, AttrSizedOperandSegments]> {
  let summary = "The weighted sum of the slots of each row";
  let description = [{
    result[m, n] = sum over s of weight(m, s) * slots[m, s * N + n], s ascending,
    with the weights of `routing` (of `llm.route`).

    A `shared` expert, which every row has, comes after that: shared[m, n] is
    added, with a `gate` sigmoid(gate[m]) * shared[m, n]. Then a `residual`.

    ```mlir
    %y = llm.combine %h, %r shared %d gate %g : tensor<?x128xf32>,
           tensor<?x4xf32> shared tensor<?x64xf32> gate tensor<?x1xf32>
           -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$slots, LLM_Rows:$routing,
                       Optional<LLM_Rows>:$shared, Optional<LLM_Rows>:$gate,
                       Optional<LLM_Rows>:$residual);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $slots `,` $routing (`shared` $shared^)? (`gate` $gate^)?
    (`residual` $residual^)? attr-dict `:` type($slots) `,` type($routing)
    (`shared` type($shared)^)? (`gate` type($gate)^)?
    (`residual` type($residual)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def LLM_RopeOp : LLM_Op<"rope", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "Rotary position embedding of each head";
  let description = [{
    The first 2 * frequencies elements of each head of `head_dim` elements are
    pairs, rotated by position * frequency[i]. Pair i is (2i, 2i+1) with
    `adjacent`, else (i, i + n) with n frequencies. Cosine and sine are
    multiplied by `factor`.
  }];
  let arguments = (ins LLM_Rows:$input, LLM_BatchType:$batch, I64Attr:$head_dim,
                       DenseF32ArrayAttr:$frequencies,
                       UnitAttr:$adjacent,
                       DefaultValuedAttr<F32Attr, "1.0f">:$factor);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$input `,` $batch attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def LLM_ConcatHeadsOp : LLM_Op<"concat_heads", [Pure]> {
  let summary = "Heads of two sets of rows end to end";
  let description = [{
    Rows of both operands are `heads` heads, of the same number of elements each.
    Head h of the result is head h of the first, then head h of the second.

    ```mlir
    %q = llm.concat_heads %a, %b {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32>
           -> tensor<?x72xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$first, LLM_Rows:$second, I64Attr:$heads);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $first `,` $second attr-dict `:` type($first) `,` type($second) `->`
    type($result)
  }];
  let hasVerifier = 1;
}

/// Rows of values, of which the state says how many elements they have.
class LLM_ValueRowsOf<string state, string value>
    : TypesMatchWith<"values are as the state keeps them", state, value,
                     "::qcc::llm::valueRows(::llvm::cast<StateType>($_self))">;

def LLM_AttentionOp : LLM_Op<"attention", [
    LLM_ValueRowsOf<"state", "value">,
    InferTypeOpAdaptor]> {
  let summary = "Append keys and values to the state, then attend";
  let description = [{
    Each row's key and value are stored at its position of its sequence. Then,
    for each query head h of a row at position p, over the visible positions j
    (p - window < j <= p, all j <= p when window is 0), with g = h / (heads /
    kv_heads): softmax_j(scale * q_h . k_g[j]) weights v_g[j]. With a `softcap` c
    that is not 0 a score s enters the softmax as c * tanh(s / c).

    With `sinks`, one number for each query head, exp(sink[h]) is added to the
    divisor of that softmax, as of a position without value.

    Rows of the result have a value for each query head.
  }];
  let arguments = (ins LLM_Rows:$query, LLM_Rows:$key, LLM_Rows:$value,
                       LLM_BatchType:$batch, LLM_StateType:$state,
                       Optional<RankedTensorOf<[F32]>>:$sinks,
                       F32Attr:$scale,
                       DefaultValuedAttr<I64Attr, "0">:$window,
                       DefaultValuedAttr<F32Attr, "0.0f">:$softcap);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $batch `,` $state (`sinks` $sinks^)?
    attr-dict `:` type($query) `,` type($key) `,` type($state)
    (`sinks` type($sinks)^)?
  }];
  let hasVerifier = 1;
}

def LLM_RotationsOp : LLM_Op<"rotations", [Pure]> {
  let summary = "Cosines and sines of the rows' positions";
  let description = [{
    Row m holds factor * cos(position(m) * frequency[i]) for each of n
    frequencies, then factor * sin of the same angles. The same for all layers
    with these frequencies, so it is computed once a step.

    ```mlir
    %r = llm.rotations %batch {frequencies = array<f32: ...>} : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins LLM_BatchType:$batch, DenseF32ArrayAttr:$frequencies,
                       DefaultValuedAttr<F32Attr, "1.0f">:$factor);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$batch attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def LLM_RopeAppendOp : LLM_Op<"rope_append", [AttrSizedOperandSegments]> {
  let summary = "Norm and rotate queries and keys, store keys and values";
  let description = [{
    The fused form of what stands between the Q/K/V matmul and attention. Rows
    of `qkv` hold the query heads, then the key heads, then the value heads.
    Queries come out normed (with `query_norm`), rotated and multiplied by
    `scale`; keys are normed, rotated and stored in `state`, values stored. Norms
    of head_dim elements are of each head; those of a whole row's queries and
    keys, of the row. They are RMS norms, or with `centered` of each head by its
    mean and variance, with a row of the norm for each head.
  }];
  let arguments = (ins LLM_Rows:$qkv, LLM_Rows:$rotations, LLM_BatchType:$batch,
                       LLM_StateType:$state,
                       Optional<QZ_TensorType>:$query_norm,
                       Optional<QZ_TensorType>:$key_norm,
                       DefaultValuedAttr<F32Attr, "0.0f">:$eps,
                       UnitAttr:$centered, UnitAttr:$adjacent, F32Attr:$scale);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $qkv `,` $rotations `,` $batch `,` $state
    (`query_norm` $query_norm^)? (`key_norm` $key_norm^)?
    attr-dict `:` type($qkv) `,` type($rotations) `,` type($state)
    (`,` type($query_norm)^)? (`,` type($key_norm)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def LLM_LatentAppendOp : LLM_Op<"latent_append", []> {
  let summary = "Rotate queries, store a key and a value that all heads share";
  let description = [{
    What `llm.rope_append` is for attention to latents. With R rotations and L
    elements of the `norm`, rows of `key` hold R elements that are rotated, then
    a latent of L elements that is RMS-normed. Both together are the key that is
    stored in `state`, the latent alone is the value; there is one for all heads.

    Each query head is R elements of `query`, rotated, then L elements of
    `latent_query`, all times `scale`.

    ```mlir
    %q = llm.latent_append %p, %l, %k, %r, %batch, %s norm %n {eps = 1.0e-6 : f32,
           scale = 0.1 : f32, adjacent} : tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x24xf32>,
           tensor<?x8xf32>, !llm.state<1, 24, 16>, !qz.tensor<16, #f32> -> tensor<?x72xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$query, LLM_Rows:$latent_query, LLM_Rows:$key,
                       LLM_Rows:$rotations, LLM_BatchType:$batch,
                       LLM_StateType:$state, QZ_TensorType:$norm, F32Attr:$eps,
                       UnitAttr:$adjacent, F32Attr:$scale);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $query `,` $latent_query `,` $key `,` $rotations `,` $batch `,` $state
    `norm` $norm attr-dict `:` type($query) `,` type($latent_query) `,`
    type($key) `,` type($rotations) `,` type($state) `,` type($norm) `->`
    type($result)
  }];
  let hasVerifier = 1;
}

def LLM_AddNormOp : LLM_Op<"add_norm", [Pure,
    AllTypesMatch<["residual", "input", "result"]>]> {
  let summary = "Add the norm of a sub-layer's output to the residual";
  let description = [{
    result = residual + rms_norm(input) * weight, over whole rows.
  }];
  let arguments = (ins LLM_Rows:$residual, LLM_Rows:$input, QZ_TensorType:$weight,
                       F32Attr:$eps);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $residual `,` $input `,` $weight attr-dict `:` type($result) `,` type($weight)
  }];
  let hasVerifier = 1;
}

def LLM_AttendOp : LLM_Op<"attend", [
    InferTypeOpAdaptor]> {
  let summary = "Attend to the stored keys and values";
  let description = [{
    `llm.attention` without the append: queries are already scaled, and the
    rows' own keys and values already stored.

    `prompt_halves` allows a prompt step to round queries, keys, probabilities and
    values to bf16 or f16 where the target multiplies those faster; sums stay f32.
  }];
  let arguments = (ins LLM_Rows:$query, LLM_BatchType:$batch,
                       LLM_StateType:$state, Optional<QZ_TensorType>:$sinks,
                       DefaultValuedAttr<I64Attr, "0">:$window,
                       DefaultValuedAttr<F32Attr, "0.0f">:$softcap,
                       UnitAttr:$prompt_halves);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = [{
    $query `,` $batch `,` $state (`sinks` $sinks^)? attr-dict
    `:` type($query) `,` type($state) (`sinks` type($sinks)^)?
  }];
  let hasVerifier = 1;
}

def LLM_SelectOutputsOp : LLM_Op<"select_outputs", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "The rows that want logits";
  let arguments = (ins LLM_Rows:$input, LLM_BatchType:$batch);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$input `,` $batch attr-dict `:` type($result)";
}

def LLM_ScaleLogitsOp : LLM_Op<"scale_logits", [Pure,
    AllTypesMatch<["input", "result"]>]> {
  let summary = "Scale and cap logits";
  let description = [{
    result = scale * x; with a `softcap` c that is not 0, c * tanh(scale * x / c).

    ```mlir
    %y = llm.scale_logits %x {softcap = 30.0 : f32} : tensor<?x512xf32>
    ```
  }];
  let arguments = (ins LLM_Rows:$input,
                       DefaultValuedAttr<F32Attr, "1.0f">:$scale,
                       DefaultValuedAttr<F32Attr, "0.0f">:$softcap);
  let results = (outs LLM_Rows:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
  let hasVerifier = 1;
}

#endif // LLM_OPS
