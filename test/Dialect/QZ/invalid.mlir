// RUN: qcc-opt %s --split-input-file --verify-diagnostics

// Codes are 1 to 8 bits wide.
// expected-error@+1 {{inconsistent encoding: bits must be 1..8, got 9}}
#bad = #qz.encoding<bits = 9, group = 32, scale = f16>

// -----

// A table has a value for each code.
// expected-error@+1 {{inconsistent encoding: table must be empty or 2^bits values, got 3}}
#bad = #qz.encoding<bits = 2, table = [1, 2, 3], group = 32, scale = f16>

// -----

// A table leaves no room for a zero.
// expected-error@+1 {{inconsistent encoding: zero must be 0 beside a table, values or a minifloat, got 1}}
#bad = #qz.encoding<bits = 1, zero = 1, table = [1, 2], group = 32, scale = f16>

// -----

// Values of codes are numbers, one for each code, and the only meaning.
// expected-error@+1 {{inconsistent encoding: values must be empty or, for up to 4 bits, 2^bits of them, got 3}}
#bad = #qz.encoding<bits = 2, values = [1.0, 2.0, 3.0], group = 32, scale = f16>

// -----

// expected-error@+1 {{inconsistent encoding: values must be finite}}
#bad = #qz.encoding<bits = 1, values = [1.0, 0x7F800000], group = 32, scale = f16>

// -----

// expected-error@+1 {{inconsistent encoding: table, values and minifloat exclude each other}}
#bad = #qz.encoding<bits = 1, table = [1, 2], values = [1.0, 2.0], group = 32, scale = f16>

// -----

// expected-error@+1 {{inconsistent encoding: a minifloat must be e4m3fn or e5m2 and have 8 bits}}
#bad = #qz.encoding<bits = 4, float = e5m2, group = 32, scale = f16>

// -----

// expected-error@+1 {{unknown minifloat 'e4m3'}}
#bad = #qz.encoding<bits = 8, float = e4m3, group = 32, scale = f16>

// -----

// Zero points may not be further out than one past the codes.
// expected-error@+1 {{inconsistent encoding: zeroBits must be so few that zero points are at most 2^bits, got 4}}
#bad = #qz.encoding<bits = 4, zero = 8, zero_bits = 4, group = 32, scale = f16>

// -----

// The zero is one of the codes, or one past them.
// expected-error@+1 {{inconsistent encoding: zero must be 0..2^bits, got 17}}
#bad = #qz.encoding<bits = 4, zero = 17, group = 32, scale = f16>

// -----

// Groups fit into chunks of 32.
// expected-error@+1 {{inconsistent encoding: group must be 4, 8, 16 or a multiple of 32, got 48}}
#bad = #qz.encoding<bits = 4, group = 48, scale = f16>

// -----

// Codes need a scale.
// expected-error@+1 {{inconsistent encoding: scale must not be none}}
#bad = #qz.encoding<bits = 4, group = 32>

// -----

// A super-block needs sub-scales.
// expected-error@+1 {{inconsistent encoding: two levels need subBits}}
#bad = #qz.encoding<bits = 4, group = 32, scale = f16, super_block = 256>

// -----

// Sub-scales through a table have one value for each code.
// expected-error@+1 {{inconsistent encoding: subValues must be empty or 2^subBits values, got 3}}
#bad = #qz.encoding<bits = 4, group = 32, scale = f16, sub_bits = 2, sub_values = [1.0, 2.0, 3.0]>

// -----

// Subs have one meaning.
// expected-error@+1 {{inconsistent encoding: subValues or a subMinifloat allow no other meaning of sub}}
#bad = #qz.encoding<bits = 4, group = 32, scale = f16, sub_bits = 8, sub_zero = 1, sub_float = e4m3fn>

// -----

// expected-error@+1 {{unknown minifloat 'e3m4'}}
#bad = #qz.encoding<bits = 4, group = 32, scale = f16, sub_bits = 8, sub_float = e3m4>

// -----

// Two scales of a super-block.
// expected-error@+1 {{inconsistent encoding: splitScale needs scales without min, and up to 256 groups of at least 32 in a superBlock}}
#bad = #qz.encoding<bits = 4, group = 16, scale = f16, split_scale = 1, super_block = 64, sub_bits = 4>

// -----

// expected-error@+1 {{inconsistent encoding: scaledMin needs a min}}
#bad = #qz.encoding<bits = 4, group = 32, scale = f16, scaled_min = 1>

// -----

// An offset belongs to two levels.
// expected-error@+1 {{inconsistent encoding: two levels need subBits}}
#bad = #qz.encoding<bits = 4, group = 32, scale = f16, offset = f32>

// -----

