// RUN: qcc-opt %s --canonicalize --cse | FileCheck %s

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @w : !qz.tensor<64x64, #q4>

// Values without uses go away.
// CHECK-LABEL: func @unused
func.func @unused(%x: tensor<?x64xf32>) {
  // CHECK-NEXT: return
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  %f = qz.dequantize %w : !qz.tensor<64x64, #q4> -> tensor<64x64xf32>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return
}

// Equal operations become one; a weight is named once.
// CHECK-LABEL: func @equal
func.func @equal(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK-NEXT: %[[W:.*]] = qz.use @w
  // CHECK-NEXT: %[[A:.*]] = qz.quantize
  // CHECK-NEXT: %[[Y:.*]] = qz.matmul %[[A]], [%[[W]]]
  // CHECK-NEXT: return %[[Y]], %[[Y]]
  %w0 = qz.use @w : !qz.tensor<64x64, #q4>
  %w1 = qz.use @w : !qz.tensor<64x64, #q4>
  %a0 = qz.quantize %x : tensor<?x64xf32> -> <64>
  %a1 = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y0 = qz.matmul %a0, [%w0] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y1 = qz.matmul %a1, [%w1] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %y0, %y1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// Activations in another form are other activations.
// CHECK-LABEL: func @other_activations
func.func @other_activations(%x: tensor<?x64xf32>) -> (!qz.activation<64>, !qz.activation<64>) {
  // CHECK: qz.quantize
  // CHECK: qz.quantize
  %a0 = qz.quantize %x {generate = #qz.activations<a16>} : tensor<?x64xf32> -> <64>
  %a1 = qz.quantize %x {generate = #qz.activations<a8>} : tensor<?x64xf32> -> <64>
  return %a0, %a1 : !qz.activation<64>, !qz.activation<64>
}
