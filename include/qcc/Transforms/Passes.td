//===- Passes.td - Passes of stages 2 to 4 ------------------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// In pipeline order. No pass names a CPU, a GPU or a weight format: they read
// encodings, shapes and attributes.
//===----------------------------------------------------------------------===//

#ifndef QCC_TRANSFORMS_PASSES
#define QCC_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// Stage 2: fuse
//===----------------------------------------------------------------------===//

def FuseMatmulsPass : Pass<"qcc-fuse-matmuls", "mlir::func::FuncOp"> {
  let summary = "Multiply with quantized weights instead of dequantized ones";
  let description = [{
    A linear operation whose weight is dequantized becomes a matmul that reads
    the codes; an embedding takes rows of the quantized tables.

    Before:

    ```mlir
    %f = qz.dequantize %w : !qz.tensor<576x576, #q> -> tensor<576x576xf32>
    %y = llm.linear %x, %f : tensor<?x576xf32>, tensor<576x576xf32> -> tensor<?x576xf32>
    ```

    After:

    ```mlir
    %a = qz.quantize %x : tensor<?x576xf32> -> !qz.activation<576>
    %y = qz.matmul %a, [%w] : !qz.activation<576>, [!qz.tensor<576x576, #q>] -> tensor<?x576xf32>
    ```

    A bias of the linear operation becomes that of the matmul's segment:
    `llm.linear %x, %f bias %b`, of which `%b` is `qz.dequantize %v`, becomes
    `qz.matmul %a, [%w] bias[%v] {bias_of = array<i64: 0>}`. Linear operations of
    experts, `llm.expert_linear %x, %f experts %r`, become
    `%a = qz.quantize %x experts %r`, `qz.matmul %a, [%w] experts %r`. The bias by
    which `llm.route` chooses becomes the weight itself.

    Precondition: rows are `tensor<?xNxf32>`.
    Left alone: linear operations and embeddings of plain tensors, linear
    operations with a bias that is one; norms, whose
    dequantized weights go with qcc-merge-projections and qcc-fuse-epilogues.
  }];
  let dependentDialects = ["qcc::qz::QZDialect"];
  let statistics = [
    Statistic<"numMatmuls", "matmuls", "Linear operations fused">,
    Statistic<"numEmbeddings", "embeddings", "Embeddings fused">,
    Statistic<"numMissed", "missed", "Linear operations and embeddings left">];
}

def MergeProjectionsPass : Pass<"qcc-merge-projections", "mlir::func::FuncOp"> {
  let summary = "Merge the projections of attention and of gated units";
  let description = [{
    The query, key and value matmuls of an attention become one matmul with a
    row segment for each, and everything between it and the attention one
    operation. Gate and up matmuls of a gated unit become one matmul with an
    epilogue. Segments keep their own encodings.

    Before:

    ```mlir
    %q = qz.matmul %a, [%wq] ...           %qr = llm.rope %q, %batch {...}
    %k = qz.matmul %a, [%wk] ...           %kr = llm.rope %k, %batch {...}
    %v = qz.matmul %a, [%wv] ...
    %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.125 : f32} ...
    ```

    After:

    ```mlir
    %p = qz.matmul %a, [%wq, %wk, %wv] ...
    %r = llm.rotations %batch {frequencies = ...} ...
    %h = llm.rope_append %p, %r, %batch, %s {scale = 0.125 : f32} ...
    %y = llm.attend %h, %batch, %s ...
    ```

    and `llm.glu (qz.matmul %a, [%g]), (qz.matmul %a, [%u])` becomes
    `qz.matmul %a, [%g, %u] {epilogue = ...}`. Norms of query and key heads,
    or of all heads of a row together, between matmul and rope become the norm
    operands of `llm.rope_append`. In an
    attention without rope one pair of each head turns by a frequency of 0, which
    leaves it as it is.

    Biases go with their segments, whether all segments have one or some: of
    `qz.matmul %a, [%wk] ...` without and the two others with a bias becomes
    `qz.matmul %a, [%wq, %wk, %wv] bias[%bq, %bv] {bias_of = array<i64: 0, 2>}`.

    Attention whose heads share a latent as key and value becomes
    `llm.latent_append`. Before:

    ```mlir
    %n = llm.rms_norm (qz.matmul %a, [%wc]), %f ...
    %q = llm.rope (llm.concat_heads %turned, %latent {heads = 16 : i64}), %batch {...}
    %k = llm.rope (llm.concat_heads (qz.matmul %a, [%wk]), %n {heads = 1 : i64}), %batch {...}
    %y = llm.attention %q, %k, %n, %batch, %s {scale = 0.07 : f32} ...
    ```

    After:

    ```mlir
    %p = qz.matmul %a, [%wk, %wc] ...
    %r = llm.rotations %batch {frequencies = ...} ...
    %h = llm.latent_append %turned, %latent, %p, %r, %batch, %s norm %wn {scale = 0.07 : f32} ...
    %y = llm.attend %h, %batch, %s ...
    ```

    Precondition: qcc-fuse-matmuls ran.
    Left alone: attention whose query and key are not rotated alike, are normed
    differently, or whose matmuls have other uses, other rows, an epilogue or
    several weights; attention to latents of which a part turns, or that have
    other uses.
  }];
  let dependentDialects = ["qcc::qz::QZDialect", "qcc::llm::LLMDialect"];
  let statistics = [
    Statistic<"numAttentions", "attentions", "Attentions merged">,
    Statistic<"numGlus", "glus", "Gated units merged">,
    Statistic<"numMissed", "missed", "Attentions and gated units left">];
}

