// RUN: qcc-opt %s --verify-diagnostics --split-input-file

// expected-error@+1 {{expected values of 1 to 1048576 elements, got 1048577}}
llm.kv_state @s : !llm.state<1, 64, 1048577>

// -----

// expected-error@+1 {{expected matrices to be turned, got}}
qz.weight @w : !qz.tensor<16, #qz.encoding<f32>> {rows = #qz.rows<"t", first = 0, run = 8, stride = 14, turned = true>}

// -----

#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
// expected-error@+1 {{expected floats to be turned, got}}
qz.weight @w : !qz.tensor<2x32x32, #q4> {rows = #qz.rows<"t", first = 0, run = 32, stride = 64, turned = true>}

// -----

// Their columns are rows of the tensor.
// expected-error@+1 {{expected whole runs of 12 rows, got 32 rows}}
qz.weight @w : !qz.tensor<2x24x16, #qz.encoding<f32>> {rows = #qz.rows<"t", first = 0, run = 12, stride = 12, turned = true>}

// -----

func.func @f(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>) {
  // expected-error@+1 {{expected rows of whole heads, got 5 heads in 24 and 48 elements}}
  %q = llm.concat_heads %a, %b {heads = 5 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x72xf32>
  return
}

// -----

func.func @f(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>) {
  // expected-error@+1 {{expected rows of 72 elements, got 71}}
  %q = llm.concat_heads %a, %b {heads = 3 : i64} : tensor<?x24xf32>, tensor<?x48xf32> -> tensor<?x71xf32>
  return
}

// -----

func.func @f(%x: tensor<?x80xf32>, %r: tensor<?x8xf32>, %batch: !llm.batch, %s: !llm.state<1, 24, 16>) {
  // expected-error@+1 {{expected values of as many elements as keys, got}}
  %q = llm.rope_append %x, %r, %batch, %s {scale = 0.25 : f32} : tensor<?x80xf32>, tensor<?x8xf32>, <1, 24, 16> -> tensor<?x40xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @f(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>, %k: tensor<?x24xf32>, %r: tensor<?x8xf32>, %batch: !llm.batch, %s: !llm.state<1, 24, 16>, %n: !qz.tensor<1x16, #f32>) {
  // expected-error@+1 {{expected a norm of one dimension, got}}
  %q = llm.latent_append %a, %b, %k, %r, %batch, %s norm %n {eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x24xf32>, tensor<?x8xf32>, <1, 24, 16>, !qz.tensor<1x16, #f32> -> tensor<?x72xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @f(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>, %k: tensor<?x24xf32>, %r: tensor<?x8xf32>, %batch: !llm.batch, %s: !llm.state<1, 25, 16>, %n: !qz.tensor<16, #f32>) {
  // expected-error@+1 {{expected a state of one key of 24 and one value of 16 elements, got}}
  %q = llm.latent_append %a, %b, %k, %r, %batch, %s norm %n {eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x24xf32>, tensor<?x8xf32>, <1, 25, 16>, !qz.tensor<16, #f32> -> tensor<?x72xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @f(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>, %k: tensor<?x25xf32>, %r: tensor<?x8xf32>, %batch: !llm.batch, %s: !llm.state<1, 24, 16>, %n: !qz.tensor<16, #f32>) {
  // expected-error@+1 {{expected keys of 24 elements, got 25}}
  %q = llm.latent_append %a, %b, %k, %r, %batch, %s norm %n {eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x25xf32>, tensor<?x8xf32>, <1, 24, 16>, !qz.tensor<16, #f32> -> tensor<?x72xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @f(%a: tensor<?x32xf32>, %b: tensor<?x48xf32>, %k: tensor<?x24xf32>, %r: tensor<?x8xf32>, %batch: !llm.batch, %s: !llm.state<1, 24, 16>, %n: !qz.tensor<16, #f32>) {
  // expected-error@+1 {{expected heads of 8 and of 16 elements, got 32 and 48 elements for rows of 72}}
  %q = llm.latent_append %a, %b, %k, %r, %batch, %s norm %n {eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x32xf32>, tensor<?x48xf32>, tensor<?x24xf32>, tensor<?x8xf32>, <1, 24, 16>, !qz.tensor<16, #f32> -> tensor<?x72xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @f(%a: tensor<?x24xf32>, %b: tensor<?x48xf32>, %k: tensor<?x24xf32>, %r: tensor<?x8xf32>, %batch: !llm.batch, %s: !llm.state<1, 24, 16>, %n: !qz.tensor<16, #f32>) {
  // expected-error@+1 {{expected heads of 8 and of 16 elements, got 24 and 48 elements for rows of 73}}
  %q = llm.latent_append %a, %b, %k, %r, %batch, %s norm %n {eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x24xf32>, tensor<?x48xf32>, tensor<?x24xf32>, tensor<?x8xf32>, <1, 24, 16>, !qz.tensor<16, #f32> -> tensor<?x73xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @f(%a: tensor<?x21xf32>, %b: tensor<?x48xf32>, %k: tensor<?x23xf32>, %r: tensor<?x7xf32>, %batch: !llm.batch, %s: !llm.state<1, 23, 16>, %n: !qz.tensor<16, #f32>) {
  // expected-error@+1 {{expected cosines and sines in equal number, got 7 elements}}
  %q = llm.latent_append %a, %b, %k, %r, %batch, %s norm %n {eps = 1.0e-6 : f32, scale = 0.25 : f32} : tensor<?x21xf32>, tensor<?x48xf32>, tensor<?x23xf32>, tensor<?x7xf32>, <1, 23, 16>, !qz.tensor<16, #f32> -> tensor<?x69xf32>
  return
}
