// RUN: qcc-opt %s --split-input-file --verify-diagnostics --qcc-select-layout

// expected-error@+1 {{expected a function @step of one block}}
module {
}

// -----

// A matrix that no machine can map.
#f32 = #qz.encoding<f32>
// expected-error@+1 {{does not fit into 140737488355328 bytes of weights}}
qz.weight @w : !qz.tensor<2147483648x2147483648, #f32>
func.func @step(%a: !qz.activation<2147483648>) -> tensor<?x2147483648xf32> {
  %0 = qz.use @w : !qz.tensor<2147483648x2147483648, #f32>
  %1 = qz.matmul %a, [%0] : <2147483648>, [!qz.tensor<2147483648x2147483648, #f32>] -> tensor<?x2147483648xf32>
  return %1 : tensor<?x2147483648xf32>
}

// -----

// Matrices that are too large together.
#f32 = #qz.encoding<f32>
qz.weight @w0 : !qz.tensor<8192x1073741824, #f32>
qz.weight @w1 : !qz.tensor<8192x1073741824, #f32>
qz.weight @w2 : !qz.tensor<8192x1073741824, #f32>
qz.weight @w3 : !qz.tensor<8192x1073741824, #f32>
// expected-error@+1 {{does not fit into 140737488355328 bytes of weights}}
qz.weight @w4 : !qz.tensor<8192x1073741824, #f32>
func.func @step(%a: !qz.activation<1073741824>) -> tensor<?x40960xf32> {
  %0 = qz.use @w0 : !qz.tensor<8192x1073741824, #f32>
  %1 = qz.use @w1 : !qz.tensor<8192x1073741824, #f32>
  %2 = qz.use @w2 : !qz.tensor<8192x1073741824, #f32>
  %3 = qz.use @w3 : !qz.tensor<8192x1073741824, #f32>
  %4 = qz.use @w4 : !qz.tensor<8192x1073741824, #f32>
  %y = qz.matmul %a, [%0, %1, %2, %3, %4] : <1073741824>, [!qz.tensor<8192x1073741824, #f32>, !qz.tensor<8192x1073741824, #f32>, !qz.tensor<8192x1073741824, #f32>, !qz.tensor<8192x1073741824, #f32>, !qz.tensor<8192x1073741824, #f32>] -> tensor<?x40960xf32>
  return %y : tensor<?x40960xf32>
}
