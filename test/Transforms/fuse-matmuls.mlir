// RUN: qcc-opt %s --qcc-fuse-matmuls | FileCheck %s

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f16 = #qz.encoding<f16>

qz.weight @w : !qz.tensor<96x64, #q4>
qz.weight @b : !qz.tensor<96, #f16>
qz.weight @table : !qz.tensor<128x64, #q4>

// CHECK-LABEL: func @linear
// CHECK-SAME:      %[[X:.*]]: tensor<?x64xf32>
func.func @linear(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  // CHECK:      %[[W:.*]] = qz.use @w
  // CHECK-NEXT: %[[A:.*]] = qz.quantize %[[X]] : tensor<?x64xf32> -> <64>
  // CHECK-NEXT: %[[Y:.*]] = qz.matmul %[[A]], [%[[W]]] : <64>
  // CHECK-NEXT: return %[[Y]]
  %w = qz.use @w : !qz.tensor<96x64, #q4>
  %f = qz.dequantize %w : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %y = llm.linear %x, %f : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: func @bias
func.func @bias(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  // CHECK:      %[[W:.*]] = qz.use @w
  // CHECK-NEXT: %[[B:.*]] = qz.use @b
  // CHECK-NEXT: %[[A:.*]] = qz.quantize
  // CHECK-NEXT: qz.matmul %[[A]], [%[[W]]] bias[%[[B]]] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<96x64, #{{.*}}>] bias[!qz.tensor<96, #{{.*}}>] -> tensor<?x96xf32>
  // CHECK-NEXT: return
  %w = qz.use @w : !qz.tensor<96x64, #q4>
  %b = qz.use @b : !qz.tensor<96, #f16>
  %f = qz.dequantize %w : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %g = qz.dequantize %b : !qz.tensor<96, #f16> -> tensor<96xf32>
  %y = llm.linear %x, %f bias %g : tensor<?x64xf32>, tensor<96x64xf32> bias tensor<96xf32> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// A dequantized weight may serve several users.
// CHECK-LABEL: func @embedding_and_head
func.func @embedding_and_head(%batch: !llm.batch) -> tensor<?x128xf32> {
  // CHECK:      %[[T:.*]] = qz.use @table
  // CHECK-NEXT: %[[X:.*]] = llm.embedding %{{.*}}, %[[T]] {scale = 2.000000e+00 : f32} : !qz.tensor<128x64
  // CHECK-NEXT: %[[A:.*]] = qz.quantize %[[X]]
  // CHECK-NEXT: qz.matmul %[[A]], [%[[T]]]
  // CHECK-NOT:  qz.dequantize
  %w = qz.use @table : !qz.tensor<128x64, #q4>
  %f = qz.dequantize %w : !qz.tensor<128x64, #q4> -> tensor<128x64xf32>
  %x = llm.embedding %batch, %f {scale = 2.0 : f32} : tensor<128x64xf32> -> tensor<?x64xf32>
  %y = llm.linear %x, %f : tensor<?x64xf32>, tensor<128x64xf32> -> tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// CHECK-LABEL: func @positions
func.func @positions(%batch: !llm.batch) -> tensor<?x64xf32> {
  // CHECK:      %[[T:.*]] = qz.use @table
  // CHECK-NEXT: %[[P:.*]] = qz.use @w
  // CHECK-NEXT: llm.embedding %{{.*}}, %[[T]] positions %[[P]] : !qz.tensor<128x64, #{{.*}}> positions !qz.tensor<96x64, #{{.*}}> -> tensor<?x64xf32>
  // CHECK-NOT:  qz.dequantize
  %t = qz.use @table : !qz.tensor<128x64, #q4>
  %p = qz.use @w : !qz.tensor<96x64, #q4>
  %f = qz.dequantize %t : !qz.tensor<128x64, #q4> -> tensor<128x64xf32>
  %g = qz.dequantize %p : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %x = llm.embedding %batch, %f positions %g : tensor<128x64xf32> positions tensor<96x64xf32> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_plain_positions
func.func @no_match_plain_positions(%batch: !llm.batch, %g: tensor<96x64xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.embedding {{.*}} : tensor<128x64xf32> positions tensor<96x64xf32>
  %t = qz.use @table : !qz.tensor<128x64, #q4>
  %f = qz.dequantize %t : !qz.tensor<128x64, #q4> -> tensor<128x64xf32>
  %x = llm.embedding %batch, %f positions %g : tensor<128x64xf32> positions tensor<96x64xf32> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_plain_weight
func.func @no_match_plain_weight(%x: tensor<?x64xf32>, %f: tensor<96x64xf32>) -> tensor<?x96xf32> {
  // CHECK: llm.linear
  %y = llm.linear %x, %f : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: func @no_match_plain_bias
func.func @no_match_plain_bias(%x: tensor<?x64xf32>, %b: tensor<96xf32>) -> tensor<?x96xf32> {
  // CHECK: llm.linear %{{.*}}, %{{.*}} bias %{{.*}} : tensor<?x64xf32>, tensor<96x64xf32> bias tensor<96xf32>
  %w = qz.use @w : !qz.tensor<96x64, #q4>
  %f = qz.dequantize %w : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %y = llm.linear %x, %f bias %b : tensor<?x64xf32>, tensor<96x64xf32> bias tensor<96xf32> -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// CHECK-LABEL: func @no_match_static_rows
func.func @no_match_static_rows(%x: tensor<4x64xf32>) -> tensor<4x96xf32> {
  // CHECK: llm.linear
  %w = qz.use @w : !qz.tensor<96x64, #q4>
  %f = qz.dequantize %w : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %y = llm.linear %x, %f : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
  return %y : tensor<4x96xf32>
}

// CHECK-LABEL: func @no_match_plain_table
func.func @no_match_plain_table(%batch: !llm.batch, %f: tensor<128x64xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.embedding %{{.*}}, %{{.*}} : tensor<128x64xf32>
  %x = llm.embedding %batch, %f : tensor<128x64xf32> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}
