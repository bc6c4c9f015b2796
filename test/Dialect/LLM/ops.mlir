// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --emit-bytecode | qcc-opt | FileCheck %s

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// CHECK: llm.kv_state @kv.0 : !llm.state<1, 32> {window = 512 : i64}
llm.kv_state @kv.0 : !llm.state<1, 32> {window = 512 : i64}

// The plain form.
// CHECK-LABEL: func @plain
func.func @plain(%batch: !llm.batch, %table: tensor<8x64xf32>, %n: tensor<64xf32>, %h: tensor<32xf32>, %w: tensor<64x64xf32>, %heads: tensor<4x16xf32>, %t: !llm.state<2, 32>) -> tensor<?x64xf32> {
  // CHECK: %[[S:.*]] = llm.state @kv.0 : <1, 32>
  %s = llm.state @kv.0 : !llm.state<1, 32>
  // CHECK: %[[X:.*]] = llm.embedding %[[B:.*]], %{{.*}} {scale = 8.000000e+00 : f32} : tensor<8x64xf32> -> tensor<?x64xf32>
  %x = llm.embedding %batch, %table {scale = 8.0 : f32} : tensor<8x64xf32> -> tensor<?x64xf32>
  // CHECK: llm.rms_norm %[[X]], %{{.*}} {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %0 = llm.rms_norm %x, %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: %[[Q:.*]] = llm.linear %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = llm.linear %0, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  // CHECK: llm.linear %{{.*}}, %{{.*}} bias %{{.*}} : tensor<?x64xf32>, tensor<64x64xf32> bias tensor<64xf32> -> tensor<?x64xf32>
  %b = llm.linear %0, %w bias %n : tensor<?x64xf32>, tensor<64x64xf32> bias tensor<64xf32> -> tensor<?x64xf32>
  // CHECK: %[[R:.*]] = llm.rope %[[Q]], %[[B]] {adjacent, factor = 1.500000e+00 : f32, frequencies = array<f32: 1.000000e+00, 5.000000e-01>, head_dim = 32 : i64} : tensor<?x64xf32>
  %2 = llm.rope %1, %batch {adjacent, factor = 1.5 : f32, frequencies = array<f32: 1.0, 0.5>, head_dim = 32 : i64} : tensor<?x64xf32>
  // CHECK: llm.attention %{{.*}}, %{{.*}}, %{{.*}}, %[[B]], %{{.*}} {scale = 2.500000e-01 : f32, softcap = 5.000000e+01 : f32, window = 512 : i64} : tensor<?x64xf32>, tensor<?x64xf32>, <2, 32>
  %3 = llm.attention %2, %1, %0, %batch, %t {scale = 0.25 : f32, softcap = 50.0 : f32, window = 512 : i64} : tensor<?x64xf32>, tensor<?x64xf32>, <2, 32>
  // CHECK: llm.add %{{.*}}, %{{.*}} : tensor<?x64xf32>
  %4 = llm.add %x, %3 : tensor<?x64xf32>
  // CHECK: llm.glu %{{.*}}, %{{.*}} {activation = #llm.activation<gelu_tanh>} : tensor<?x64xf32>
  %5 = llm.glu %4, %x {activation = #llm.activation<gelu_tanh>} : tensor<?x64xf32>
  // CHECK: llm.scale_logits %{{.*}} {scale = 2.500000e-01 : f32, softcap = 3.000000e+01 : f32} : tensor<?x64xf32>
  %6 = llm.scale_logits %5 {scale = 0.25 : f32, softcap = 30.0 : f32} : tensor<?x64xf32>
  // CHECK: llm.layer_norm %[[X]], %{{.*}} {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %10 = llm.layer_norm %x, %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: llm.layer_norm %[[X]], %{{.*}} bias %{{.*}} {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<64xf32> bias tensor<64xf32>
  %7 = llm.layer_norm %x, %n bias %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32> bias tensor<64xf32>
  // CHECK: llm.layer_norm %[[X]], %{{.*}} {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, tensor<4x16xf32>
  %11 = llm.layer_norm %x, %heads {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<4x16xf32>
  // CHECK: llm.activate %{{.*}} {activation = #llm.activation<gelu_erf>} : tensor<?x64xf32>
  %8 = llm.activate %7 {activation = #llm.activation<gelu_erf>} : tensor<?x64xf32>
  // CHECK: llm.embedding %[[B]], %{{.*}} positions %{{.*}} : tensor<8x64xf32> positions tensor<64x64xf32> -> tensor<?x64xf32>
  %9 = llm.embedding %batch, %table positions %w : tensor<8x64xf32> positions tensor<64x64xf32> -> tensor<?x64xf32>
  return %6 : tensor<?x64xf32>
}

// The fused form.
// CHECK-LABEL: func @fused
func.func @fused(%batch: !llm.batch, %table: !qz.tensor<8x64, #q4>, %n: !qz.tensor<64, #f32>, %h: !qz.tensor<32, #f32>, %hq: !qz.tensor<2x32, #f32>, %hk: !qz.tensor<1x32, #f32>, %qkv: tensor<?x128xf32>) -> tensor<?x64xf32> {
  %s = llm.state @kv.0 : !llm.state<1, 32>
  // CHECK: llm.embedding %{{.*}}, %{{.*}} : !qz.tensor<8x64, #q4> -> tensor<?x64xf32>
  %x = llm.embedding %batch, %table : !qz.tensor<8x64, #q4> -> tensor<?x64xf32>
  // CHECK: %[[R:.*]] = llm.rotations %{{.*}} {frequencies = array<f32: 1.000000e+00>} : tensor<?x2xf32>
  %r = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
  // CHECK: llm.rope_append %{{.*}}, %[[R]], %{{.*}}, %{{.*}} {adjacent, scale = 2.500000e-01 : f32} : tensor<?x128xf32>, tensor<?x2xf32>, <1, 32> -> tensor<?x64xf32>
  %0 = llm.rope_append %qkv, %r, %batch, %s {adjacent, scale = 0.25 : f32} : tensor<?x128xf32>, tensor<?x2xf32>, <1, 32> -> tensor<?x64xf32>
  // CHECK: llm.rope_append %{{.*}}, %[[R]], %{{.*}}, %{{.*}} query_norm %{{.*}} key_norm %{{.*}} {eps = 9.99999997E-7 : f32, scale = 2.500000e-01 : f32} : tensor<?x128xf32>, tensor<?x2xf32>, <1, 32>, !qz.tensor<32, #f32>, !qz.tensor<32, #f32> -> tensor<?x64xf32>
  %1 = llm.rope_append %qkv, %r, %batch, %s query_norm %h key_norm %h {eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x128xf32>, tensor<?x2xf32>, <1, 32>, !qz.tensor<32, #f32>, !qz.tensor<32, #f32> -> tensor<?x64xf32>
  // CHECK: llm.rope_append %{{.*}}, %[[R]], %{{.*}}, %{{.*}} query_norm %{{.*}} key_norm %{{.*}} {centered, eps = 9.99999997E-7 : f32, scale = 2.500000e-01 : f32}
  %5 = llm.rope_append %qkv, %r, %batch, %s query_norm %hq key_norm %hk {centered, eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x128xf32>, tensor<?x2xf32>, <1, 32>, !qz.tensor<2x32, #f32>, !qz.tensor<1x32, #f32> -> tensor<?x64xf32>
  // CHECK: llm.attend %{{.*}}, %{{.*}}, %{{.*}} {softcap = 2.000000e+00 : f32, window = 512 : i64} : tensor<?x64xf32>, <1, 32>
  %2 = llm.attend %1, %batch, %s {softcap = 2.0 : f32, window = 512 : i64} : tensor<?x64xf32>, <1, 32>
  // CHECK: llm.add_norm %{{.*}}, %{{.*}}, %{{.*}} {eps = 9.99999997E-7 : f32} : tensor<?x64xf32>, <64, #f32>
  %3 = llm.add_norm %x, %2, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32>
  // CHECK: llm.select_outputs %{{.*}}, %{{.*}} : tensor<?x64xf32>
  %4 = llm.select_outputs %3, %batch : tensor<?x64xf32>
  return %4 : tensor<?x64xf32>
}
