// RUN: qcc-opt %s --qcc-verify-fused | FileCheck %s

// The smallest module in the fused form passes unchanged.
// CHECK: func private @body.0
// CHECK: func @step
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch) -> tensor<?x96xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  %y = func.call @body.0(%x, %w) : (tensor<?x64xf32>, !qz.tensor<64x64, #q4>) -> tensor<?x64xf32>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}
