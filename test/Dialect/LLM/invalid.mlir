// RUN: qcc-opt %s --split-input-file --verify-diagnostics

// Rows have two dimensions.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%x: tensor<f32>, %w: tensor<32x32xf32>) {
  // expected-error@+1 {{must be rows of f32 of 32-bit float values}}
  %y = llm.linear %x, %w : tensor<f32>, tensor<32x32xf32> -> tensor<?x32xf32>
  return
}

// -----

// States hold something.
// expected-error@+1 {{expected 1 to 1048576 heads and elements, got 0 and 64}}
llm.kv_state @s : !llm.state<0, 64>

// -----

// States are bounded.
// expected-error@+1 {{expected 1 to 1048576 heads and elements, got 1 and 1048577}}
llm.kv_state @s : !llm.state<1, 1048577>

// -----

// A state must be declared.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f() {
  // expected-error@+1 {{uses an undeclared state @s}}
  %s = llm.state @s : !llm.state<1, 64>
  return
}

// -----

// A state value has the type of its declaration.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
llm.kv_state @s : !llm.state<2, 64>
func.func @f() {
  // expected-error@+1 {{but @s has type '!llm.state<2, 64>'}}
  %s = llm.state @s : !llm.state<1, 64>
  return
}

// -----

// Rows of a table are rows.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %t: !qz.tensor<8x64, #q4>) {
  // expected-error@+1 {{expected a table with 32 columns}}
  %x = llm.embedding %batch, %t : !qz.tensor<8x64, #q4> -> tensor<?x32xf32>
  return
}

// -----

// A table has two dimensions.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %t: !qz.tensor<64, #f32>) {
  // expected-error@+1 {{expected a table with 64 columns}}
  %x = llm.embedding %batch, %t : !qz.tensor<64, #f32> -> tensor<?x64xf32>
  return
}

// -----

// A norm weight is a vector.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%x: tensor<?x64xf32>, %w: tensor<1x64xf32>) {
  // expected-error@+1 {{expected a weight of one dimension}}
  %y = llm.rms_norm %x, %w {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<1x64xf32>
  return
}

// -----

// A norm weight divides the row.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%x: tensor<?x64xf32>, %w: tensor<48xf32>) {
  // expected-error@+1 {{expected the row to be heads of 48 elements, got 64}}
  %y = llm.rms_norm %x, %w {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<48xf32>
  return
}

// -----

// A linear weight has the columns of the input.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x48xf32>) {
  // expected-error@+1 {{expected a weight of 32 x 64 elements}}
  %y = llm.linear %x, %w : tensor<?x64xf32>, tensor<32x48xf32> -> tensor<?x32xf32>
  return
}

// -----

// A linear weight has the rows of the result.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%x: tensor<?x64xf32>, %w: tensor<48x64xf32>) {
  // expected-error@+1 {{expected a weight of 32 x 64 elements}}
  %y = llm.linear %x, %w : tensor<?x64xf32>, tensor<48x64xf32> -> tensor<?x32xf32>
  return
}

// -----

// A linear bias has an element for each row of the weight.
func.func @f(%x: tensor<?x64xf32>, %w: tensor<48x64xf32>, %b: tensor<64xf32>) {
  // expected-error@+1 {{expected a bias of 48 elements, got 'tensor<64xf32>'}}
  %y = llm.linear %x, %w bias %b : tensor<?x64xf32>, tensor<48x64xf32> bias tensor<64xf32> -> tensor<?x48xf32>
  return
}

// -----

// Rope turns whole heads.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x96xf32>) {
  // expected-error@+1 {{expected the row to be heads of 64 elements, got 96}}
  %y = llm.rope %x, %batch {head_dim = 64 : i64, frequencies = array<f32: 1.0>} : tensor<?x96xf32>
  return
}

// -----

// Rope needs frequencies.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected 1 to 32 frequencies, got 0}}
  %y = llm.rope %x, %batch {head_dim = 64 : i64, frequencies = array<f32>} : tensor<?x64xf32>
  return
}

// -----

// Rope turns at most the whole head.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected 1 to 1 frequencies, got 2}}
  %y = llm.rope %x, %batch {head_dim = 2 : i64, frequencies = array<f32: 1.0, 0.5>} : tensor<?x64xf32>
  return
}

// -----

