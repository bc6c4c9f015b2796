// RUN: qcc-opt %s | qcc-opt | FileCheck %s
// RUN: qcc-opt %s --mlir-print-op-generic | qcc-opt | FileCheck %s

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// CHECK: qz.weight @w : !qz.tensor<8x96x64, #q4>
qz.weight @w : !qz.tensor<8x96x64, #q4>

// CHECK-LABEL: func @mixture
func.func @mixture(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>, %h: tensor<?x192xf32>, %r: tensor<?x4xf32>, %d: !qz.tensor<8x64x96, #q4>, %b: !qz.tensor<8x96, #f32>) -> tensor<?x128xf32> {
  // CHECK: %[[W:.*]] = qz.use @w : <8x96x64, #q4>
  %w = qz.use @w : !qz.tensor<8x96x64, #q4>
  // CHECK: qz.dequantize %[[W]] : <8x96x64, #q4> -> tensor<8x96x64xf32>
  %f = qz.dequantize %w : !qz.tensor<8x96x64, #q4> -> tensor<8x96x64xf32>
  // CHECK: %[[A:.*]] = qz.quantize %{{.*}} norm %{{.*}} experts %{{.*}} {eps = 9.99999974E-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> experts tensor<?x4xf32> -> <64, 2>
  %a = qz.quantize %x norm %n experts %r {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> experts tensor<?x4xf32> -> <64, 2>
  // CHECK: qz.matmul %[[A]], [%[[W]], %[[W]]] bias[%{{.*}}] experts %{{.*}} {bias_of = array<i64: 1>, epilogue = #qz.epilogue<glu_clamped_swiglu>} : <64, 2>, [!qz.tensor<8x96x64, #q4>, !qz.tensor<8x96x64, #q4>] bias[!qz.tensor<8x96, #f32>] experts tensor<?x4xf32> -> tensor<?x192xf32>
  %g = qz.matmul %a, [%w, %w] bias[%b] experts %r {bias_of = array<i64: 1>, epilogue = #qz.epilogue<glu_clamped_swiglu>} : <64, 2>, [!qz.tensor<8x96x64, #q4>, !qz.tensor<8x96x64, #q4>] bias[!qz.tensor<8x96, #f32>] experts tensor<?x4xf32> -> tensor<?x192xf32>
  // CHECK: %[[H:.*]] = qz.quantize %{{.*}} experts %{{.*}} : tensor<?x192xf32> experts tensor<?x4xf32> -> <96, 2>
  %i = qz.quantize %g experts %r : tensor<?x192xf32> experts tensor<?x4xf32> -> <96, 2>
  // CHECK: qz.matmul %[[H]], [%{{.*}}] experts %{{.*}} : <96, 2>, [!qz.tensor<8x64x96, #q4>] experts tensor<?x4xf32> -> tensor<?x128xf32>
  %y = qz.matmul %i, [%d] experts %r : <96, 2>, [!qz.tensor<8x64x96, #q4>] experts tensor<?x4xf32> -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}
