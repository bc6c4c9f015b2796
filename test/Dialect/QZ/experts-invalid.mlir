// RUN: qcc-opt %s --verify-diagnostics --split-input-file

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
// expected-error@+1 {{expected at most 2^31 rows of all experts, got 2199023255552}}
qz.weight @w : !qz.tensor<1048576x2097152x32, #q4>

// -----

// expected-error@+1 {{expected 1 to 2^31 columns and slots, got 64 and 0}}
func.func private @f(!qz.activation<64, 0>)

// -----

func.func @f(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected experts for activations with 2 slots}}
  %a = qz.quantize %x : tensor<?x64xf32> -> <64, 2>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %r: tensor<?x6xf32>) {
  // expected-error@+1 {{expected the experts of 2 slots of type tensor<?x4xf32>, got 'tensor<?x6xf32>'}}
  %a = qz.quantize %x experts %r : tensor<?x64xf32> experts tensor<?x6xf32> -> <64, 2>
  return
}

// -----

// A norm is of one row, not of its slots.
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<?x128xf32>, %n: !qz.tensor<64, #f32>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected an input of type tensor<?x64xf32>, got}}
  %a = qz.quantize %x norm %n experts %r {eps = 1.0e-5 : f32} : tensor<?x128xf32>, !qz.tensor<64, #f32> experts tensor<?x4xf32> -> <64, 2>
  return
}

// -----

// Rows of experts need their matrices.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%a: !qz.activation<64, 2>, %w: !qz.tensor<32x64, #q4>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected weights with 64 columns of as many experts, got}}
  %y = qz.matmul %a, [%w] experts %r : <64, 2>, [!qz.tensor<32x64, #q4>] experts tensor<?x4xf32> -> tensor<?x64xf32>
  return
}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<8x32x64, #q4>) {
  // expected-error@+1 {{expected weights with 64 columns, got}}
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<8x32x64, #q4>] -> tensor<?x32xf32>
  return
}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%a: !qz.activation<64, 2>, %v: !qz.tensor<8x32x64, #q4>, %w: !qz.tensor<4x32x64, #q4>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected weights with 64 columns of as many experts, got}}
  %y = qz.matmul %a, [%v, %w] experts %r : <64, 2>, [!qz.tensor<8x32x64, #q4>, !qz.tensor<4x32x64, #q4>] experts tensor<?x4xf32> -> tensor<?x128xf32>
  return
}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%x: tensor<?x64xf32>, %w: !qz.tensor<8x32x64, #q4>, %r: tensor<?x4xf32>, %s: tensor<?x4xf32>) {
  %a = qz.quantize %x experts %r : tensor<?x64xf32> experts tensor<?x4xf32> -> <64, 2>
  // expected-error@+1 {{expected the experts that its input is made for}}
  %y = qz.matmul %a, [%w] experts %s : <64, 2>, [!qz.tensor<8x32x64, #q4>] experts tensor<?x4xf32> -> tensor<?x64xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%a: !qz.activation<64, 2>, %w: !qz.tensor<8x32x64, #q4>, %b: !qz.tensor<32, #f32>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected a bias of 8 times 32 floats for weight 0, got}}
  %y = qz.matmul %a, [%w] bias[%b] experts %r {bias_of = array<i64: 0>} : <64, 2>, [!qz.tensor<8x32x64, #q4>] bias[!qz.tensor<32, #f32>] experts tensor<?x4xf32> -> tensor<?x64xf32>
  return
}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%a: !qz.activation<64, 2>, %x: tensor<?x64xf32>, %w: !qz.tensor<8x32x64, #q4>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected no residual with experts}}
  %y = qz.matmul %a, [%w] residual %x experts %r {epilogue = #qz.epilogue<residual>} : <64, 2>, [!qz.tensor<8x32x64, #q4>], tensor<?x64xf32> experts tensor<?x4xf32> -> tensor<?x64xf32>
  return
}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%a: !qz.activation<64, 2>, %w: !qz.tensor<8x32x64, #q4>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected a result of type tensor<?x64xf32>, got}}
  %y = qz.matmul %a, [%w] experts %r : <64, 2>, [!qz.tensor<8x32x64, #q4>] experts tensor<?x4xf32> -> tensor<?x32xf32>
  return
}
