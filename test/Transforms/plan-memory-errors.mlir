// RUN: qcc-opt %s --split-input-file --verify-diagnostics --qcc-plan-memory

// expected-error@+1 {{expected a function @step of one block}}
module {
}

// -----

// Activations are not chosen yet.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func @step(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected activations made by a qz.quantize that qcc-select-activations has seen}}
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] : <64>, [!qz.tensor<64x64, #q4>] -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// A call changes rows that are needed afterwards.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
func.func private @body.0(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  return %x : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch, %w: !qz.tensor<64x64, #q4>, %n: !qz.tensor<64, #qz.encoding<f32>>) -> tensor<?x64xf32> {
  %x = llm.embedding %batch, %w : !qz.tensor<64x64, #q4> -> tensor<?x64xf32>
  // expected-error@+1 {{changes its first operand, which is used afterwards}}
  %y = func.call @body.0(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %z = llm.add_norm %x, %y, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #qz.encoding<f32>>
  return %z : tensor<?x64xf32>
}

// -----

// A body needs its argument while it makes its result.
#f32 = #qz.encoding<f32>
func.func private @body.0(%x: tensor<?x64xf32>, %n: !qz.tensor<64, #f32>) -> tensor<?x64xf32> {
  %y = llm.add_norm %x, %x, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32>
  %z = llm.add_norm %y, %x, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, !qz.tensor<64, #f32>
  // expected-error@+1 {{needs two values in one buffer while both are in use}}
  return %z : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch, %w: !qz.tensor<64x64, #f32>, %n: !qz.tensor<64, #f32>) -> tensor<?x64xf32> {
  %x = llm.embedding %batch, %w : !qz.tensor<64x64, #f32> -> tensor<?x64xf32>
  %y = func.call @body.0(%x, %n) : (tensor<?x64xf32>, !qz.tensor<64, #f32>) -> tensor<?x64xf32>
  %z = llm.select_outputs %y, %batch : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// A body returns rows that are not its own.
func.func private @body.0(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{returns rows that the body has not made}}
  return %y : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch, %w: !qz.tensor<64x64, #qz.encoding<f32>>) -> tensor<?x64xf32> {
  %x = llm.embedding %batch, %w : !qz.tensor<64x64, #qz.encoding<f32>> -> tensor<?x64xf32>
  %y = llm.embedding %batch, %w {scale = 2.0 : f32} : !qz.tensor<64x64, #qz.encoding<f32>> -> tensor<?x64xf32>
  %z = func.call @body.0(%x, %y) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %s = llm.select_outputs %z, %batch : tensor<?x64xf32>
  return %s : tensor<?x64xf32>
}

// -----

// Rows as wide as no memory.
func.func @step(%batch: !llm.batch, %r: tensor<?x4294967298xf32>) -> tensor<?x4294967298xf32> {
  // expected-error@+1 {{expected rows of f32, at most 2^31 wide}}
  %x = llm.select_outputs %r, %batch : tensor<?x4294967298xf32>
  %y = llm.select_outputs %x, %batch : tensor<?x4294967298xf32>
  return %y : tensor<?x4294967298xf32>
}

// -----

// A call without rows.
func.func private @body.0(%batch: !llm.batch) {
  return
}
func.func @step(%batch: !llm.batch) {
  // expected-error@+1 {{expected rows as first operand and result}}
  func.call @body.0(%batch) : (!llm.batch) -> ()
  return
}
