// RUN: qcc-opt %s --qcc-plan-schedule | FileCheck %s

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// CHECK-LABEL: func private @body.0
func.func private @body.0(%x: tensor<?x64xf32>, %r: tensor<?x32xf32>, %batch: !llm.batch, %s: !llm.state<2, 32>,
                          %n: !qz.tensor<64, #f32>, %w: !qz.tensor<40x64, #q4>, %v: !qz.tensor<8x64, #q4>,
                          %g: !qz.tensor<72x64, #q4>) -> tensor<?x64xf32> {
  // CHECK: qz.quantize {{.*}} {generate_replicated, units = "rows"}
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  // Each segment starts a panel: 3 + 1.
  // CHECK: qz.matmul {{.*}} {unit_count = 4 : i64, units = "panels"}
  %y = qz.matmul %a, [%w, %v] : <64>, [!qz.tensor<40x64, #q4>, !qz.tensor<8x64, #q4>] -> tensor<?x48xf32>
  // Gate and up panels go together: 5.
  // CHECK: qz.matmul {{.*}} {epilogue = #qz.epilogue<glu_silu>, unit_count = 5 : i64, units = "panels"}
  %h = qz.matmul %a, [%g, %g] {epilogue = #qz.epilogue<glu_silu>} : <64>, [!qz.tensor<72x64, #q4>, !qz.tensor<72x64, #q4>] -> tensor<?x72xf32>
  // 4 query heads, 2 key heads, 2 value heads.
  %qkv = qz.matmul %a, [%w, %w, %w, %w, %w, %w, %v, %v] : <64>, [!qz.tensor<40x64, #q4>, !qz.tensor<40x64, #q4>, !qz.tensor<40x64, #q4>, !qz.tensor<40x64, #q4>, !qz.tensor<40x64, #q4>, !qz.tensor<40x64, #q4>, !qz.tensor<8x64, #q4>, !qz.tensor<8x64, #q4>] -> tensor<?x256xf32>
  // CHECK: llm.rope_append {{.*}} {scale = 1.000000e+00 : f32, unit_count = 8 : i64, units = "row_heads"}
  %q = llm.rope_append %qkv, %r, %batch, %s {scale = 1.0 : f32} : tensor<?x256xf32>, tensor<?x32xf32>, <2, 32> -> tensor<?x128xf32>
  // CHECK: llm.attend {{.*}} {unit_count = 2 : i64, units = "row_kv_heads"}
  %o = llm.attend %q, %batch, %s : tensor<?x128xf32>, <2, 32>
  // CHECK: llm.add_norm {{.*}} {eps = {{.*}}, units = "rows"}
  %z = llm.add_norm %x, %x, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32>
  // CHECK: return %{{[^ ]*}} : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// CHECK-LABEL: func @step
func.func @step(%batch: !llm.batch, %t: !qz.tensor<96x64, #q4>) -> tensor<?x64xf32> {
  // CHECK: llm.embedding {{.*}} {units = "rows"}
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  // CHECK: llm.rotations {{.*}}, units = "rows"}
  %r = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  // CHECK: llm.select_outputs {{.*}} {units = "rows"}
  %s = llm.select_outputs %x, %batch : tensor<?x64xf32>
  return %s : tensor<?x64xf32>
}
