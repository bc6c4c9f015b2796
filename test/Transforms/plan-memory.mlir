// RUN: qcc-opt %s --split-input-file \
// RUN:   --qcc-plan-memory='row-capacity=32 generate-rows=16' | FileCheck %s

// Sizes: 64 columns of f32 are 256 bytes a row, 32 rows 8192 bytes; 40 columns
// take a stride of 192 and 6144 bytes. Quantized activations of 64 columns:
// two chunks of (32 + 4 + 4 + 4) bytes a row in a8, 32 rows 2816 bytes; in a16
// two chunks of 76 bytes, 16 rows 2432 bytes.

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>

// The arena ends where the body's last buffer ends.
// CHECK: llm.arena_bytes = 43776 : i64, {{.*}}llm.thread_bytes = 2432 : i64

// CHECK-LABEL: func private @body.0
// CHECK-SAME:  %{{.*}}: tensor<?x64xf32> {llm.buffer = 0 : i64, llm.stride = 256 : i64}, %{{[^:]*}}: tensor<?x2xf32>, %
func.func private @body.0(%x: tensor<?x64xf32>, %r: tensor<?x2xf32>, %w: !qz.tensor<64x64, #q4>,
                          %v: !qz.tensor<40x64, #q4>, %u: !qz.tensor<64x40, #f32>, %n: !qz.tensor<64, #f32>) -> tensor<?x64xf32> {
  // The body lies above what the step keeps across calls, 8192 bytes of the
  // residual and 2048 of the rotations, and what it makes right after a call.
  // CHECK: %[[A:.*]] = qz.quantize {{.*}} {buffer = 18432 : i64,
  %a = qz.quantize %x {generate = #qz.activations<a16>, prompt = #qz.activations<a8>, sum_group = 32 : i64, generate_replicated} : tensor<?x64xf32> -> <64>
  // CHECK: qz.matmul %[[A]], {{.*}} {buffer = 21248 : i64, stride = 192 : i64}
  %b = qz.matmul %a, [%v] : <64>, [!qz.tensor<40x64, #q4>] -> tensor<?x40xf32>
  // The stage that reads %a may still run when this one starts.
  // CHECK: qz.quantize {{.*}} {buffer = 27392 : i64,
  %c = qz.quantize %b {generate = #qz.activations<f32>, prompt = #qz.activations<f32>, sum_group = 32 : i64} : tensor<?x40xf32> -> <40>
  // Nothing reads %a any more, but 2816 bytes are too few.
  // CHECK: qz.matmul {{.*}} {buffer = 35584 : i64, stride = 256 : i64}
  %d = qz.matmul %c, [%u] : <40>, [!qz.tensor<64x40, #f32>] -> tensor<?x64xf32>
  // The last use of the residual: in place.
  // CHECK: llm.add_norm {{.*}} {buffer = 0 : i64, eps = {{.*}}, stride = 256 : i64}
  %e = llm.add_norm %x, %d, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32>
  // CHECK: qz.quantize {{.*}} {buffer = 18432 : i64,
  %f = qz.quantize %e {generate = #qz.activations<a16>, prompt = #qz.activations<a8>, sum_group = 32 : i64, generate_replicated} : tensor<?x64xf32> -> <64>
  // CHECK: qz.matmul {{.*}} {buffer = 0 : i64, epilogue = {{.*}}, stride = 256 : i64}
  %y = qz.matmul %f, [%w] residual %e {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @step
func.func @step(%batch: !llm.batch, %w: !qz.tensor<64x64, #q4>, %v: !qz.tensor<40x64, #q4>,
                %u: !qz.tensor<64x40, #f32>, %n: !qz.tensor<64, #f32>) -> tensor<?x96xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  // CHECK: llm.embedding {{.*}} {buffer = 0 : i64, stride = 256 : i64}
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  // CHECK: llm.rotations {{.*}} {buffer = 8192 : i64, frequencies = {{.*}}, stride = 64 : i64}
  %r = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  // CHECK: call @body.0({{.*}}) {buffer = 0 : i64, stride = 256 : i64}
  %x0 = func.call @body.0(%x, %r, %w, %v, %u, %n) : (tensor<?x64xf32>, tensor<?x2xf32>, !qz.tensor<64x64, #q4>, !qz.tensor<40x64, #q4>, !qz.tensor<64x40, #f32>, !qz.tensor<64, #f32>) -> tensor<?x64xf32>
  // CHECK: call @body.0({{.*}}) {buffer = 0 : i64, stride = 256 : i64}
  %x1 = func.call @body.0(%x0, %r, %w, %v, %u, %n) : (tensor<?x64xf32>, tensor<?x2xf32>, !qz.tensor<64x64, #q4>, !qz.tensor<40x64, #q4>, !qz.tensor<64x40, #f32>, !qz.tensor<64, #f32>) -> tensor<?x64xf32>
  // CHECK: llm.select_outputs {{.*}} {buffer = 10240 : i64, stride = 256 : i64}
  %s = llm.select_outputs %x1, %batch : tensor<?x64xf32>
  // What comes later may lie in the bodies' memory.
  // CHECK: qz.quantize {{.*}} {buffer = 18432 : i64,
  %a = qz.quantize %s {generate = #qz.activations<a16>, prompt = #qz.activations<a16>, sum_group = 32 : i64} : tensor<?x64xf32> -> <64>
  // The logits have no buffer.
  // CHECK: qz.matmul %{{[^,]*}}, [%{{[^]]*}}] : <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}

// -----

// The residual is needed after a sum: that sum is not made in place. The
// result still is: the residual is dead by then.

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// CHECK-LABEL: func private @parallel
func.func private @parallel(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // CHECK: qz.quantize {{.*}} {buffer = 13056
  %a = qz.quantize %x {generate = #qz.activations<a16>, prompt = #qz.activations<a8>, sum_group = 32 : i64} : tensor<?x64xf32> -> <64>
  // CHECK: qz.matmul {{.*}} {buffer = 15872
  %b = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  // CHECK: qz.quantize {{.*}} {buffer = 24064
  %c = qz.quantize %x {generate = #qz.activations<a16>, prompt = #qz.activations<a8>, sum_group = 32 : i64} : tensor<?x64xf32> -> <64>
  // CHECK: qz.matmul {{.*}} {buffer = 26880
  %d = qz.matmul %c, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  // CHECK: qz.quantize {{.*}} {buffer = 13056
  %e = qz.quantize %d {generate = #qz.activations<a16>, prompt = #qz.activations<a8>, sum_group = 32 : i64} : tensor<?x64xf32> -> <64>
  // CHECK: qz.matmul {{.*}} {buffer = 0 : i64
  %y = qz.matmul %e, [%w] residual %b {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  %x = llm.embedding %batch, %w : !qz.tensor<64x64, #q4> -> tensor<?x64xf32>
  %y = func.call @parallel(%x, %w) : (tensor<?x64xf32>, !qz.tensor<64x64, #q4>) -> tensor<?x64xf32>
  %a = qz.quantize %y {generate = #qz.activations<a16>, prompt = #qz.activations<a16>, sum_group = 32 : i64} : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %l : tensor<?x64xf32>
}

// -----

// Whoever attends may turn queries and append keys first: the rows of
// llm.rope_append stay where they are until attention is over.

llm.kv_state @kv : !llm.state<1, 16> {window = 0 : i64}

// CHECK-LABEL: func @step
func.func @step(%batch: !llm.batch, %qkv: !qz.tensor<96x48, #qz.encoding<f32>>, %o: !qz.tensor<96x16, #qz.encoding<f32>>) -> tensor<?x96xf32> {
  %s = llm.state @kv : !llm.state<1, 16>
  // CHECK: llm.embedding {{.*}} {buffer = 0 : i64, stride = 192 : i64}
  %x = llm.embedding %batch, %qkv : !qz.tensor<96x48, #qz.encoding<f32>> -> tensor<?x48xf32>
  %r = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  // CHECK: llm.rope_append {{.*}}buffer = 8192 : i64
  %h = llm.rope_append %x, %r, %batch, %s {eps = 1.0e-5 : f32, scale = 1.0 : f32} : tensor<?x48xf32>, tensor<?x2xf32>, !llm.state<1, 16> -> tensor<?x16xf32>
  // CHECK: llm.attend {{.*}}buffer = 10240 : i64
  %y = llm.attend %h, %batch, %s {window = 0 : i64, softcap = 0.0 : f32} : tensor<?x16xf32>, !llm.state<1, 16>
  // CHECK: qz.quantize {{.*}} {buffer = 12288 : i64,
  %a = qz.quantize %y {generate = #qz.activations<f32>, prompt = #qz.activations<f32>, sum_group = 32 : i64} : tensor<?x16xf32> -> !qz.activation<16>
  %l = qz.matmul %a, [%o] : !qz.activation<16>, [!qz.tensor<96x16, #qz.encoding<f32>>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}
