// The same stages for a CPU and a GPU: what one runs between barriers the other
// launches. Layout, units and dependences are those of the schedule for both.
//
// RUN: qcc-opt %s --qcc-layout --qcc-select-activations --qcc-plan-schedule --qcc-plan-memory \
// RUN:   --qcc-generate-code=target=x86-64-v4 | FileCheck %s --check-prefix=X86
// RUN: qcc-opt %s --qcc-layout --qcc-select-activations="generate=f16 prompt=f16 felt=f16" --qcc-plan-schedule --qcc-plan-memory \
// RUN:   --qcc-generate-code=target=sm_86 | FileCheck %s --check-prefix=NVPTX
// RUN: qcc-opt %s --qcc-layout --qcc-select-activations="generate=f16 prompt=f16 felt=f16" --qcc-plan-schedule --qcc-plan-memory \
// RUN:   --qcc-generate-code=target=sm_86 --qcc-nvvm | FileCheck %s --check-prefix=NVVM

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, group = 32, scale = f16, min = f16>
#g128 = #qz.encoding<bits = 4, zero = 8, group = 128, scale = f16>

module attributes {llm.architecture = "llama", llm.context = 128 : i64, llm.hidden = 256 : i64,
                   llm.layers = 1 : i64, llm.vocab = 40 : i64} {
  qz.weight @table : !qz.tensor<40x256, #f32>
  qz.weight @norm : !qz.tensor<256, #f32>
  qz.weight @down : !qz.tensor<256x256, #q4>
  qz.weight @head : !qz.tensor<40x256, #g128>

  // A barrier of the team stands between the two stages of x86; each thread
  // makes the few rows of a generating step for itself.
  // X86-LABEL: func.func private @step.one(
  // X86: call @matmul.0(
  // X86: cf.cond_br
  // X86: call @matmul.1(
  // X86-LABEL: llvm.func hidden @qcc_step_0(

  // A block is a unit: a panel of 16 columns.
  // NVPTX: gpu.module @kernels
  // NVPTX: llvm.mlir.global external @qcc_shared() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<0 x i8>

  // A row is a block's, or a few blocks'.
  // NVPTX-LABEL: gpu.func @embedding_0(
  // NVPTX: gpu.block_id  y
  // NVPTX: gpu.return

  // In the order in which they are asked for: rows of a block, rows, norm,
  // weight, input (which is the residual as well), output.
  // NVPTX-LABEL: gpu.func @matmul_0(
  // NVPTX-SAME: %{{[^:]*}}: i32, %{{[^:]*}}: i32, %[[NORM:[^:]*]]: !llvm.ptr<1> {llvm.align = 16 : i64, llvm.noalias, llvm.readonly},
  // NVPTX-SAME: !llvm.ptr<1> {llvm.align = 16 : i64, llvm.noalias, llvm.readonly}, %[[IN:[^:]*]]: !llvm.ptr<1> {llvm.align = 16 : i64}, %[[OUT:[^:]*]]: !llvm.ptr<1> {llvm.align = 16 : i64})
  // NVPTX-SAME: kernel attributes {known_block_size = array<i32: 128, 1, 1>, nvvm.minctasm = 6 : i32}
  // NVPTX: gpu.block_id  x
  // The weights are on their way before the rows are read.
  // NVPTX: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache =  cg
  // NVPTX: nvvm.cp.async.commit.group
  // So are the norm and, before the products, what they are added to.
  // NVPTX: llvm.getelementptr %[[NORM]]
  // NVPTX: llvm.inline_asm has_side_effects "prefetch.global.L2 [$0];"
  // NVPTX: llvm.getelementptr %[[IN]]
  // NVPTX: gpu.shuffle  xor
  // NVPTX: llvm.call_intrinsic "llvm.nvvm.ff2f16x2.rn"
  // NVPTX: gpu.barrier
  // NVPTX: scf.for
  // NVPTX: nvvm.cp.async.wait.group
  // NVPTX: nvvm.bar.warp.sync
  // NVPTX: nvvm.cp.async.shared.global
  // Both f16 scale and min meet the sums of one group of 32.
  // Masks of low and of high nibbles make the operands.
  // NVPTX: %[[LOW:.*]] = arith.constant 983055 : i32
  // NVPTX-NEXT: %[[CODES:.*]] = arith.andi %{{.*}}, %[[LOW]] : i32
  // NVPTX-NEXT: llvm.bitcast %[[CODES]] : i32 to vector<2xf16>
  // NVPTX: %[[HIGH:.*]] = arith.constant 15728880 : i32
  // NVPTX-NEXT: arith.andi %{{.*}}, %[[HIGH]] : i32
  // NVPTX-COUNT-2: nvvm.mma.sync A{{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
  // NVPTX-COUNT-8: llvm.call_intrinsic "llvm.fma"
  // NVPTX: gpu.barrier
  // NVPTX: llvm.getelementptr %[[OUT]]
  // NVPTX: gpu.return

  // No norm and no residual; one scale for the eight products of a step.
  // NVPTX-LABEL: gpu.func @matmul_1(
  // NVPTX-NOT: "llvm.sqrt"
  // NVPTX-COUNT-8: nvvm.mma.sync A
  // NVPTX-COUNT-4: llvm.call_intrinsic "llvm.fma"
  // NVPTX-NOT: llvm.call_intrinsic "llvm.fma"
  // NVPTX: gpu.barrier

  // NVVM-LABEL: llvm.func @matmul_0(
  // NVVM-SAME: gpu.kernel
  // NVVM-SAME: nvvm.kernel, nvvm.maxntid = array<i32: 128, 1, 1>
  // NVVM: nvvm.read.ptx.sreg.tid.x
  // NVVM-NOT: unrealized_conversion_cast
  // NVVM-NOT: arith.
  // NVVM-NOT: cf.
  func.func @step(%batch: !llm.batch) -> tensor<?x40xf32> {
    %t = qz.use @table : !qz.tensor<40x256, #f32>
    %n = qz.use @norm : !qz.tensor<256, #f32>
    %d = qz.use @down : !qz.tensor<256x256, #q4>
    %h = qz.use @head : !qz.tensor<40x256, #g128>
    %x = llm.embedding %batch, %t : !qz.tensor<40x256, #f32> -> tensor<?x256xf32>
    %a = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : tensor<?x256xf32>, !qz.tensor<256, #f32> -> <256>
    %y = qz.matmul %a, [%d] residual %x {epilogue = #qz.epilogue<residual>} : <256>, [!qz.tensor<256x256, #q4>], tensor<?x256xf32> -> tensor<?x256xf32>
    %b = qz.quantize %y : tensor<?x256xf32> -> <256>
    %l = qz.matmul %b, [%h] : <256>, [!qz.tensor<40x256, #g128>] -> tensor<?x40xf32>
    return %l : tensor<?x40xf32>
  }
}
