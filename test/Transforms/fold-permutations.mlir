// RUN: qcc-opt %s --split-input-file --qcc-fold-permutations | FileCheck %s

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// The weights of a gated unit are stored in the order that its reader wants.
// CHECK-DAG: qz.weight @gate : !qz.tensor<64x32, #q4> {row_order = @order}
// CHECK-DAG: qz.weight @up : !qz.tensor<64x32, #q4> {row_order = @order}
// CHECK-DAG: qz.weight @order : !qz.tensor<64, #f32>{{$}}
qz.weight @gate : !qz.tensor<64x32, #q4>
qz.weight @up : !qz.tensor<64x32, #q4>
qz.weight @order : !qz.tensor<64, #f32>
// CHECK-LABEL: func @unit
func.func @unit(%a: !qz.activation<32>) -> !qz.activation<64> {
  %g = qz.use @gate : !qz.tensor<64x32, #q4>
  %u = qz.use @up : !qz.tensor<64x32, #q4>
  %o = qz.use @order : !qz.tensor<64, #f32>
  // CHECK: %[[H:.*]] = qz.matmul
  // CHECK-NEXT: qz.quantize %[[H]] :
  %h = qz.matmul %a, [%g, %u] {epilogue = #qz.epilogue<glu_silu>} : <32>, [!qz.tensor<64x32, #q4>, !qz.tensor<64x32, #q4>] -> tensor<?x64xf32>
  %p = qz.permute %h by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %b = qz.quantize %p : tensor<?x64xf32> -> <64>
  return %b : !qz.activation<64>
}

// -----

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// So is the weight before an activation of its own.
// CHECK-DAG: qz.weight @up : !qz.tensor<64x32, #q4> {row_order = @order}
qz.weight @up : !qz.tensor<64x32, #q4>
qz.weight @order : !qz.tensor<64, #f32>
// CHECK-LABEL: func @activation
func.func @activation(%a: !qz.activation<32>) -> !qz.activation<64> {
  %u = qz.use @up : !qz.tensor<64x32, #q4>
  %o = qz.use @order : !qz.tensor<64, #f32>
  // CHECK: %[[H:.*]] = llm.activate
  // CHECK-NEXT: qz.quantize %[[H]] :
  %m = qz.matmul %a, [%u] : <32>, [!qz.tensor<64x32, #q4>] -> tensor<?x64xf32>
  %h = llm.activate %m {activation = #llm.activation<relu>} : tensor<?x64xf32>
  %p = qz.permute %h by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %b = qz.quantize %p : tensor<?x64xf32> -> <64>
  return %b : !qz.activation<64>
}

// -----

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// Not so a part of the rows that are activated, or rows that are read twice.
// CHECK: qz.weight @up : !qz.tensor<32x32, #q4>{{$}}
// CHECK: qz.weight @other : !qz.tensor<64x32, #q4>{{$}}
qz.weight @up : !qz.tensor<32x32, #q4>
qz.weight @other : !qz.tensor<64x32, #q4>
qz.weight @order : !qz.tensor<64, #f32>
// CHECK-LABEL: func @no_match_activation
func.func @no_match_activation(%a: !qz.activation<32>) -> (!qz.activation<64>, !qz.activation<64>, tensor<?x64xf32>) {
  // CHECK-COUNT-2: qz.quantize %{{.*}} order
  %u = qz.use @up : !qz.tensor<32x32, #q4>
  %v = qz.use @other : !qz.tensor<64x32, #q4>
  %o = qz.use @order : !qz.tensor<64, #f32>
  %m = qz.matmul %a, [%u, %u] : <32>, [!qz.tensor<32x32, #q4>, !qz.tensor<32x32, #q4>] -> tensor<?x64xf32>
  %h = llm.activate %m {activation = #llm.activation<relu>} : tensor<?x64xf32>
  %p = qz.permute %h by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %b = qz.quantize %p : tensor<?x64xf32> -> <64>
  %n = qz.matmul %a, [%v] : <32>, [!qz.tensor<64x32, #q4>] -> tensor<?x64xf32>
  %i = llm.activate %n {activation = #llm.activation<relu>} : tensor<?x64xf32>
  %q = qz.permute %i by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %c = qz.quantize %q : tensor<?x64xf32> -> <64>
  return %b, %c, %i : !qz.activation<64>, !qz.activation<64>, tensor<?x64xf32>
}

// -----

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// A weight that another matmul reads too keeps its order; so do the rows of a
// unit that are read twice. Quantize operations take them in the wanted order.
// CHECK: qz.weight @gate : !qz.tensor<64x32, #q4>{{$}}
qz.weight @gate : !qz.tensor<64x32, #q4>
qz.weight @up : !qz.tensor<64x32, #q4>
qz.weight @order : !qz.tensor<64, #f32>
// CHECK-LABEL: func @shared
func.func @shared(%a: !qz.activation<32>) -> (!qz.activation<64>, tensor<?x64xf32>) {
  %g = qz.use @gate : !qz.tensor<64x32, #q4>
  %u = qz.use @up : !qz.tensor<64x32, #q4>
  // CHECK: %[[O:.*]] = qz.use @order
  %o = qz.use @order : !qz.tensor<64, #f32>
  // CHECK: %[[H:.*]] = qz.matmul {{.*}}glu_silu
  %h = qz.matmul %a, [%g, %u] {epilogue = #qz.epilogue<glu_silu>} : <32>, [!qz.tensor<64x32, #q4>, !qz.tensor<64x32, #q4>] -> tensor<?x64xf32>
  %y = qz.matmul %a, [%g] : <32>, [!qz.tensor<64x32, #q4>] -> tensor<?x64xf32>
  %p = qz.permute %h by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  // CHECK: qz.quantize %[[H]] order %[[O]] : tensor<?x64xf32> by !qz.tensor<64, #f32> -> <64>
  %b = qz.quantize %p : tensor<?x64xf32> -> <64>
  return %b, %y : !qz.activation<64>, tensor<?x64xf32>
}

// -----

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// So are its biases.
// CHECK-DAG: qz.weight @gate : !qz.tensor<64x32, #q4> {row_order = @order}
// CHECK-DAG: qz.weight @up : !qz.tensor<64x32, #q4> {row_order = @order}
// CHECK-DAG: qz.weight @up_bias : !qz.tensor<64, #f32> {row_order = @order}
qz.weight @gate : !qz.tensor<64x32, #q4>
qz.weight @up : !qz.tensor<64x32, #q4>
qz.weight @up_bias : !qz.tensor<64, #f32>
qz.weight @order : !qz.tensor<64, #f32>
// CHECK-LABEL: func @biased
func.func @biased(%a: !qz.activation<32>) -> !qz.activation<64> {
  %g = qz.use @gate : !qz.tensor<64x32, #q4>
  %u = qz.use @up : !qz.tensor<64x32, #q4>
  %b = qz.use @up_bias : !qz.tensor<64, #f32>
  %o = qz.use @order : !qz.tensor<64, #f32>
  // CHECK: %[[H:.*]] = qz.matmul {{.*}} bias
  // CHECK-NEXT: qz.quantize %[[H]] :
  %h = qz.matmul %a, [%g, %u] bias[%b] {bias_of = array<i64: 1>, epilogue = #qz.epilogue<glu_silu>} : <32>, [!qz.tensor<64x32, #q4>, !qz.tensor<64x32, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x64xf32>
  %p = qz.permute %h by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %c = qz.quantize %p : tensor<?x64xf32> -> <64>
  return %c : !qz.activation<64>
}

// -----

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// A bias that another matmul adds too keeps its order, and so does the unit.
// CHECK: qz.weight @gate : !qz.tensor<64x32, #q4>{{$}}
// CHECK: qz.weight @bias : !qz.tensor<64, #f32>{{$}}
qz.weight @gate : !qz.tensor<64x32, #q4>
qz.weight @up : !qz.tensor<64x32, #q4>
qz.weight @other : !qz.tensor<64x32, #q4>
qz.weight @bias : !qz.tensor<64, #f32>
qz.weight @order : !qz.tensor<64, #f32>
// CHECK-LABEL: func @shared_bias
func.func @shared_bias(%a: !qz.activation<32>) -> (!qz.activation<64>, tensor<?x64xf32>) {
  %g = qz.use @gate : !qz.tensor<64x32, #q4>
  %u = qz.use @up : !qz.tensor<64x32, #q4>
  %w = qz.use @other : !qz.tensor<64x32, #q4>
  %b = qz.use @bias : !qz.tensor<64, #f32>
  // CHECK: %[[O:.*]] = qz.use @order
  %o = qz.use @order : !qz.tensor<64, #f32>
  // CHECK: %[[H:.*]] = qz.matmul {{.*}}glu_silu
  %h = qz.matmul %a, [%g, %u] bias[%b] {bias_of = array<i64: 0>, epilogue = #qz.epilogue<glu_silu>} : <32>, [!qz.tensor<64x32, #q4>, !qz.tensor<64x32, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x64xf32>
  %y = qz.matmul %a, [%w] bias[%b] {bias_of = array<i64: 0>} : <32>, [!qz.tensor<64x32, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x64xf32>
  %p = qz.permute %h by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  // CHECK: qz.quantize %[[H]] order %[[O]]
  %c = qz.quantize %p : tensor<?x64xf32> -> <64>
  return %c, %y : !qz.activation<64>, tensor<?x64xf32>
}

// -----

#f32 = #qz.encoding<f32>

// Of rows that are an argument; what somebody else reads is left.
// CHECK-LABEL: func @rows
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf32>, %[[O:.*]]: !qz.tensor<64
func.func @rows(%x: tensor<?x64xf32>, %o: !qz.tensor<64, #f32>) -> (!qz.activation<64>, tensor<?x64xf32>) {
  // CHECK-NEXT: %[[A:.*]] = qz.quantize %[[X]] order %[[O]]
  %p = qz.permute %x by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %a = qz.quantize %p : tensor<?x64xf32> -> <64>
  // CHECK-NEXT: %[[Q:.*]] = qz.permute %[[X]] by %[[O]]
  // CHECK-NEXT: return %[[A]], %[[Q]]
  %q = qz.permute %x by %o : tensor<?x64xf32>, !qz.tensor<64, #f32>
  return %a, %q : !qz.activation<64>, tensor<?x64xf32>
}