// Keys are the heads of the state.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %q: tensor<?x64xf32>, %k: tensor<?x64xf32>, %v: tensor<?x128xf32>, %s: !llm.state<2, 64>) {
  // expected-error@+1 {{expected keys of 128 elements, got 64}}
  %y = llm.attention %q, %k, %v, %batch, %s {scale = 1.0 : f32} : tensor<?x64xf32>, tensor<?x64xf32>, <2, 64>
  return
}

// -----

// Query heads are a multiple of key heads.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %q: tensor<?x96xf32>, %k: tensor<?x64xf32>, %s: !llm.state<2, 32>) {
  // expected-error@+1 {{expected queries (in units of all key heads) to be heads of 64 elements, got 96}}
  %y = llm.attention %q, %k, %k, %batch, %s {scale = 1.0 : f32} : tensor<?x96xf32>, tensor<?x64xf32>, <2, 32>
  return
}

// -----

// Rotations are a cosine and a sine for each frequency.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch) {
  // expected-error@+1 {{expected rows of two elements for each of 2 frequencies, got 2}}
  %r = llm.rotations %batch {frequencies = array<f32: 1.0, 0.5>} : tensor<?x2xf32>
  return
}

// -----

// A row holds queries, keys and values.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x128xf32>, %r: tensor<?x32xf32>, %s: !llm.state<1, 32>, %n: !qz.tensor<32, #f32>, %m: !qz.tensor<64, #f32>, %odd: tensor<?x3xf32>) {
  // expected-error@+1 {{expected rows of queries, keys and values of 96 elements, got 128}}
  %q = llm.rope_append %x, %r, %batch, %s {scale = 1.0 : f32} : tensor<?x128xf32>, tensor<?x32xf32>, <1, 32> -> tensor<?x32xf32>
  return
}

// -----

// Queries and keys are normed together.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x128xf32>, %r: tensor<?x32xf32>, %s: !llm.state<1, 32>, %n: !qz.tensor<32, #f32>, %m: !qz.tensor<64, #f32>, %odd: tensor<?x3xf32>) {
  // expected-error@+1 {{expected query_norm and key_norm together}}
  %q = llm.rope_append %x, %r, %batch, %s query_norm %n {scale = 1.0 : f32} : tensor<?x128xf32>, tensor<?x32xf32>, <1, 32>, !qz.tensor<32, #f32> -> tensor<?x64xf32>
  return
}

// -----

// Norms cover a head, or all of them.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x128xf32>, %r: tensor<?x32xf32>, %s: !llm.state<1, 32>, %n: !qz.tensor<32, #f32>, %m: !qz.tensor<64, #f32>, %odd: tensor<?x3xf32>) {
  // expected-error@+1 {{expected norms of 32 elements, or of all heads, got}}
  %q = llm.rope_append %x, %r, %batch, %s query_norm %n key_norm %m {scale = 1.0 : f32} : tensor<?x128xf32>, tensor<?x32xf32>, <1, 32>, !qz.tensor<32, #f32>, !qz.tensor<64, #f32> -> tensor<?x64xf32>
  return
}

// -----

// Centered norms have a row for each head.
#f32 = #qz.encoding<f32>
func.func @f(%batch: !llm.batch, %x: tensor<?x128xf32>, %r: tensor<?x32xf32>, %s: !llm.state<1, 32>, %n: !qz.tensor<1x32, #f32>) {
  // expected-error@+1 {{expected centered norms of 2 heads of 32 elements, got}}
  %q = llm.rope_append %x, %r, %batch, %s query_norm %n key_norm %n {centered, scale = 1.0 : f32} : tensor<?x128xf32>, tensor<?x32xf32>, <1, 32>, !qz.tensor<1x32, #f32>, !qz.tensor<1x32, #f32> -> tensor<?x64xf32>
  return
}

// -----

// There is no centered norm without norms.
func.func @f(%batch: !llm.batch, %x: tensor<?x128xf32>, %r: tensor<?x32xf32>, %s: !llm.state<1, 32>) {
  // expected-error@+1 {{expected query_norm and key_norm with centered}}
  %q = llm.rope_append %x, %r, %batch, %s {centered, scale = 1.0 : f32} : tensor<?x128xf32>, tensor<?x32xf32>, <1, 32> -> tensor<?x64xf32>
  return
}

// -----

// Rotations have cosines and sines.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x128xf32>, %r: tensor<?x32xf32>, %s: !llm.state<1, 32>, %n: !qz.tensor<32, #f32>, %m: !qz.tensor<64, #f32>, %odd: tensor<?x3xf32>) {
  // expected-error@+1 {{expected cosines and sines in equal number, got 3 elements}}
  %q = llm.rope_append %x, %odd, %batch, %s {scale = 1.0 : f32} : tensor<?x128xf32>, tensor<?x3xf32>, <1, 32> -> tensor<?x64xf32>
  return
}

