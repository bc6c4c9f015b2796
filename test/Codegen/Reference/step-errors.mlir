// RUN: qcc-opt %s --qcc-generate-code=target=reference --split-input-file --verify-diagnostics

// expected-error@+1 {{expected a module attribute llm.layers between 1 and 2147483647}}
module attributes {llm.context = 8 : i64, llm.hidden = 32 : i64,
                   llm.layers = 0 : i64, llm.vocab = 48 : i64} {
}

// -----

// expected-error@+1 {{expected a function @step}}
module attributes {llm.context = 8 : i64, llm.hidden = 32 : i64,
                   llm.layers = 1 : i64, llm.vocab = 48 : i64} {
}

// -----

// The reference shares no stage with other targets: what they fuse is not its.
module attributes {llm.context = 8 : i64, llm.hidden = 32 : i64,
                   llm.layers = 1 : i64, llm.vocab = 32 : i64} {
  qz.weight @w : !qz.tensor<32x32, #qz.encoding<f32>>
  func.func @step(%batch: !llm.batch) -> tensor<?x32xf32> {
    %w = qz.use @w : !qz.tensor<32x32, #qz.encoding<f32>>
    %x = llm.embedding %batch, %w : !qz.tensor<32x32, #qz.encoding<f32>> -> tensor<?x32xf32>
    // expected-error@+1 {{has no reference lowering}}
    %r = llm.rotations %batch {frequencies = array<f32: 1.0>} : tensor<?x2xf32>
    return %x : tensor<?x32xf32>
  }
}

// -----

// Memory is planned for calls of one level.
module attributes {llm.context = 8 : i64, llm.hidden = 32 : i64,
                   llm.layers = 1 : i64, llm.vocab = 32 : i64} {
  qz.weight @w : !qz.tensor<32x32, #qz.encoding<f32>>
  func.func private @inner(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    return %x : tensor<?x32xf32>
  }
  // expected-error@+1 {{calls, which only @step may}}
  func.func private @outer(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %y = call @inner(%x) : (tensor<?x32xf32>) -> tensor<?x32xf32>
    return %y : tensor<?x32xf32>
  }
  func.func @step(%batch: !llm.batch) -> tensor<?x32xf32> {
    %w = qz.use @w : !qz.tensor<32x32, #qz.encoding<f32>>
    %x = llm.embedding %batch, %w : !qz.tensor<32x32, #qz.encoding<f32>> -> tensor<?x32xf32>
    %y = call @outer(%x) : (tensor<?x32xf32>) -> tensor<?x32xf32>
    return %y : tensor<?x32xf32>
  }
}