// Spans have all bits.
// expected-error@+1 {{inconsistent encoding: with spans, bits, zero, group and superBlock must be 0}}
#bad = #qz.encoding<spans = [[32, 4, 8, 32], [32, 3, 4, 32]], bits = 4, scale = f16>

// -----

// One span is none.
// expected-error@+1 {{inconsistent encoding: spans must be two or more}}
#bad = #qz.encoding<spans = [[32, 4, 8, 32]], scale = f16>

// -----

// Spans are whole groups.
// expected-error@+1 {{inconsistent encoding: columns of a span must be a multiple of group and of 32, got 96}}
#bad = #qz.encoding<spans = [[32, 4, 8, 32], [96, 3, 4, 64]], scale = f16>

// -----

// A span is four numbers.
// expected-error@+1 {{expected ','}}
#bad = #qz.encoding<spans = [[32, 4, 8], [96, 3, 4, 32]], scale = f16>

// -----

// A row is all spans.
#spans = #qz.encoding<spans = [[32, 4, 8, 32], [96, 3, 4, 32]], scale = f16>
// expected-error@+1 {{expected the last dimension to be the sum of the spans' columns, got 96}}
qz.weight @w : !qz.tensor<2x96, #spans>

// -----

// Groups divide the super-block.
// expected-error@+1 {{inconsistent encoding: superBlock must be a multiple of group and of 32, got 96}}
#bad = #qz.encoding<bits = 4, group = 64, scale = f16, super_block = 96, sub_bits = 6>

// -----

// Two levels with a min have sub-mins.
// expected-error@+1 {{inconsistent encoding: subMinBits must be 1..8, got 0}}
#bad = #qz.encoding<bits = 4, group = 32, scale = f16, min = f16, super_block = 256, sub_bits = 6>

// -----

// A float weight has nothing else.
// expected-error@+1 {{inconsistent encoding: a float element allows no other field}}
#bad = #qz.encoding<f16, bits = 4>

// -----

// Float weights are f32, f16 or bf16.
// expected-error@+1 {{inconsistent encoding: element must be f32, f16 or bf16, got u8}}
#bad = #qz.encoding<u8>

// -----

// Unknown keys are errors.
// expected-error@+1 {{unknown encoding key}}
#bad = #qz.encoding<bits = 4, colour = 3>

// -----

// Unknown types are errors.
// expected-error@+1 {{unknown scalar type}}
#bad = #qz.encoding<bits = 4, scale = f8>

// -----

// Weights have one to three dimensions.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
// expected-error@+1 {{expected 1 to 3 dimensions, got 4}}
qz.weight @w : !qz.tensor<2x2x2x32, #q4>

// -----

// Dimensions are positive.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
// expected-error@+1 {{expected dimensions of 1 to 2^31, got 0}}
qz.weight @w : !qz.tensor<0x32, #q4>

// -----

// Dimensions are bounded.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
// expected-error@+1 {{expected dimensions of 1 to 2^31, got 2147483649}}
qz.weight @w : !qz.tensor<2147483649x32, #q4>

// -----

// Rows are whole groups.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
// expected-error@+1 {{expected the last dimension to be a multiple of the group size 32, got 40}}
qz.weight @w : !qz.tensor<2x40, #q4>

// -----

// Weights start on cache lines.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
// expected-error@+1 {{expected an offset that is a multiple of 64, got 32}}
qz.weight @w : !qz.tensor<2x32, #q4> {layout = #qz.layout<r16k4>, offset = 32 : i64}

// -----

// Only a weight with a layout has a place.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
// expected-error@+1 {{has an offset but no layout}}
qz.weight @w : !qz.tensor<2x32, #q4> {offset = 64 : i64}

// -----

// A weight must be declared.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f() {
  // expected-error@+1 {{uses an undeclared weight @w}}
  %w = qz.use @w : !qz.tensor<2x32, #q4>
  return
}

// -----

// A use has the type of its weight.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
qz.weight @w : !qz.tensor<2x32, #q4>
func.func @f() {
  // expected-error@+1 {{but @w has type}}
  %w = qz.use @w : !qz.tensor<4x32, #q4>
  return
}

// -----

// Dequantizing keeps the shape.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%w: !qz.tensor<2x32, #q4>) {
  // expected-error@+1 {{expected a result of the weight's shape, got 'tensor<32x2xf32>'}}
  %f = qz.dequantize %w : !qz.tensor<2x32, #q4> -> tensor<32x2xf32>
  return
}

// -----

// Activations are as wide as the rows.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected an input of type tensor<?x32xf32>, got 'tensor<?x64xf32>'}}
  %a = qz.quantize %x : tensor<?x64xf32> -> <32>
  return
}

// -----

