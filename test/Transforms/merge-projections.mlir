// RUN: qcc-opt %s --qcc-merge-projections | FileCheck %s

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#q8 = #qz.encoding<bits = 8, zero = 128, group = 32, scale = f16>

// Segments keep their encodings and stand in the order query, key, value.
// CHECK-LABEL: func @attention
// CHECK-SAME:  %[[A:.*]]: !qz.activation<64>, %[[BATCH:.*]]: !llm.batch, %[[S:.*]]: !llm.state<1, 32>, %[[Q:.*]]: !qz.tensor<64x64, {{.*}}>, %[[K:.*]]: !qz.tensor<32x64, {{.*}}>, %[[V:.*]]: !qz.tensor<32x64, {{.*}}>)
func.func @attention(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[P:.*]] = qz.matmul %[[A]], [%[[Q]], %[[K]], %[[V]]] : <64>, [!qz.tensor<64x64, #[[Q4:.*]]>, !qz.tensor<32x64, #[[Q4]]>, !qz.tensor<32x64, #{{.*}}>] -> tensor<?x128xf32>
  // CHECK-NEXT: %[[R:.*]] = llm.rotations %[[BATCH]] {frequencies = array<f32: 1.000000e+00, 5.000000e-01>} : tensor<?x4xf32>
  // CHECK-NEXT: %[[H:.*]] = llm.rope_append %[[P]], %[[R]], %[[BATCH]], %[[S]] {scale = 2.500000e-01 : f32} : tensor<?x128xf32>, tensor<?x4xf32>, <1, 32> -> tensor<?x64xf32>
  // CHECK-NEXT: %[[Y:.*]] = llm.attend %[[H]], %[[BATCH]], %[[S]] {window = 128 : i64}
  // CHECK-NEXT: return %[[Y]]
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @adjacent_and_factor
func.func @adjacent_and_factor(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK: llm.rotations %{{.*}} {factor = 1.500000e+00 : f32, frequencies
  // CHECK: llm.rope_append {{.*}} {adjacent, scale
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {adjacent, factor = 1.5 : f32, head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {adjacent, factor = 1.5 : f32, head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @head_norms
// CHECK-SAME: %[[NQ:[^ ]*]]: !qz.tensor<32, {{[^,]*}}>, %[[NK:[^ ]*]]: !qz.tensor<32, {{[^,]*}}>) ->
func.func @head_norms(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<32, #f32>, %wnk: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.rope_append {{.*}} query_norm %[[NQ]] key_norm %[[NK]] {eps = 9.99999997E-7 : f32, scale = 2.500000e-01 : f32}
  // CHECK-NOT: llm.rms_norm
  %nq = qz.dequantize %wnq : !qz.tensor<32, #f32> -> tensor<32xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.rms_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %kn = llm.rms_norm %k, %nk {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %kn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// Biases go with their segments.
// CHECK-LABEL: func @biases
// CHECK-SAME: %[[BQ:[^ ]*]]: !qz.tensor<64, {{[^,]*}}>, %[[BK:[^ ]*]]: !qz.tensor<32, {{[^,]*}}>, %[[BV:[^ ]*]]: !qz.tensor<32, {{[^,]*}}>) ->
func.func @biases(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %bq: !qz.tensor<64, #f32>, %bk: !qz.tensor<32, #f32>, %bv: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: qz.matmul %{{.*}}, [%{{.*}}, %{{.*}}, %{{.*}}] bias[%[[BQ]], %[[BK]], %[[BV]]] {bias_of = array<i64: 0, 1, 2>}
  // CHECK-NOT: qz.matmul
  %q = qz.matmul %a, [%wq] bias[%bq] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<64x64, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] bias[%bk] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<32x64, #q4>] bias[!qz.tensor<32, #f32>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] bias[%bv] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<32x64, #q8>] bias[!qz.tensor<32, #f32>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// A segment without a bias needs none.
// CHECK-LABEL: func @biases_of_some
// CHECK-SAME: %[[BQ:[^ ]*]]: !qz.tensor<64, {{[^,]*}}>, %[[BV:[^ ]*]]: !qz.tensor<32, {{[^,]*}}>) ->
func.func @biases_of_some(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %bq: !qz.tensor<64, #f32>, %bv: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: qz.matmul %{{.*}}, [%{{.*}}, %{{.*}}, %{{.*}}] bias[%[[BQ]], %[[BV]]] {bias_of = array<i64: 0, 2>}
  // CHECK-NOT: qz.matmul
  %q = qz.matmul %a, [%wq] bias[%bq] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<64x64, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] bias[%bv] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<32x64, #q8>] bias[!qz.tensor<32, #f32>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @glu_bias_of_up
func.func @glu_bias_of_up(%a: !qz.activation<64>, %wg: !qz.tensor<128x64, #q4>, %wu: !qz.tensor<128x64, #q8>,
                          %b: !qz.tensor<128, #f32>) -> tensor<?x128xf32> {
  // CHECK-NEXT: qz.matmul %{{.*}}, [%{{.*}}, %{{.*}}] bias[%{{.*}}] {bias_of = array<i64: 1>, epilogue = #qz.epilogue<glu_silu>}
  // CHECK-NEXT: return
  %g = qz.matmul %a, [%wg] : <64>, [!qz.tensor<128x64, #q4>] -> tensor<?x128xf32>
  %u = qz.matmul %a, [%wu] bias[%b] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<128x64, #q8>] bias[!qz.tensor<128, #f32>] -> tensor<?x128xf32>
  %y = llm.glu %g, %u {activation = #llm.activation<silu>} : tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// Two quantize operations of the same rows are the same activations.
// CHECK-LABEL: func @equal_quantize_operations
func.func @equal_quantize_operations(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: qz.matmul %{{.*}}, [%{{.*}}, %{{.*}}, %{{.*}}]
  %b = qz.quantize %x : tensor<?x64xf32> -> <64>
  %c = qz.quantize %x : tensor<?x64xf32> -> <64>
  %d = qz.quantize %x : tensor<?x64xf32> -> <64>
  %q = qz.matmul %d, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %b, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %c, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// Without rope one pair turns by nothing.
// CHECK-LABEL: func @without_rope
func.func @without_rope(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK: %[[R:.*]] = llm.rotations %{{.*}} {frequencies = array<f32: 0.000000e+00>} : tensor<?x2xf32>
  // CHECK-NEXT: llm.rope_append %{{.*}}, %[[R]], %{{.*}} {scale = 2.500000e-01 : f32}
  // CHECK-NEXT: llm.attend
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %y = llm.attention %q, %k, %v, %batch, %s {scale = 0.25 : f32} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// A norm may be of all heads together.
// CHECK-LABEL: func @norm_of_row
func.func @norm_of_row(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<64, #f32>, %wnk: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.rope_append {{.*}} query_norm %{{.*}} key_norm %{{.*}} {{.*}}!qz.tensor<64, #{{.*}}>, !qz.tensor<32, #{{.*}}> -> tensor<?x64xf32>
  %nq = qz.dequantize %wnq : !qz.tensor<64, #f32> -> tensor<64xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.rms_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %kn = llm.rms_norm %k, %nk {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %kn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

//===----------------------------------------------------------------------===//
// What is left alone
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @no_match_only_key_rotated
func.func @no_match_only_key_rotated(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %q, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_rotated_differently
func.func @no_match_rotated_differently(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.25>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_other_pairs
func.func @no_match_other_pairs(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {adjacent, head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_other_factor
func.func @no_match_other_factor(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {factor = 2.0 : f32, head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_other_head_size
func.func @no_match_other_head_size(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 16 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_other_batch
func.func @no_match_other_batch(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %other: !llm.batch) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %other {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// Heads may be normed by mean and variance, each with its own weight.
// CHECK-LABEL: func @centered_heads
func.func @centered_heads(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<2x32, #f32>, %wnk: !qz.tensor<1x32, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.rope_append %{{.*}} query_norm %{{.*}} key_norm %{{.*}} {centered, eps = 9.99999997E-7 : f32,
  // CHECK-NEXT: llm.attend
  %nq = qz.dequantize %wnq : !qz.tensor<2x32, #f32> -> tensor<2x32xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<1x32, #f32> -> tensor<1x32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.layer_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<2x32xf32>
  %kn = llm.layer_norm %k, %nk {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<1x32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %kn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_other_kind_of_norm
func.func @no_match_other_kind_of_norm(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<2x32, #f32>, %wnk: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %nq = qz.dequantize %wnq : !qz.tensor<2x32, #f32> -> tensor<2x32xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.layer_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<2x32xf32>
  %kn = llm.rms_norm %k, %nk {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %y = llm.attention %qn, %kn, %v, %batch, %s {scale = 0.25 : f32} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_centered_with_bias
func.func @no_match_centered_with_bias(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<32x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wn: !qz.tensor<1x32, #f32>) -> tensor<?x32xf32> {
  // CHECK: llm.attention
  %n = qz.dequantize %wn : !qz.tensor<1x32, #f32> -> tensor<1x32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.layer_norm %q, %n {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<1x32xf32>
  %kn = llm.layer_norm %k, %n bias %n {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<1x32xf32> bias tensor<1x32xf32>
  %y = llm.attention %qn, %kn, %v, %batch, %s {scale = 0.25 : f32} : tensor<?x32xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x32xf32>
}

// CHECK-LABEL: func @no_match_centered_row
func.func @no_match_centered_row(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<2, 16>,
    %wq: !qz.tensor<32x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wn: !qz.tensor<32, #f32>) -> tensor<?x32xf32> {
  // CHECK: llm.attention
  %n = qz.dequantize %wn : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.layer_norm %q, %n {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %kn = llm.layer_norm %k, %n {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %y = llm.attention %qn, %kn, %v, %batch, %s {scale = 0.25 : f32} : tensor<?x32xf32>, tensor<?x32xf32>, <2, 16>
  return %y : tensor<?x32xf32>
}

// CHECK-LABEL: func @no_match_one_norm
func.func @no_match_one_norm(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<32, #f32>, %wnk: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %nq = qz.dequantize %wnq : !qz.tensor<32, #f32> -> tensor<32xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.rms_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_other_eps
func.func @no_match_other_eps(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<32, #f32>, %wnk: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %nq = qz.dequantize %wnq : !qz.tensor<32, #f32> -> tensor<32xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.rms_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %kn = llm.rms_norm %k, %nk {eps = 1.0e-5 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %kn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_plain_norm_weight
func.func @no_match_plain_norm_weight(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %nq: tensor<32xf32>, %nk: tensor<32xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.rms_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %kn = llm.rms_norm %k, %nk {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %kn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_norm_of_part
func.func @no_match_norm_of_part(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<16, #f32>, %wnk: !qz.tensor<32, #f32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %nq = qz.dequantize %wnq : !qz.tensor<16, #f32> -> tensor<16xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.rms_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<16xf32>
  %kn = llm.rms_norm %k, %nk {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %kn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_other_rows
func.func @no_match_other_rows(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %b: !qz.activation<64>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %b, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_projection_used_twice
func.func @no_match_projection_used_twice(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y, %v : tensor<?x64xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @no_match_rope_used_twice
func.func @no_match_rope_used_twice(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y, %kr : tensor<?x64xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @no_match_norm_used_twice
func.func @no_match_norm_used_twice(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %wnq: !qz.tensor<32, #f32>, %wnk: !qz.tensor<32, #f32>) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  // CHECK: llm.attention
  %nq = qz.dequantize %wnq : !qz.tensor<32, #f32> -> tensor<32xf32>
  %nk = qz.dequantize %wnk : !qz.tensor<32, #f32> -> tensor<32xf32>
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] : <64>, [!qz.tensor<32x64, #q8>] -> tensor<?x32xf32>
  %qn = llm.rms_norm %q, %nq {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %kn = llm.rms_norm %k, %nk {eps = 1.0e-6 : f32} : tensor<?x32xf32>, tensor<32xf32>
  %qr = llm.rope %qn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %kn, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y, %kn : tensor<?x64xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func @no_match_not_a_matmul
func.func @no_match_not_a_matmul(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %v: tensor<?x32xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_several_weights
func.func @no_match_several_weights(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %w0: !qz.tensor<16x64, #q4>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%w0, %w0] : <64>, [!qz.tensor<16x64, #q4>, !qz.tensor<16x64, #q4>] -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_epilogue
func.func @no_match_epilogue(
    %a: !qz.activation<64>, %batch: !llm.batch, %s: !llm.state<1, 32>,
    %wq: !qz.tensor<64x64, #q4>, %wk: !qz.tensor<32x64, #q4>, %wv: !qz.tensor<32x64, #q8>, %r: tensor<?x32xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.attention
  %q = qz.matmul %a, [%wq] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %k = qz.matmul %a, [%wk] : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  %v = qz.matmul %a, [%wv] residual %r {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<32x64, #q8>], tensor<?x32xf32> -> tensor<?x32xf32>
  %qr = llm.rope %q, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  %kr = llm.rope %k, %batch {head_dim = 32 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x32xf32>
  %y = llm.attention %qr, %kr, %v, %batch, %s {scale = 0.25 : f32, window = 128 : i64} : tensor<?x64xf32>, tensor<?x32xf32>, <1, 32>
  return %y : tensor<?x64xf32>
}

//===----------------------------------------------------------------------===//
// Gated units
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @glu_silu
func.func @glu_silu(%a: !qz.activation<64>, %b: !qz.activation<64>,
    %wg: !qz.tensor<128x64, #q4>, %wu: !qz.tensor<128x64, #q8>) -> tensor<?x128xf32> {
  // CHECK-NEXT: %[[Y:.*]] = qz.matmul %{{.*}}, [%{{.*}}, %{{.*}}] {epilogue = #qz.epilogue<glu_silu>} : <64>, [!qz.tensor<128x64, #[[Q4:.*]]>, !qz.tensor<128x64, #{{.*}}>] -> tensor<?x128xf32>
  // CHECK-NEXT: return %[[Y]]
  %g = qz.matmul %a, [%wg] : <64>, [!qz.tensor<128x64, #q4>] -> tensor<?x128xf32>
  %u = qz.matmul %a, [%wu] : <64>, [!qz.tensor<128x64, #q8>] -> tensor<?x128xf32>
  %y = llm.glu %g, %u {activation = #llm.activation<silu>} : tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// CHECK-LABEL: func @glu_gelu_tanh
func.func @glu_gelu_tanh(%a: !qz.activation<64>, %b: !qz.activation<64>,
    %wg: !qz.tensor<128x64, #q4>, %wu: !qz.tensor<128x64, #q8>) -> tensor<?x128xf32> {
  // CHECK: {epilogue = #qz.epilogue<glu_gelu_tanh>}
  %g = qz.matmul %a, [%wg] : <64>, [!qz.tensor<128x64, #q4>] -> tensor<?x128xf32>
  %u = qz.matmul %a, [%wu] : <64>, [!qz.tensor<128x64, #q8>] -> tensor<?x128xf32>
  %y = llm.glu %g, %u {activation = #llm.activation<gelu_tanh>} : tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// CHECK-LABEL: func @no_match_glu_other_rows
func.func @no_match_glu_other_rows(%a: !qz.activation<64>, %b: !qz.activation<64>,
    %wg: !qz.tensor<128x64, #q4>, %wu: !qz.tensor<128x64, #q8>) -> tensor<?x128xf32> {
  // CHECK: llm.glu
  %g = qz.matmul %a, [%wg] : <64>, [!qz.tensor<128x64, #q4>] -> tensor<?x128xf32>
  %u = qz.matmul %b, [%wu] : <64>, [!qz.tensor<128x64, #q8>] -> tensor<?x128xf32>
  %y = llm.glu %g, %u {activation = #llm.activation<silu>} : tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}

// CHECK-LABEL: func @no_match_glu_projection_used_twice
func.func @no_match_glu_projection_used_twice(%a: !qz.activation<64>, %b: !qz.activation<64>,
    %wg: !qz.tensor<128x64, #q4>, %wu: !qz.tensor<128x64, #q8>) -> (tensor<?x128xf32>, tensor<?x128xf32>) {
  // CHECK: llm.glu
  %g = qz.matmul %a, [%wg] : <64>, [!qz.tensor<128x64, #q4>] -> tensor<?x128xf32>
  %u = qz.matmul %a, [%wu] : <64>, [!qz.tensor<128x64, #q8>] -> tensor<?x128xf32>
  %y = llm.glu %g, %u {activation = #llm.activation<silu>} : tensor<?x128xf32>
  return %y, %u : tensor<?x128xf32>, tensor<?x128xf32>
}

// CHECK-LABEL: func @no_match_glu_not_a_matmul
func.func @no_match_glu_not_a_matmul(%g: tensor<?x128xf32>, %u: tensor<?x128xf32>) -> tensor<?x128xf32> {
  // CHECK: llm.glu
  %y = llm.glu %g, %u {activation = #llm.activation<silu>} : tensor<?x128xf32>
  return %y : tensor<?x128xf32>
}
