// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s

#f32 = #qz.encoding<f32>

// CHECK: qz.weight @turned : !qz.tensor<3x16x8, #f32> {rows = #qz.rows<"all", first = 0, run = 8, stride = 14, turned = true>}
qz.weight @turned : !qz.tensor<3x16x8, #f32> {rows = #qz.rows<"all", first = 0, run = 8, stride = 14, turned = true>}
// CHECK: llm.kv_state @kv : !llm.state<1, 24, 16>
llm.kv_state @kv : !llm.state<1, 24, 16>
// Values like keys are not said.
// CHECK: llm.kv_state @same : !llm.state<2, 64>
llm.kv_state @same : !llm.state<2, 64, 64>

// CHECK-LABEL: func @plain
func.func @plain(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>, %k: tensor<?x24xf32>, %v: tensor<?x16xf32>, %batch: !llm.batch) -> tensor<?x48xf32> {
  %s = llm.state @kv : !llm.state<1, 24, 16>
  // CHECK: llm.concat_heads %{{.*}}, %{{.*}} {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  %q = llm.concat_heads %a, %b {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  // Each of 3 heads gets a value of 16 elements.
  // CHECK: %[[Y:.*]] = llm.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {scale = 2.500000e-01 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  %y = llm.attention %q, %k, %v, %batch, %s {scale = 0.25 : f32} : tensor<?x72xf32>, tensor<?x24xf32>, <1, 24, 16>
  // CHECK: return %[[Y]] : tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}

// CHECK-LABEL: func @fused
func.func @fused(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>, %k: tensor<?x24xf32>, %r: tensor<?x8xf32>, %batch: !llm.batch, %s: !llm.state<1, 24, 16>, %n: !qz.tensor<16, #f32>) -> tensor<?x48xf32> {
  // CHECK: llm.latent_append %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} norm %{{.*}} {adjacent, eps = 9.99999997E-7 : f32, scale = 2.500000e-01 : f32} : tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x24xf32>, tensor<?x8xf32>, <1, 24, 16>, <16, #f32> -> tensor<?x72xf32>
  %q = llm.latent_append %a, %b, %k, %r, %batch, %s norm %n {adjacent, eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x24xf32>, tensor<?x8xf32>, <1, 24, 16>, !qz.tensor<16, #f32> -> tensor<?x72xf32>
  // CHECK: %[[Y:.*]] = llm.attend %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x72xf32>, <1, 24, 16>
  %y = llm.attend %q, %batch, %s : tensor<?x72xf32>, <1, 24, 16>
  // CHECK: return %[[Y]] : tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}