// Rows are counted at run time.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<4x64xf32>) {
  // expected-error@+1 {{expected an input of type tensor<?x64xf32>, got 'tensor<4x64xf32>'}}
  %a = qz.quantize %x : tensor<4x64xf32> -> <64>
  return
}

// -----

// A norm needs its eps.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) {
  // expected-error@+1 {{expected norm and eps together}}
  %a = qz.quantize %x norm %n : tensor<?x64xf32>, !qz.tensor<64, #f32> -> <64>
  return
}

// -----

// A norm covers the row.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<?x64xf32>, %n: !qz.tensor<32, #f32>) {
  // expected-error@+1 {{expected a norm of 64 elements, got 32}}
  %a = qz.quantize %x norm %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<32, #f32> -> <64>
  return
}

// -----

// A bias belongs to a norm.
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<?x64xf32>, %b: !qz.tensor<64, #f32>) {
  // expected-error@+1 {{expected norm_bias and centered with a norm}}
  %a = qz.quantize %x bias %b : tensor<?x64xf32> bias !qz.tensor<64, #f32> -> <64>
  return
}

// -----

// So does the mean.
func.func @f(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected norm_bias and centered with a norm}}
  %a = qz.quantize %x {centered} : tensor<?x64xf32> -> <64>
  return
}

// -----

// A bias of a norm covers the row.
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>, %b: !qz.tensor<2x64, #f32>) {
  // expected-error@+1 {{expected a norm_bias of 64 elements, got '!qz.tensor<2x64,}}
  %a = qz.quantize %x norm %n bias %b {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32> bias !qz.tensor<2x64, #f32> -> <64>
  return
}

// -----

// Sums cover 16 or 32 elements.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected a sum_group of 16 or 32, got 8}}
  %a = qz.quantize %x {sum_group = 8 : i64} : tensor<?x64xf32> -> <64>
  return
}

// -----

// A matmul has weights.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<32x32, #q4>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected at least one weight}}
  %y = "qz.matmul"(%a) <{operandSegmentSizes = array<i32: 1, 0, 0, 0, 0>}> : (!qz.activation<64>) -> tensor<?x64xf32>
  return
}

// -----

// Weights are as wide as the activations.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<32x32, #q4>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected weights with 64 columns, got}}
  %y = qz.matmul %a, [%v] : <64>, [!qz.tensor<32x32, #q4>] -> tensor<?x32xf32>
  return
}

// -----

// Results stand side by side.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<32x32, #q4>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected a result of type tensor<?x64xf32>, got 'tensor<?x32xf32>'}}
  %y = qz.matmul %a, [%w, %w] : <64>, [!qz.tensor<32x64, #q4>, !qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  return
}

// -----

// A gated unit has a gate and an up matrix.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<32x32, #q4>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected two weights of equal shape, gate and up}}
  %y = qz.matmul %a, [%w] {epilogue = #qz.epilogue<glu_silu>} : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  return
}

// -----

// Gate and up have the same shape.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<64x64, #q4>) {
  // expected-error@+1 {{expected two weights of equal shape, gate and up}}
  %y = qz.matmul %a, [%w, %v] {epilogue = #qz.epilogue<glu_silu>} : <64>, [!qz.tensor<32x64, #q4>, !qz.tensor<64x64, #q4>] -> tensor<?x48xf32>
  return
}

// -----

// Each bias belongs to a weight.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %b: !qz.tensor<32, #f32>) {
  // expected-error@+1 {{expected bias_of to name a weight for each of 1 biases, got 0}}
  %y = qz.matmul %a, [%w] bias[%b] : <64>, [!qz.tensor<32x64, #q4>] bias[!qz.tensor<32, #f32>] -> tensor<?x32xf32>
  return
}

// -----

// Without biases no weight has one.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>) {
  // expected-error@+1 {{expected bias_of to name a weight for each of 0 biases, got 1}}
  %y = qz.matmul %a, [%w] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  return
}

// -----

// There is no second weight.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %b: !qz.tensor<32, #f32>) {
  // expected-error@+1 {{expected bias_of to be ascending numbers of weights, got 1}}
  %y = qz.matmul %a, [%w] bias[%b] {bias_of = array<i64: 1>} : <64>, [!qz.tensor<32x64, #q4>] bias[!qz.tensor<32, #f32>] -> tensor<?x32xf32>
  return
}

// -----

// No weight has two.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %b: !qz.tensor<32, #f32>) {
  // expected-error@+1 {{expected bias_of to be ascending numbers of weights, got 0}}
  %y = qz.matmul %a, [%w, %w] bias[%b, %b] {bias_of = array<i64: 0, 0>} : <64>, [!qz.tensor<32x64, #q4>, !qz.tensor<32x64, #q4>] bias[!qz.tensor<32, #f32>, !qz.tensor<32, #f32>] -> tensor<?x64xf32>
  return
}