// -----

// Rotations fit a head.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %x: tensor<?x128xf32>, %r: tensor<?x64xf32>, %s: !llm.state<1, 32>) {
  // expected-error@+1 {{expected 1 to 16 frequencies, got 32}}
  %q = llm.rope_append %x, %r, %batch, %s {scale = 1.0 : f32} : tensor<?x128xf32>, tensor<?x64xf32>, <1, 32> -> tensor<?x64xf32>
  return
}

// -----

// Queries are whole heads.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%batch: !llm.batch, %q: tensor<?x48xf32>, %s: !llm.state<1, 32>) {
  // expected-error@+1 {{expected queries (in units of all key heads) to be heads of 32 elements, got 48}}
  %y = llm.attend %q, %batch, %s : tensor<?x48xf32>, <1, 32>
  return
}

// -----

// The norm of a sum covers the row.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @f(%x: tensor<?x64xf32>, %n: !qz.tensor<32, #f32>) {
  // expected-error@+1 {{expected a weight of 64 elements, got}}
  %y = llm.add_norm %x, %x, %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, !qz.tensor<32, #f32>
  return
}

// -----

// Caps are positive.
func.func @softcap(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected a softcap that is positive, or 0 for none, got -1.0}}
  %y = llm.scale_logits %x {softcap = -1.0 : f32} : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

llm.kv_state @kv : !llm.state<2, 32>
func.func @attention_softcap(%q: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %s = llm.state @kv : !llm.state<2, 32>
  // expected-error@+1 {{expected a softcap that is positive, or 0 for none}}
  %y = llm.attention %q, %q, %q, %batch, %s {scale = 1.0 : f32, softcap = 0x7F800000 : f32} : tensor<?x64xf32>, tensor<?x64xf32>, <2, 32>
  return %y : tensor<?x64xf32>
}

// -----

llm.kv_state @kv : !llm.state<2, 32>
func.func @attend_softcap(%q: tensor<?x64xf32>, %batch: !llm.batch) -> tensor<?x64xf32> {
  %s = llm.state @kv : !llm.state<2, 32>
  // expected-error@+1 {{expected a softcap that is positive, or 0 for none}}
  %y = llm.attend %q, %batch, %s {softcap = -2.0 : f32} : tensor<?x64xf32>, <2, 32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @scale(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected a finite scale}}
  %y = llm.scale_logits %x {scale = 0x7F800000 : f32} : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// A layer norm covers the row.
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32xf32>) {
  // expected-error@+1 {{expected a weight of 64 elements, or of those of heads, got 'tensor<32xf32>'}}
  %y = llm.layer_norm %x, %w {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<32xf32>
  return
}

// -----

// Or its heads.
func.func @f(%x: tensor<?x64xf32>, %w: tensor<3x16xf32>) {
  // expected-error@+1 {{expected a weight of 64 elements, or of those of heads, got 'tensor<3x16xf32>'}}
  %y = llm.layer_norm %x, %w {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<3x16xf32>
  return
}

// -----

// So does its bias.
func.func @f(%x: tensor<?x64xf32>, %w: tensor<64xf32>, %b: tensor<1x64xf32>) {
  // expected-error@+1 {{expected a bias like the weight, got 'tensor<1x64xf32>'}}
  %y = llm.layer_norm %x, %w bias %b {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32> bias tensor<1x64xf32>
  return
}

// -----

// Positions are as wide as the rows.
func.func @f(%batch: !llm.batch, %t: tensor<8x64xf32>, %p: tensor<8x32xf32>) {
  // expected-error@+1 {{expected positions with 64 columns}}
  %x = llm.embedding %batch, %t positions %p : tensor<8x64xf32> positions tensor<8x32xf32> -> tensor<?x64xf32>
  return
}

// -----

// Every position of the context has a row.
module attributes {llm.context = 9 : i64} {
  func.func @f(%batch: !llm.batch, %t: tensor<8x64xf32>, %p: tensor<8x64xf32>) {
    // expected-error@+1 {{expected positions for a context of 9, got 8}}
    %x = llm.embedding %batch, %t positions %p : tensor<8x64xf32> positions tensor<8x64xf32> -> tensor<?x64xf32>
    return
  }
}