def FoldPermutationsPass : Pass<"qcc-fold-permutations", "mlir::ModuleOp"> {
  let summary = "Take the elements of rows in another order where it is free";
  let description = [{
    A permutation before a quantize operation becomes its `order`. Where the rows
    come from a gated unit that nothing else reads, or from an activation of one
    matrix, the weights of the unit, and its biases, are stored in that order
    instead, and nothing is left to do when the step runs.

    Before:

    ```mlir
    %h = qz.matmul %a, [%gate, %up] {epilogue = #qz.epilogue<glu_silu>} ...
    %p = qz.permute %h by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
    %b = qz.quantize %p : tensor<?x64xf32> -> <64>
    ```

    After:

    ```mlir
    qz.weight @gate : !qz.tensor<64x32, #q> {row_order = @o}   // and @up
    %h = qz.matmul %a, [%gate, %up] {epilogue = #qz.epilogue<glu_silu>} ...
    %b = qz.quantize %h : tensor<?x64xf32> -> <64>
    ```

    and elsewhere `%b = qz.quantize %h order %o`.

    Precondition: qcc-merge-projections ran. Must run before qcc-fuse-epilogues,
    which looks for norms behind quantize operations.
    Left alone: permutations whose result something else than quantize operations
    reads; orders, weights and biases that are not `qz.use`; weights and biases
    with other uses.
  }];
  let dependentDialects = ["qcc::qz::QZDialect"];
  let statistics = [
    Statistic<"numFolded", "folded", "Permutations that cost nothing">,
    Statistic<"numGathered", "gathered", "Permutations left to quantize operations">,
    Statistic<"numMissed", "missed", "Permutations left">];
}

def FuseEpiloguesPass : Pass<"qcc-fuse-epilogues", "mlir::func::FuncOp"> {
  let summary = "Fuse norms, activations and residual sums into neighbours";
  let description = [{
    Before:

    ```mlir
    %n = llm.rms_norm %x, %f {eps = 1.0e-5 : f32} ...   // %f = qz.dequantize %w
    %a = qz.quantize %n ...
    %p = qz.matmul %a, [%m] ...
    %y = llm.add %x, %p ...
    ```

    After:

    ```mlir
    %a = qz.quantize %x norm %w {eps = 1.0e-5 : f32} ...
    %y = qz.matmul %a, [%m] residual %x {epilogue = #qz.epilogue<residual>} ...
    ```

    `llm.scale_logits` of a matmul becomes its `logits` epilogue. A sum of which
    one side is a norm becomes `llm.add_norm`, one of which a side is
    `llm.combine` becomes that with a residual. When both sides
    of a sum can be fused, the right one is. Biases of a matmul stay; they are
    added before the residual.

    `llm.layer_norm %x, %f bias %g` before the quantize operation becomes
    `qz.quantize %x norm %w bias %b {centered, ...}`, and `llm.activate %p
    {activation = #llm.activation<relu>}` after the matmul its epilogue
    `#qz.epilogue<relu>`.

    Precondition: qcc-merge-projections ran (it takes matmuls that this pass
    would give an epilogue to).
    Left alone: norms of parts of a row, norms with a plain weight or bias,
    matmuls with other uses or with an epilogue.
  }];
  let dependentDialects = ["qcc::qz::QZDialect", "qcc::llm::LLMDialect"];
  let statistics = [
    Statistic<"numResiduals", "residuals", "Sums fused into matmuls">,
    Statistic<"numActivations", "activations", "Activations fused into matmuls">,
    Statistic<"numNorms", "norms", "Norms fused into quantize operations">,
    Statistic<"numAddNorms", "add-norms", "Norms fused into sums">,
    Statistic<"numMissed", "missed", "Norms, activations and sums left">];
}

