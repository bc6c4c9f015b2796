// RUN: qcc-opt %s --qcc-select-activations | FileCheck %s
// RUN: qcc-opt %s --qcc-select-activations='generate=a8 prompt=a8g16' \
// RUN:   | FileCheck %s --check-prefix=FINE
// RUN: qcc-opt %s --qcc-select-activations='generate=f32 prompt=f32 felt=f32' \
// RUN:   | FileCheck %s --check-prefix=FLOAT
// RUN: qcc-opt %s --qcc-select-activations='generate=f16 prompt=f16 felt=f16' \
// RUN:   | FileCheck %s --check-prefix=HALF
// RUN: qcc-opt %s --qcc-select-activations='blocks' \
// RUN:   | FileCheck %s --check-prefix=BLOCKS
// RUN: qcc-opt %s --qcc-select-activations='generate=f16 prompt=f16 felt=f16 blocks' \
// RUN:   | FileCheck %s --check-prefix=TILES

#f32 = #qz.encoding<f32>
#bf16 = #qz.encoding<bf16>
#g4 = #qz.encoding<bits = 4, zero = 8, group = 4, scale = f16>
#g16 = #qz.encoding<bits = 6, zero = 32, group = 16, scale = f16, super_block = 256, sub_bits = 8, sub_signed = 1>
#g128 = #qz.encoding<bits = 4, zero = 8, group = 128, scale = f16>
#g32 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#values = #qz.encoding<bits = 2, values = [-1.0, 0.0, 0.3, 1.0], group = 32, scale = f16>
#fp8 = #qz.encoding<bits = 8, float = e4m3fn, group = 32, scale = f32>

