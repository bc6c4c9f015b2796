// RUN: qcc-opt %s --qcc-plan-memory='row-capacity=24 generate-rows=16' | FileCheck %s

// Where prompt steps multiply blocks of 16 rows, buffers hold whole blocks: of
// 64 columns of f32 32 rows, 8192 bytes, though no step has more than 24; of
// quantized activations 32 rows of two chunks of (32 + 4 + 4 + 4) bytes.

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// CHECK: llm.arena_bytes = 22016 : i64, llm.row_capacity = 24 : i64

func.func @step(%batch: !llm.batch, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // CHECK: llm.embedding {{.*}} {buffer = 0 : i64
  %x = llm.embedding %batch, %w : !qz.tensor<64x64, #q4> -> tensor<?x64xf32>
  // CHECK: qz.quantize {{.*}} {buffer = 8192 : i64
  %a = qz.quantize %x {generate = #qz.activations<a8>, prompt = #qz.activations<a8>, prompt_blocks, sum_group = 32 : i64} : tensor<?x64xf32> -> <64>
  // CHECK: qz.matmul {{.*}} {buffer = 11008 : i64
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  // CHECK: qz.quantize {{.*}} {buffer = 19200 : i64
  %b = qz.quantize %y {generate = #qz.activations<a8>, prompt = #qz.activations<a8>, prompt_blocks, sum_group = 32 : i64} : tensor<?x64xf32> -> <64>
  %l = qz.matmul %b, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// Rows of f16 that are stored for blocks have a tile of 64: a factor for each, then
// their elements, and a sum for each 32 of them.

// RUN: sed -e 's/<a8>/<f16>/g' %s | qcc-opt --qcc-plan-memory='row-capacity=65 generate-rows=16' | FileCheck %s --check-prefix=TILES
// TILES: llm.row_capacity = 65 : i64
// TILES: llm.embedding {{.*}} {buffer = 0 : i64
// TILES: qz.quantize {{.*}} {buffer = 20480 : i64
// TILES: qz.matmul {{.*}} {buffer = 38400 : i64
