// RUN: qcc-opt %s --qcc-fuse-epilogues | FileCheck %s

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>

// CHECK-LABEL: func @residual
// CHECK-SAME:      %[[X:.*]]: tensor<?x64xf32>, %[[A:.*]]: !qz.activation<64>, %[[W:.*]]: !qz.tensor
func.func @residual(%x: tensor<?x64xf32>, %a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[Y:.*]] = qz.matmul %[[A]], [%[[W]]] residual %[[X]] {epilogue = #qz.epilogue<residual>}
  // CHECK-NEXT: return %[[Y]]
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y = llm.add %x, %p : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @residual_on_the_right
// CHECK-SAME:      %[[X:.*]]: tensor<?x64xf32>, %
func.func @residual_on_the_right(%x: tensor<?x64xf32>, %a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // CHECK-NEXT: qz.matmul {{.*}} residual %[[X]]
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y = llm.add %p, %x : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A bias stays with its matmul.
// CHECK-LABEL: func @residual_and_bias
func.func @residual_and_bias(%x: tensor<?x64xf32>, %a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>, %b: !qz.tensor<64, #f32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: qz.matmul %{{.*}}, [%{{.*}}] bias[%{{.*}}] residual %{{.*}} {bias_of = array<i64: 0>, epilogue = #qz.epilogue<residual>}
  // CHECK-NEXT: return
  %p = qz.matmul %a, [%w] bias[%b] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<64x64, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x64xf32>
  %y = llm.add %x, %p : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// The residual may be made after the product: the fused matmul stands where the
// sum stood.
// CHECK-LABEL: func @late_residual
func.func @late_residual(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>,
                         %n: !qz.tensor<64, #f32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[R:.*]] = llm.add_norm
  // CHECK-NEXT: qz.matmul {{.*}} residual %[[R]]
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %r = llm.add_norm %x, %y, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %z = llm.add %r, %p : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// CHECK-LABEL: func @norm
// CHECK-SAME:      %[[X:.*]]: tensor<?x64xf32>, %[[N:.*]]: !qz.tensor<64,
func.func @norm(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) -> !qz.activation<64> {
  // CHECK-NEXT: %[[A:.*]] = qz.quantize %[[X]] norm %[[N]] {eps = 9.99999997E-7 : f32}
  // CHECK-NEXT: return %[[A]]
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.rms_norm %x, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %a = qz.quantize %h : tensor<?x64xf32> -> <64>
  return %a : !qz.activation<64>
}

// CHECK-LABEL: func @add_norm
// CHECK-SAME:      %[[X:.*]]: tensor<?x64xf32>, %[[Y:.*]]: tensor<?x64xf32>, %[[N:.*]]: !qz.tensor
func.func @add_norm(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[Z:.*]] = llm.add_norm %[[X]], %[[Y]], %[[N]] {eps = 9.99999997E-7 : f32}
  // CHECK-NEXT: return %[[Z]]
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.rms_norm %y, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %z = llm.add %x, %h : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// CHECK-LABEL: func @logits
// CHECK-SAME:      %[[A:.*]]: !qz.activation<64>, %[[W:.*]]: !qz.tensor<80x64, #{{.*}}>, %[[B:.*]]: !qz.tensor<80,
func.func @logits(%a: !qz.activation<64>, %w: !qz.tensor<80x64, #q4>, %b: !qz.tensor<80, #f32>) -> tensor<?x80xf32> {
  // CHECK-NEXT: %[[Y:.*]] = qz.matmul %[[A]], [%[[W]]] bias[%[[B]]] {bias_of = array<i64: 0>, epilogue = #qz.epilogue<logits>, scale = 2.500000e-01 : f32, softcap = 3.000000e+01 : f32}
  // CHECK-NEXT: return %[[Y]]
  %p = qz.matmul %a, [%w] bias[%b] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<80x64, #q4>] bias[!qz.tensor<80, #f32>] -> tensor<?x80xf32>
  %y = llm.scale_logits %p {scale = 0.25 : f32, softcap = 30.0 : f32} : tensor<?x80xf32>
  return %y : tensor<?x80xf32>
}

// CHECK-LABEL: func @layer_norm
// CHECK-SAME:      %[[X:.*]]: tensor<?x64xf32>, %[[N:.*]]: !qz.tensor<64, #{{.*}}>, %[[B:.*]]: !qz.tensor<64,
func.func @layer_norm(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>, %b: !qz.tensor<64, #f32>) -> !qz.activation<64> {
  // CHECK-NEXT: %[[A:.*]] = qz.quantize %[[X]] norm %[[N]] bias %[[B]] {centered, eps = 9.99999997E-7 : f32}
  // CHECK-NEXT: return %[[A]]
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %g = qz.dequantize %b : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.layer_norm %x, %f bias %g {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32> bias tensor<64xf32>
  %a = qz.quantize %h : tensor<?x64xf32> -> <64>
  return %a : !qz.activation<64>
}

// CHECK-LABEL: func @layer_norm_without_bias
// CHECK-SAME:      %[[X:.*]]: tensor<?x64xf32>, %[[N:.*]]: !qz.tensor<64,
func.func @layer_norm_without_bias(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) -> !qz.activation<64> {
  // CHECK-NEXT: qz.quantize %[[X]] norm %[[N]] {centered, eps = 9.99999997E-7 : f32}
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.layer_norm %x, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %a = qz.quantize %h : tensor<?x64xf32> -> <64>
  return %a : !qz.activation<64>
}

// An activation comes after the bias.
// CHECK-LABEL: func @activation
func.func @activation(%a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>, %b: !qz.tensor<64, #f32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[Y:.*]] = qz.matmul %{{.*}}, [%{{.*}}] bias[%{{.*}}] {bias_of = array<i64: 0>, epilogue = #qz.epilogue<gelu_tanh>}
  // CHECK-NEXT: return %[[Y]]
  %p = qz.matmul %a, [%w] bias[%b] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<64x64, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x64xf32>
  %y = llm.activate %p {activation = #llm.activation<gelu_tanh>} : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @every_activation
func.func @every_activation(%a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK-NEXT: qz.matmul {{.*}} {epilogue = #qz.epilogue<silu>}
  // CHECK-NEXT: qz.matmul {{.*}} {epilogue = #qz.epilogue<gelu_erf>}
  // CHECK-NEXT: qz.matmul {{.*}} {epilogue = #qz.epilogue<relu>}
  %p0 = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y0 = llm.activate %p0 {activation = #llm.activation<silu>} : tensor<?x64xf32>
  %p1 = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y1 = llm.activate %p1 {activation = #llm.activation<gelu_erf>} : tensor<?x64xf32>
  %p2 = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y2 = llm.activate %p2 {activation = #llm.activation<relu>} : tensor<?x64xf32>
  return %y0, %y1, %y2 : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}

//===----------------------------------------------------------------------===//
// What is left alone
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @no_match_product_used_twice
func.func @no_match_product_used_twice(%x: tensor<?x64xf32>, %a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: llm.add
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y = llm.add %x, %p : tensor<?x64xf32>
  return %y, %p : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_sum_with_itself
func.func @no_match_sum_with_itself(%a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // CHECK: llm.add
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y = llm.add %p, %p : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_has_epilogue
func.func @no_match_has_epilogue(%x: tensor<?x64xf32>, %a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // CHECK: llm.add
  %p = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  %y = llm.add %x, %p : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_plain_sum
func.func @no_match_plain_sum(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.add
  %z = llm.add %x, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_norm_of_heads
func.func @no_match_norm_of_heads(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %n: !qz.tensor<32, #f32>) -> (tensor<?x64xf32>, !qz.activation<64>) {
  // CHECK: llm.add
  // CHECK: qz.quantize %{{[^ ]*}} : tensor<?x64xf32>
  %f = qz.dequantize %n : !qz.tensor<32, #f32> -> tensor<32xf32>
  %h = llm.rms_norm %y, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %z = llm.add %x, %h : tensor<?x64xf32>
  %g = llm.rms_norm %x, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %a = qz.quantize %g : tensor<?x64xf32> -> <64>
  return %z, %a : tensor<?x64xf32>, !qz.activation<64>
}

// CHECK-LABEL: func @no_match_plain_norm_weight
func.func @no_match_plain_norm_weight(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %f: tensor<64xf32>) -> (tensor<?x64xf32>, !qz.activation<64>) {
  // CHECK: llm.add
  // CHECK: qz.quantize %{{[^ ]*}} : tensor<?x64xf32>
  %h = llm.rms_norm %y, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %z = llm.add %x, %h : tensor<?x64xf32>
  %g = llm.rms_norm %x, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %a = qz.quantize %g : tensor<?x64xf32> -> <64>
  return %z, %a : tensor<?x64xf32>, !qz.activation<64>
}

// CHECK-LABEL: func @no_match_norm_used_twice
func.func @no_match_norm_used_twice(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: llm.add
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.rms_norm %y, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %z = llm.add %x, %h : tensor<?x64xf32>
  return %z, %h : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func @no_match_normed_already
func.func @no_match_normed_already(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) -> !qz.activation<64> {
  // CHECK: %[[H:.*]] = llm.rms_norm
  // CHECK: qz.quantize %[[H]] norm
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.rms_norm %x, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %a = qz.quantize %h norm %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> -> <64>
  return %a : !qz.activation<64>
}

// CHECK-LABEL: func @no_match_logits_of_rows
func.func @no_match_logits_of_rows(%x: tensor<?x80xf32>) -> tensor<?x80xf32> {
  // CHECK: llm.scale_logits
  %y = llm.scale_logits %x {scale = 0.25 : f32} : tensor<?x80xf32>
  return %y : tensor<?x80xf32>
}

// CHECK-LABEL: func @no_match_logits_used_twice
func.func @no_match_logits_used_twice(%a: !qz.activation<64>, %w: !qz.tensor<80x64, #q4>) -> (tensor<?x80xf32>, tensor<?x80xf32>) {
  // CHECK: llm.scale_logits
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<80x64, #q4>] -> tensor<?x80xf32>
  %y = llm.scale_logits %p {scale = 0.25 : f32} : tensor<?x80xf32>
  return %p, %y : tensor<?x80xf32>, tensor<?x80xf32>
}

// CHECK-LABEL: func @no_match_logits_after_epilogue
func.func @no_match_logits_after_epilogue(%x: tensor<?x80xf32>, %a: !qz.activation<64>, %w: !qz.tensor<80x64, #q4>) -> tensor<?x80xf32> {
  // CHECK: llm.scale_logits
  %p = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<80x64, #q4>], tensor<?x80xf32> -> tensor<?x80xf32>
  %y = llm.scale_logits %p {scale = 0.25 : f32} : tensor<?x80xf32>
  return %y : tensor<?x80xf32>
}

// CHECK-LABEL: func @no_match_plain_layer_norm
func.func @no_match_plain_layer_norm(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>, %g: tensor<64xf32>) -> (!qz.activation<64>, !qz.activation<64>) {
  // CHECK: %[[G:.*]] = llm.layer_norm
  // CHECK: qz.quantize %[[G]] : tensor<?x64xf32>
  // CHECK: %[[H:.*]] = llm.layer_norm
  // CHECK: qz.quantize %[[H]] : tensor<?x64xf32>
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.layer_norm %x, %g {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %a = qz.quantize %h : tensor<?x64xf32> -> <64>
  %i = llm.layer_norm %x, %f bias %g {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32> bias tensor<64xf32>
  %b = qz.quantize %i : tensor<?x64xf32> -> <64>
  return %a, %b : !qz.activation<64>, !qz.activation<64>
}

// CHECK-LABEL: func @no_match_layer_norm_of_heads
func.func @no_match_layer_norm_of_heads(%x: tensor<?x64xf32>, %n: !qz.tensor<1x64, #f32>) -> !qz.activation<64> {
  // CHECK: llm.layer_norm
  // CHECK: qz.quantize %{{.*}} : tensor<?x64xf32>
  %f = qz.dequantize %n : !qz.tensor<1x64, #f32> -> tensor<1x64xf32>
  %h = llm.layer_norm %x, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<1x64xf32>
  %a = qz.quantize %h : tensor<?x64xf32> -> <64>
  return %a : !qz.activation<64>
}

// CHECK-LABEL: func @no_match_layer_normed_already
func.func @no_match_layer_normed_already(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) -> !qz.activation<64> {
  // CHECK: %[[H:.*]] = llm.layer_norm
  // CHECK: qz.quantize %[[H]] norm
  %f = qz.dequantize %n : !qz.tensor<64, #f32> -> tensor<64xf32>
  %h = llm.layer_norm %x, %f {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %a = qz.quantize %h norm %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> -> <64>
  return %a : !qz.activation<64>
}

// CHECK-LABEL: func @no_match_activation
func.func @no_match_activation(%x: tensor<?x64xf32>, %a: !qz.activation<64>, %w: !qz.tensor<64x64, #q4>) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  // Of no product, of one with other uses, and of one with an epilogue.
  // CHECK-COUNT-3: llm.activate
  %y0 = llm.activate %x {activation = #llm.activation<relu>} : tensor<?x64xf32>
  %p = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y1 = llm.activate %p {activation = #llm.activation<relu>} : tensor<?x64xf32>
  %q = qz.matmul %a, [%w] {epilogue = #qz.epilogue<silu>} : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  %y2 = llm.activate %q {activation = #llm.activation<relu>} : tensor<?x64xf32>
  return %y0, %y1, %y2, %p : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}
