// RUN: qcc-opt %s --split-input-file --verify-diagnostics --qcc-verify-fused

// A matrix is dequantized for a linear operation.
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
  // expected-error@+2 {{is not part of the fused form of @step}}
  // expected-note@+1 {{qcc-fuse-matmuls should have removed it}}
  %f = qz.dequantize %w : !qz.tensor<64x64, #q4> -> tensor<64x64xf32>
  %lin = llm.linear %y, %f : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}

// -----

// A dequantized weight that nothing uses.
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
  // expected-error@+2 {{is not part of the fused form of @step}}
  // expected-note@+1 {{canonicalize should have removed it}}
  %f = qz.dequantize %w : !qz.tensor<64x64, #q4> -> tensor<64x64xf32>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}

// -----

// Layers are not rolled: a weight is used in the body.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // expected-error@+2 {{is not part of the fused form of a body}}
  // expected-note@+1 {{qcc-roll-layers should have removed it}}
  %v = qz.use @w : !qz.tensor<64x64, #q4>
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

// -----

// A sum is not fused.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // expected-error@+2 {{is not part of the fused form of a body}}
  // expected-note@+1 {{qcc-fuse-epilogues should have removed it}}
  %s = llm.add %x, %x : tensor<?x64xf32>
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

// -----

// A gated unit is not merged.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // expected-error@+2 {{is not part of the fused form of a body}}
  // expected-note@+1 {{qcc-merge-projections should have removed it}}
  %s = llm.glu %x, %x {activation = #llm.activation<silu>} : tensor<?x64xf32>
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

// -----

// An operation that is no stage.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // expected-error@+1 {{is not part of the fused form of a body}}
  %c = builtin.unrealized_conversion_cast to index
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

// -----

// A norm of rows is not fused.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>, %n: tensor<64xf32>) -> tensor<?x64xf32> {
  // expected-error@+2 {{is not part of the fused form of a body}}
  // expected-note@+1 {{qcc-fuse-epilogues should have removed it}}
  %h = llm.rms_norm %x, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch, %n: tensor<64xf32>) -> tensor<?x96xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  %y = func.call @body.0(%x, %w, %n) : (tensor<?x64xf32>, !qz.tensor<64x64, #q4>, tensor<64xf32>) -> tensor<?x64xf32>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}

// -----

// A norm of heads is not fused.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>, %n: tensor<32xf32>) -> tensor<?x64xf32> {
  // expected-error@+2 {{is not part of the fused form of a body}}
  // expected-note@+1 {{qcc-merge-projections should have removed it}}
  %h = llm.rms_norm %x, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<32xf32>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch, %n: tensor<32xf32>) -> tensor<?x96xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  %y = func.call @body.0(%x, %w, %n) : (tensor<?x64xf32>, !qz.tensor<64x64, #q4>, tensor<32xf32>) -> tensor<?x64xf32>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}

// -----

// A public body.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
// expected-error@+1 {{expected a body to be private}}
func.func @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
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

// -----

// A body that returns other rows.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
// expected-error@+1 {{expected a body to map rows, its first argument, to rows of the same type}}
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  return %x, %x : tensor<?x64xf32>, tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch) -> tensor<?x96xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  %y:2 = func.call @body.0(%x, %w) : (tensor<?x64xf32>, !qz.tensor<64x64, #q4>) -> (tensor<?x64xf32>, tensor<?x64xf32>)
  %a = qz.quantize %y#0 : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}

// -----

// A function that the step does not call.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
// expected-error@+2 {{is not called by @step}}
// expected-note@+1 {{symbol-dce removes functions without uses}}
func.func private @layer.0(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  return %x : tensor<?x64xf32>
}
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

// -----

// The step takes more than a batch.
// expected-error@+1 {{expected @step to map a batch to rows of logits}}
func.func @step(%batch: !llm.batch, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  return %x : tensor<?x64xf32>
}

// -----

// The logits are not rows of a matmul.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
// expected-error@+1 {{expected @step to return the rows of a qz.matmul}}
func.func @step(%batch: !llm.batch) -> tensor<?x64xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}

// -----

// The embedding reads a dequantized table.
#f32 = #qz.encoding<f32>
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func @step(%batch: !llm.batch) -> tensor<?x64xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  // expected-error@+2 {{is not part of the fused form of @step}}
  // expected-note@+1 {{qcc-fuse-matmuls should have removed it}}
  %f = qz.dequantize %t : !qz.tensor<96x64, #q4> -> tensor<96x64xf32>
  %x = llm.embedding %batch, %f : tensor<96x64xf32> -> tensor<?x64xf32>
  return %x : tensor<?x64xf32>
}

// -----

// A norm of heads by mean and variance is not fused.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>, %n: tensor<2x32xf32>) -> tensor<?x64xf32> {
  // expected-error@+2 {{is not part of the fused form of a body}}
  // expected-note@+1 {{qcc-merge-projections should have removed it}}
  %h = llm.layer_norm %x, %n {eps = 1.0e-6 : f32} : tensor<?x64xf32>, tensor<2x32xf32>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %y = qz.matmul %a, [%w] residual %x {epilogue = #qz.epilogue<residual>} : <64>, [!qz.tensor<64x64, #q4>], tensor<?x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
func.func @step(%batch: !llm.batch, %n: tensor<2x32xf32>) -> tensor<?x96xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  %x = llm.embedding %batch, %t : !qz.tensor<96x64, #q4> -> tensor<?x64xf32>
  %y = func.call @body.0(%x, %w, %n) : (tensor<?x64xf32>, !qz.tensor<64x64, #q4>, tensor<2x32xf32>) -> tensor<?x64xf32>
  %a = qz.quantize %y : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}

// -----

// An activation is not fused.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func private @body.0(%x: tensor<?x64xf32>, %w: !qz.tensor<64x64, #q4>) -> tensor<?x64xf32> {
  // expected-error@+2 {{is not part of the fused form of a body}}
  // expected-note@+1 {{qcc-fuse-epilogues should have removed it}}
  %s = llm.activate %x {activation = #llm.activation<relu>} : tensor<?x64xf32>
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

// -----

// Positions are not taken from a quantized table.
#q4 = #qz.encoding<bits = 4, zero = 8, group = 32, scale = f16>
qz.weight @t : !qz.tensor<96x64, #q4>
qz.weight @w : !qz.tensor<64x64, #q4>
func.func @step(%batch: !llm.batch) -> tensor<?x96xf32> {
  %t = qz.use @t : !qz.tensor<96x64, #q4>
  %w = qz.use @w : !qz.tensor<64x64, #q4>
  // expected-error@+2 {{is not part of the fused form of @step}}
  // expected-note@+1 {{qcc-fuse-matmuls should have removed it}}
  %p = qz.dequantize %w : !qz.tensor<64x64, #q4> -> tensor<64x64xf32>
  %x = llm.embedding %batch, %t positions %p : !qz.tensor<96x64, #q4> positions tensor<64x64xf32> -> tensor<?x64xf32>
  %a = qz.quantize %x : tensor<?x64xf32> -> <64>
  %l = qz.matmul %a, [%t] : <64>, [!qz.tensor<96x64, #q4>] -> tensor<?x96xf32>
  return %l : tensor<?x96xf32>
}