def RollLayersPass : Pass<"qcc-roll-layers", "mlir::ModuleOp"> {
  let summary = "Share one function between all layers of a kind";
  let description = [{
    Each function that `@step` calls gets the weights, states and rotations that
    it uses as arguments, in the order of their first use. Functions that are
    equal then become one private function `@body.K`, whatever the order of
    kinds: code is made once for each kind, and a layer is a call with its
    weights.

    Before:

    ```mlir
    func.func private @layer.7(%x: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
      %w = qz.use @"blk.7.w" : !qz.tensor<64x64, #q>
      ...
    }
    func.func @step(...) { ... func.call @layer.7(%x, %batch) ... }
    ```

    After:

    ```mlir
    func.func private @body.0(%x: tensor<?x64xf32>, %batch: !llm.batch,
                              %w: !qz.tensor<64x64, #q>) -> tensor<?x64xf32> { ... }
    func.func @step(...) {
      %w7 = qz.use @"blk.7.w" : !qz.tensor<64x64, #q>
      ... func.call @body.0(%x, %batch, %w7) ...
    }
    ```

    Precondition: `@step` exists; called functions have one block.
    Left alone: rotations of anything but an argument; functions that are also
    used outside `@step`.
  }];
  let dependentDialects = ["qcc::qz::QZDialect", "qcc::llm::LLMDialect"];
  let statistics = [
    Statistic<"numLayers", "layers", "Calls of layers in @step">,
    Statistic<"numBodies", "bodies", "Distinct bodies">];
}

def VerifyFusedPass : Pass<"qcc-verify-fused", "mlir::ModuleOp"> {
  let summary = "Check the normal form of stage 2";
  let description = [{
    `@step` takes a batch and returns the rows of one matmul, which nothing else
    uses. It consists of `qz.use`, `qz.quantize`, `qz.matmul`, `llm.state`,
    `llm.rotations`, `llm.embedding` of a quantized table, `llm.rope_append`,
    `llm.latent_append`, `llm.attend`, `llm.add_norm`, `llm.select_outputs`,
    `llm.route`, `llm.route_all`, `llm.combine`, calls and a return. Each other function is a body: private, called by `@step`, from rows (its first
    argument) to rows of the same type, made of the same operations without
    `qz.use`, `llm.state`, `llm.rotations` and calls.

    Changes nothing. The note of an error names the pass that should have
    removed the operation.
  }];
}

//===----------------------------------------------------------------------===//
// Stage 3: lay out
//===----------------------------------------------------------------------===//

def SelectLayoutPass : Pass<"qcc-select-layout", "mlir::ModuleOp"> {
  let summary = "Choose layout and place of every weight";
  let description = [{
    Writes `layout`, `offset` and `bytes` on each `qz.weight` that `@step` uses:
    matrices, which matmuls and embeddings read, get the chosen layout (those of
    experts one after the other), vectors are plain f32 values. Offsets follow
    the order of first use when the step runs, so that a step reads the file
    from front to back; matrices start at multiples of 256 bytes, vectors at
    multiples of 64. The module gets `qz.weight_bytes`, the size of all.

    Before:

    ```mlir
    qz.weight @w : !qz.tensor<32x64, #qz.encoding<bits = 8, group = 32, scale = f16>>
    ```

    After:

    ```mlir
    qz.weight @w : !qz.tensor<32x64, #qz.encoding<bits = 8, group = 32, scale = f16>>
        {bytes = 2176 : i64, layout = #qz.layout<r16k4>, offset = 0 : i64}
    ```

    Precondition: `@step` exists and calls nothing recursively.
    Left alone: weights that the step does not use; they are not stored.
  }];
  let options = [
    Option<"layout", "layout", "::qcc::qz::Layout",
           /*default=*/"::qcc::qz::Layout::R16K4", "Layout of matrices", [{
             ::llvm::cl::values(
               clEnumValN(::qcc::qz::Layout::Plain, "plain", "rows of f32"),
               clEnumValN(::qcc::qz::Layout::R16K4, "r16k4",
                          "panels of 16 rows x 4 k"))
           }]>];
  let statistics = [
    Statistic<"numPlaced", "placed", "Weights placed">,
    Statistic<"numUnused", "unused", "Weights that the step does not use">];
}