// -----

// A bias has an element for each row of its weight.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %b: !qz.tensor<64, #f32>) {
  // expected-error@+1 {{expected a bias of 32 floats for weight 0, got}}
  %y = qz.matmul %a, [%w] bias[%b] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<32x64, #q4>] bias[!qz.tensor<64, #f32>] -> tensor<?x32xf32>
  return
}

// -----

// A bias is no matrix.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %b: !qz.tensor<1x32, #f32>) {
  // expected-error@+1 {{expected a bias of 32 floats for weight 0, got}}
  %y = qz.matmul %a, [%w] bias[%b] {bias_of = array<i64: 0>} : <64>, [!qz.tensor<32x64, #q4>] bias[!qz.tensor<1x32, #f32>] -> tensor<?x32xf32>
  return
}

// -----

// The residual epilogue needs a residual.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<32x32, #q4>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected a residual operand exactly with the residual epilogue}}
  %y = qz.matmul %a, [%w] {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<32x64, #q4>] -> tensor<?x32xf32>
  return
}

// -----

// A residual needs the residual epilogue.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<32x32, #q4>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected a residual operand exactly with the residual epilogue}}
  %y = qz.matmul %a, [%w, %w] residual %x : <64>, [!qz.tensor<32x64, #q4>, !qz.tensor<32x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  return
}

// -----

// A residual has the result's type.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
#f32 = #qz.encoding<f32>
func.func @f(%a: !qz.activation<64>, %w: !qz.tensor<32x64, #q4>, %v: !qz.tensor<32x32, #q4>, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected a residual of the result's type}}
  %y = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<32x64, #q4>], tensor<?x64xf32> -> tensor<?x32xf32>
  return
}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @order(%x: tensor<?x64xf32>, %o: !qz.tensor<64, #q4>) {
  // expected-error@+1 {{expected an order of 64 f32 elements, got '!qz.tensor<64, #qz.encoding<bits = 4}}
  %y = qz.permute %x by %o : tensor<?x64xf32>, !qz.tensor<64, #q4>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @short_order(%x: tensor<?x64xf32>, %o: !qz.tensor<32, #f32>) {
  // expected-error@+1 {{expected an order of 64 f32 elements}}
  %y = qz.quantize %x order %o : tensor<?x64xf32> by !qz.tensor<32, #f32> -> <64>
  return
}

// -----

// Runs of rows do not overlap.
#f32 = #qz.encoding<f32>
// expected-error@+1 {{expected runs of at least one row, no further apart than 2^31 and not overlapping, got 32 rows each 31 from 0}}
qz.weight @w : !qz.tensor<64x32, #f32> {rows = #qz.rows<"t", first = 0, run = 32, stride = 31>}

// -----

// Nor do they begin before the tensor.
#f32 = #qz.encoding<f32>
// expected-error@+1 {{got 1 rows each 1 from -1}}
qz.weight @w : !qz.tensor<64x32, #f32> {rows = #qz.rows<"t", first = -1, run = 1, stride = 1>}

// -----

// A part has whole runs.
#f32 = #qz.encoding<f32>
// expected-error@+1 {{expected whole runs of 48 rows, got 64 rows}}
qz.weight @w : !qz.tensor<64x32, #f32> {rows = #qz.rows<"t", first = 0, run = 48, stride = 96>}

// -----

// Logits have a scale and a cap, which nothing else has.
#f32 = #qz.encoding<f32>
func.func @logits(%a: !qz.activation<32>, %w: !qz.tensor<64x32, #f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected scale and softcap exactly with the logits epilogue}}
  %y = qz.matmul %a, [%w] {epilogue = #qz.epilogue<logits>, scale = 1.0 : f32} : <32>, [!qz.tensor<64x32, #f32>] -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

#f32 = #qz.encoding<f32>
func.func @no_logits(%a: !qz.activation<32>, %w: !qz.tensor<64x32, #f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected scale and softcap exactly with the logits epilogue}}
  %y = qz.matmul %a, [%w] {softcap = 1.0 : f32} : <32>, [!qz.tensor<64x32, #f32>] -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

#f32 = #qz.encoding<f32>
func.func @bad_cap(%a: !qz.activation<32>, %w: !qz.tensor<64x32, #f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected a finite scale and a softcap of at least 0}}
  %y = qz.matmul %a, [%w] {epilogue = #qz.epilogue<logits>, scale = 1.0 : f32, softcap = -1.0 : f32} : <32>, [!qz.tensor<64x32, #f32>] -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
