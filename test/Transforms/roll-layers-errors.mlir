// RUN: qcc-opt %s --split-input-file --verify-diagnostics --qcc-roll-layers

// There is no step.
// expected-error@+1 {{expected a function @step of one block}}
module {
}

// -----

// The step is only declared.
// expected-error@+1 {{expected a function @step of one block}}
module {
  func.func private @step(!llm.batch)
}

// -----

// A layer is only declared.
func.func private @layer(tensor<?x64xf32>) -> tensor<?x64xf32>
func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected @layer to be a function of one block}}
  %0 = func.call @layer(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// The step calls itself.
func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected @step to call nothing}}
  %0 = func.call @step(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// A layer calls a function.
func.func private @inner(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  return %x : tensor<?x64xf32>
}
func.func private @layer(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = func.call @inner(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
func.func @step(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{expected @layer to call nothing}}
  %0 = func.call @layer(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