//===----------------------------------------------------------------------===//
// Stage 4: schedule
//===----------------------------------------------------------------------===//

def SelectActivationsPass : Pass<"qcc-select-activations", "mlir::ModuleOp"> {
  let summary = "Choose how activations enter each matmul";
  let description = [{
    Writes `generate`, `prompt` and `sum_group` on each `qz.quantize`:

    * `f32` for both where a consumer has a float weight, codes that are floats
      of 8 bits (`float` of the encoding: no integer sum holds them), or groups
      that are not a multiple of 16 (an integer sum covers 16 or 32 elements of
      k);
    * `bf16` in prompts instead, where all weights are floats that bf16 holds
      without rounding, 8 bits are asked for (or f16, and all weights are bf16),
      and no logits or routes follow;
    * `f16` in prompts where it is asked for, with the option `blocks`, and all weights
      are f16, under the same conditions;
    * `bf16` instead of 8 bits in prompts also where codes stand for floats
      (`values`) that have no minimum, which are rounded to it like the
      activations; `f32` beside others;
    * otherwise what the options ask for, but nothing coarser than `a16` for
      rows that come from `llm.select_outputs`: the logits feel every error;
      and for a matmul whose product is routed: a small error there gives a row
      another expert.
      `felt` is for the rows of prompts whose errors are felt most: those that
      become queries, keys and values, since softmax raises e to their products,
      and those that come from a matmul, the hidden rows of a feed-forward,
      whose largest elements stand out most, and those whose elements are
      taken in an order of importance (`order`), which brings the largest
      together. It is also for rows of which all consumers but those that need
      f32 have weights with a scale for 64 elements or more, beside which more
      scales of activations cost little;
    * `sum_group` is 16 where a consumer has groups that are not a multiple of
      32, else 32;
    * `prompt_blocks`, with the option `blocks`, where prompts have integers and
      no codes stand for floats (`values`), or bf16 and no scale is for parts of 16
      elements, or f16 and codes that are integers or weights in f16, unless logits follow or
      experts multiply them.

    Where any rows of prompts have 8 bits, bf16 or f16, `llm.attend` has
    `prompt_halves`.

    Before:

    ```mlir
    %a = qz.quantize %x : tensor<?x64xf32> -> !qz.activation<64>
    ```

    After:

    ```mlir
    %a = qz.quantize %x {generate = #qz.activations<a16>,
                         prompt = #qz.activations<a8>, sum_group = 32 : i64} ...
    ```

    Where the matmuls that read a `qz.quantize` ask for different forms, each form
    has an operation of its own, before the first of its matmuls: a router with
    float weights leaves the rows that experts read as they are.

    Precondition: the fused form. Left alone: everything else.
  }];
  let options = [
    Option<"generate", "generate", "::qcc::qz::Activations",
           /*default=*/"::qcc::qz::Activations::A16",
           "Activations of generating steps", [{
             ::llvm::cl::values(
               clEnumValN(::qcc::qz::Activations::A16, "a16", "int16"),
               clEnumValN(::qcc::qz::Activations::A8, "a8", "int8, groups of 32"),
               clEnumValN(::qcc::qz::Activations::A8G16, "a8g16", "int8, groups of 16"),
               clEnumValN(::qcc::qz::Activations::F16, "f16", "f16"),
               clEnumValN(::qcc::qz::Activations::F32, "f32", "f32"))
           }]>,
    Option<"prompt", "prompt", "::qcc::qz::Activations",
           /*default=*/"::qcc::qz::Activations::A8",
           "Activations of prompt steps", [{
             ::llvm::cl::values(
               clEnumValN(::qcc::qz::Activations::A16, "a16", "int16"),
               clEnumValN(::qcc::qz::Activations::A8, "a8", "int8, groups of 32"),
               clEnumValN(::qcc::qz::Activations::A8G16, "a8g16", "int8, groups of 16"),
               clEnumValN(::qcc::qz::Activations::F16, "f16", "f16"),
               clEnumValN(::qcc::qz::Activations::F32, "f32", "f32"))
           }]>,
    Option<"felt", "felt", "::qcc::qz::Activations",
           /*default=*/"::qcc::qz::Activations::A8G16",
           "Activations of prompt steps whose errors are felt most", [{
             ::llvm::cl::values(
               clEnumValN(::qcc::qz::Activations::A16, "a16", "int16"),
               clEnumValN(::qcc::qz::Activations::A8, "a8", "int8, groups of 32"),
               clEnumValN(::qcc::qz::Activations::A8G16, "a8g16", "int8, groups of 16"),
               clEnumValN(::qcc::qz::Activations::F16, "f16", "f16"),
               clEnumValN(::qcc::qz::Activations::F32, "f32", "f32"))
           }]>,
    Option<"blocks", "blocks", "bool", /*default=*/"false",
           "Whether the target multiplies blocks of rows by blocks of weights">];
  let statistics = [
    Statistic<"numFloat", "float", "Kept in f32 for the sake of the weights">,
    Statistic<"numRaised", "raised", "Raised to a16 before logits and routes">,
    Statistic<"numSplit", "split", "Made a second time for other users">];
}