// CHECK-LABEL: func private @body.0
// FINE-LABEL: func private @body.0
// FLOAT-LABEL: func private @body.0
// TILES-LABEL: func private @body.0
func.func private @body.0(%x: tensor<?x768xf32>, %w16: !qz.tensor<768x768, #g16>, %w32: !qz.tensor<768x768, #g32>,
                          %w4: !qz.tensor<768x768, #g4>,
                          %bf: !qz.tensor<768x768, #bf16>) -> tensor<?x768xf32> {
  // Groups of 32 have sums of 32. Scales may be rounded where no finer ones are
  // asked for.
  // CHECK: qz.quantize %{{[^ ]*}} {generate = #qz.activations<a16>, prompt = #qz.activations<a8>, sum_group = 32 : i64}
  // FINE:  qz.quantize %{{[^ ]*}} {generate = #qz.activations<a8>, prompt = #qz.activations<a8g16>, sum_group = 32 : i64}
  // FLOAT: qz.quantize %{{[^ ]*}} {generate = #qz.activations<f32>, prompt = #qz.activations<f32>, sum_group = 32 : i64}
  // Integers are multiplied in blocks where the target does that.
  // BLOCKS: qz.quantize %{{[^ ]*}} {generate = #qz.activations<a16>, prompt = #qz.activations<a8>, prompt_blocks, sum_group = 32 : i64}
  // BLOCKS: prompt = #qz.activations<a8g16>, prompt_blocks, sum_group = 16
  // BLOCKS: prompt_blocks, sum_group = 16
  // f16 is stored for blocks if all codes are integers.
  // TILES: prompt = #qz.activations<f16>, prompt_blocks, sum_group = 32
  // TILES: prompt = #qz.activations<f16>, prompt_blocks, sum_group = 16
  // TILES: prompt = #qz.activations<f16>, prompt_blocks, sum_group = 16
  // TILES: prompt = #qz.activations<f32>, sum_group
  // TILES: prompt = #qz.activations<f32>, sum_group
  // BLOCKS: prompt = #qz.activations<f32>, sum_group
  // BLOCKS: prompt = #qz.activations<f32>, sum_group
  %a = qz.quantize %x : tensor<?x768xf32> -> <768>
  %0 = qz.matmul %a, [%w32] : <768>, [!qz.tensor<768x768, #g32>] -> tensor<?x768xf32>

  // One segment with groups of 16 is enough for sums of 16. Rows from a matmul
  // are felt most.
  // CHECK: qz.quantize %{{[^ ]*}} {generate = #qz.activations<a16>, prompt = #qz.activations<a8g16>, sum_group = 16 : i64}
  %b = qz.quantize %0 : tensor<?x768xf32> -> <768>
  %1 = qz.matmul %b, [%w32, %w16] : <768>, [!qz.tensor<768x768, #g32>, !qz.tensor<768x768, #g16>] -> tensor<?x1536xf32>

  // So is one of several consumers, here with groups of 16.
  // CHECK: qz.quantize {{.*}} sum_group = 16
  %c = qz.quantize %x : tensor<?x768xf32> -> <768>
  %2 = qz.matmul %c, [%w16] : <768>, [!qz.tensor<768x768, #g16>] -> tensor<?x768xf32>
  %3 = qz.matmul %c, [%w32] : <768>, [!qz.tensor<768x768, #g32>] -> tensor<?x768xf32>

  // A float segment asks for f32, and so do groups that 16 does not divide.
  // CHECK: qz.quantize %{{[^ ]*}} {generate = #qz.activations<f32>, prompt = #qz.activations<f32>
  // FINE:  qz.quantize %{{[^ ]*}} {generate = #qz.activations<f32>, prompt = #qz.activations<f32>
  // CHECK: qz.quantize %{{[^ ]*}} {generate = #qz.activations<f32>, prompt = #qz.activations<f32>
  %d = qz.quantize %2 : tensor<?x768xf32> -> <768>
  %4 = qz.matmul %d, [%w32, %bf] : <768>, [!qz.tensor<768x768, #g32>, !qz.tensor<768x768, #bf16>] -> tensor<?x1536xf32>
  %e = qz.quantize %3 : tensor<?x768xf32> -> <768>
  %5 = qz.matmul %e, [%w4] : <768>, [!qz.tensor<768x768, #g4>] -> tensor<?x768xf32>
  return %x : tensor<?x768xf32>
}

// CHECK-LABEL: func private @attention
// FLOAT-LABEL: func private @attention
func.func private @attention(%x: tensor<?x64xf32>, %batch: !llm.batch, %r: tensor<?x16xf32>, %n: !qz.tensor<64, #f32>,
                             %w: !qz.tensor<128x64, #g32>, %o: !qz.tensor<64x64, #g32>,
                             %state: !llm.state<2, 16>) -> tensor<?x64xf32> {
  // Queries, keys and values are felt most.
  // CHECK: qz.quantize {{.*}} norm {{.*}} prompt = #qz.activations<a8g16>, sum_group = 32 : i64}
  // FLOAT: qz.quantize {{.*}} norm {{.*}} prompt = #qz.activations<f32>
  %a = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> -> <64>
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<128x64, #g32>] -> tensor<?x128xf32>
  %q = llm.rope_append %p, %r, %batch, %state {scale = 0.25 : f32} : tensor<?x128xf32>, tensor<?x16xf32>, !llm.state<2, 16> -> tensor<?x64xf32>
  // What attention gives is not. Its own products may be rounded if those of
  // matmuls are.
  // CHECK: llm.attend {{.*}} {prompt_halves}
  // HALF: llm.attend {{.*}} {prompt_halves}
  // FLOAT: llm.attend %{{[^ ]*}}, %{{[^ ]*}}, %{{[^ ]*}} :
  %t = llm.attend %q, %batch, %state : tensor<?x64xf32>, !llm.state<2, 16>
  // CHECK: qz.quantize {{.*}} prompt = #qz.activations<a8>, sum_group = 32 : i64}
  %b = qz.quantize %t : tensor<?x64xf32> -> <64>
  %y = qz.matmul %b, [%o] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #g32>], tensor<?x64xf32> -> tensor<?x64xf32>
  // Nor is the norm of the residual stream, which is a matmul's result too.
  // CHECK: qz.quantize {{.*}} norm {{.*}} prompt = #qz.activations<a8>, sum_group = 32 : i64}
  %c = qz.quantize %y norm %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> -> <64>
  %z = qz.matmul %c, [%o] : <64>, [!qz.tensor<64x64, #g32>] -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// An order of k brings the largest elements together.
// CHECK-LABEL: func private @ordered
func.func private @ordered(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>, %order: !qz.tensor<64, #f32>,
                           %w: !qz.tensor<64x64, #g32>) -> tensor<?x64xf32> {
  // CHECK: qz.quantize {{.*}} order {{.*}} prompt = #qz.activations<a8g16>, sum_group = 32 : i64}
  %a = qz.quantize %x norm %n order %order {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> by !qz.tensor<64, #f32> -> <64>
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #g32>] -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func private @large
func.func private @large(%x: tensor<?x128xf32>, %n: !qz.tensor<128, #f32>, %w: !qz.tensor<128x128, #g128>,
                         %v: !qz.tensor<128x128, #g32>) -> tensor<?x128xf32> {
  // Where weights have few scales, activations may have more.
  // CHECK: qz.quantize {{.*}} norm {{.*}} prompt = #qz.activations<a8g16>, sum_group = 32 : i64}
  %a = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : tensor<?x128xf32>, !qz.tensor<128, #f32> -> <128>
  %y = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <128>, [!qz.tensor<128x128, #g128>], tensor<?x128xf32> -> tensor<?x128xf32>
  // All of the weights.
  // CHECK: qz.quantize {{.*}} norm {{.*}} prompt = #qz.activations<a8>, sum_group = 32 : i64}
  %b = qz.quantize %y norm %n {eps = 1.0e-5 : f32} : tensor<?x128xf32>, !qz.tensor<128, #f32> -> <128>
  %z = qz.matmul %b, [%w, %v] : <128>, [!qz.tensor<128x128, #g128>, !qz.tensor<128x128, #g32>] -> tensor<?x256xf32>
  return %y : tensor<?x128xf32>
}

// A body that is called with rows that want logits is part of the head.
// CHECK-LABEL: func private @head
// FINE-LABEL: func private @head
func.func private @head(%x: tensor<?x768xf32>, %w: !qz.tensor<768x768, #g32>) -> tensor<?x768xf32> {
  // CHECK: {generate = #qz.activations<a16>, prompt = #qz.activations<a16>
  // FINE:  {generate = #qz.activations<a16>, prompt = #qz.activations<a16>, sum_group = 32
  %a = qz.quantize %x : tensor<?x768xf32> -> <768>
  %0 = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <768>, [!qz.tensor<768x768, #g32>], tensor<?x768xf32> -> tensor<?x768xf32>
  return %0 : tensor<?x768xf32>
}

// CHECK-LABEL: func @step
// FINE-LABEL: func @step
// FLOAT-LABEL: func @step
// TILES-LABEL: func @step
// TILES: qz.quantize {{.*}} prompt = #qz.activations<f16>, prompt_blocks
func.func @step(%batch: !llm.batch, %x: tensor<?x768xf32>, %n: !qz.tensor<768, #f32>, %w: !qz.tensor<768x768, #g32>) -> tensor<?x768xf32> {
  // CHECK: qz.quantize {{.*}} {eps = {{.*}}, generate = #qz.activations<a16>, prompt = #qz.activations<a8>
  %p = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : tensor<?x768xf32>, !qz.tensor<768, #f32> -> <768>
  %q = qz.matmul %p, [%w] : <768>, [!qz.tensor<768x768, #g32>] -> tensor<?x768xf32>
  %s = llm.select_outputs %q, %batch : tensor<?x768xf32>
  %h = func.call @head(%s, %w) : (tensor<?x768xf32>, !qz.tensor<768x768, #g32>) -> tensor<?x768xf32>
  // CHECK: qz.quantize {{.*}} {eps = {{.*}}, generate = #qz.activations<a16>, prompt = #qz.activations<a16>
  // FINE:  qz.quantize {{.*}} {eps = {{.*}}, generate = #qz.activations<a16>, prompt = #qz.activations<a16>
  // FLOAT: qz.quantize {{.*}} {eps = {{.*}}, generate = #qz.activations<f32>, prompt = #qz.activations<f32>
  // Of few rows there are no blocks.
  // TILES: qz.quantize {{.*}} prompt = #qz.activations<f16>, sum_group
  %a = qz.quantize %h norm %n {eps = 1.0e-5 : f32} : tensor<?x768xf32>, !qz.tensor<768, #f32> -> <768>
  %l = qz.matmul %a, [%w] : <768>, [!qz.tensor<768x768, #g32>] -> tensor<?x768xf32>
  return %l : tensor<?x768xf32>
}

// CHECK-LABEL: func private @floats
// BLOCKS-LABEL: func private @floats
// FLOAT-LABEL: func private @floats
func.func private @floats(%x: tensor<?x128xf32>, %n: !qz.tensor<128, #f32>, %w: !qz.tensor<128x128, #values>,
                          %v: !qz.tensor<128x128, #fp8>) -> tensor<?x128xf32> {
  // A few floats are integers in products of generating steps, floats of 8 bits
  // are not. bf16 is near the former.
  // BLOCKS: prompt = #qz.activations<bf16>, prompt_blocks, sum_group
  // CHECK: qz.quantize {{.*}} {eps = {{.*}}, generate = #qz.activations<a16>, prompt = #qz.activations<bf16>, sum_group = 32 : i64}
  %a = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : tensor<?x128xf32>, !qz.tensor<128, #f32> -> <128>
  %y = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <128>, [!qz.tensor<128x128, #values>], tensor<?x128xf32> -> tensor<?x128xf32>
  // bf16 holds the latter.
  // BLOCKS: prompt = #qz.activations<bf16>, prompt_blocks, sum_group
  // CHECK: qz.quantize {{.*}} {eps = {{.*}}, generate = #qz.activations<f32>, prompt = #qz.activations<bf16>
  // FLOAT: qz.quantize {{.*}} {eps = {{.*}}, generate = #qz.activations<f32>, prompt = #qz.activations<f32>
  %b = qz.quantize %y norm %n {eps = 1.0e-5 : f32} : tensor<?x128xf32>, !qz.tensor<128, #f32> -> <128>
  %z = qz.matmul %b, [%v] : <128>, [!qz.tensor<128x128, #fp8>] -> tensor<?x128xf32>
  return %z : tensor<?x128xf32>
}

// Rows of prompts that are rounded to f16 for codes are to bf16 for floats that are bf16.
// HALF-LABEL: func private @halves
func.func private @halves(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #bf16>, %v: !qz.tensor<64x64, #fp8>) -> tensor<?x64xf32> {
  // HALF: qz.quantize {{.*}} {generate = #qz.activations<f32>, prompt = #qz.activations<bf16>, sum_group = 32 : i64}
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #bf16>] -> tensor<?x64xf32>
  // HALF: qz.quantize {{.*}} {generate = #qz.activations<f32>, prompt = #qz.activations<f32>, sum_group = 32 : i64}
  %b = qz.quantize %y : tensor<?x64xf32> -> <64>
  %z = qz.matmul %b, [%v] : <64>, [!qz.tensor<64x64, #fp8>] -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// Weights in f16 have rows of f16 where those are stored for blocks.
// HALF-LABEL: func private @halves16
// TILES-LABEL: func private @halves16
func.func private @halves16(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #qz.encoding<f16>>) -> tensor<?x64xf32> {
  // HALF: qz.quantize {{.*}} {generate = #qz.activations<f32>, prompt = #qz.activations<f32>, sum_group = 32 : i64}
  // TILES: qz.quantize {{.*}} {generate = #qz.activations<f32>, prompt = #qz.activations<f16>, prompt_blocks, sum_group = 32 : i64}
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #qz.encoding<f16>>] -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