def PlanSchedulePass : Pass<"qcc-plan-schedule", "mlir::ModuleOp"> {
  let summary = "Write the work units of every stage";
  let description = [{
    Each stage is a set of units that any thread may do in any order; units of
    one stage never depend on each other. `units` names their kind,
    `unit_count` their number as far as it is static:

    | units          | stage                          | unit_count |
    |----------------|--------------------------------|------------|
    | `panels`       | `qz.matmul`: 16 rows of the result (of gate and up together in a gated unit) | panels of the stage |
    | `expert_panels` | `qz.matmul` with experts: the same, of one expert that some slot names | panels of an expert |
    | `rows`         | `qz.quantize`, `llm.embedding`, `llm.rotations`, `llm.add_norm`, `llm.select_outputs`, `llm.route`, `llm.route_all`, `llm.combine` | none |
    | `row_heads`    | `llm.rope_append`, `llm.latent_append`: one query, key or value head | heads of a row |
    | `row_kv_heads` | `llm.attend`: the queries of one key head, which a target may deal in blocks | key heads of a row |

    `generate_replicated` on a `qz.quantize` or `llm.route` says that in a
    generating step each thread makes the few rows itself rather than waiting for
    the others.

    Before:

    ```mlir
    %y = qz.matmul %a, [%w] : !qz.activation<64>, [!qz.tensor<40x64, #q>] -> tensor<?x40xf32>
    ```

    After: the same with `{unit_count = 3 : i64, units = "panels"}`.

    Precondition: the fused form. Left alone: everything that is not a stage.
    Which stages run between two barriers, or in one launch, is for the target
    to decide.
  }];
  let statistics = [
    Statistic<"numStages", "stages", "Stages in @step and bodies">];
}

def PlanMemoryPass : Pass<"qcc-plan-memory", "mlir::ModuleOp"> {
  let summary = "Give every value of a step a place in the arena";
  let description = [{
    Writes `buffer`, an offset in the arena in bytes, on each operation that
    makes rows or activations; `stride`, the bytes between rows, on those that
    make rows. The module gets `llm.row_capacity`, `llm.arena_bytes`, and
    `llm.thread_bytes`: what a thread needs of its own for a replicated `qz.quantize`.

    * Rows are as many as `row-capacity` says; where prompt steps multiply blocks
      (`prompt_blocks`), as many as whole blocks of 16 have.
    * Values that are never live together share memory (first fit). A value
      counts as live for one stage longer than it is, so that a stage may start
      while the one before it still runs, where no value flows between them. (A
      body starts only when everything before it is done.)
    * Rows live as long as activations that are made of them: whoever multiplies
      these may make them for itself.
    * `qz.matmul` with a residual and `llm.add_norm` work in place when that is
      the last use of the residual, unless the matmul's own activations are made
      of it.
    * The first operand of each call, its result, the first argument of each
      body and its result are one buffer, at `llm.buffer` on the argument.
    * What a body makes lies above everything of `@step` that lives across a
      call. Other rows come to a body as arguments.
    * The rows that `@step` returns have no buffer: they go to the logits.

    Before:

    ```mlir
    %y = qz.matmul %a, [%w] ... -> tensor<?x40xf32>
    ```

    After: the same with `{buffer = 4096 : i64, stride = 192 : i64}`.

    Precondition: the fused form after qcc-select-activations.
    Fails when the first operand of a call is used after it, or a body needs its
    first argument after its result was made.
  }];
  let options = [
    Option<"rowCapacity", "row-capacity", "int64_t", /*default=*/"264",
           "Rows that a buffer holds">,
    Option<"generateRows", "generate-rows", "int64_t", /*default=*/"16",
           "Most rows of a generating step">];
  let statistics = [
    Statistic<"numBuffers", "buffers", "Values with a buffer">,
    Statistic<"numInPlace", "in-place", "Values made in place">];
}

#endif // QCC_TRANSFORMS_PASSES
