// RUN: qcc-opt %s --verify-diagnostics --split-input-file

func.func @f(%l: tensor<?x8xf32>) {
  // expected-error@+1 {{expected a top_k of 1 to 8, got 9}}
  %r = llm.route %l {top_k = 9 : i64} : tensor<?x8xf32> -> tensor<?x18xf32>
  return
}

// -----

func.func @f(%l: tensor<?x8xf32>) {
  // expected-error@+1 {{expected rows of an expert and a weight for each of 2 slots, got 2 elements}}
  %r = llm.route %l {top_k = 2 : i64} : tensor<?x8xf32> -> tensor<?x2xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %w: tensor<8x96x64xf32>, %r: tensor<?x3xf32>) {
  // expected-error@+1 {{expected a routing of slots in pairs of elements, got 3}}
  %y = llm.expert_linear %x, %w experts %r : tensor<?x64xf32>, tensor<8x96x64xf32> experts tensor<?x3xf32> -> tensor<?x96xf32>
  return
}

// -----

// Neither the row nor a part for each slot.
func.func @f(%x: tensor<?x192xf32>, %w: tensor<8x96x64xf32>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected a weight of experts x rows x 192 elements, or of a part for each of 2 slots, got}}
  %y = llm.expert_linear %x, %w experts %r : tensor<?x192xf32>, tensor<8x96x64xf32> experts tensor<?x4xf32> -> tensor<?x192xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %w: tensor<8x96x64xf32>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected rows of 2 slots of 96 elements, got 96}}
  %y = llm.expert_linear %x, %w experts %r : tensor<?x64xf32>, tensor<8x96x64xf32> experts tensor<?x4xf32> -> tensor<?x96xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %w: tensor<8x96x64xf32>, %r: tensor<?x4xf32>, %b: tensor<96xf32>) {
  // expected-error@+1 {{expected a bias of 8 x 96 elements, got}}
  %y = llm.expert_linear %x, %w experts %r bias %b : tensor<?x64xf32>, tensor<8x96x64xf32> experts tensor<?x4xf32> bias tensor<96xf32> -> tensor<?x192xf32>
  return
}

// -----

func.func @f(%x: tensor<?x128xf32>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected a routing of as many slots of 32 elements as 128, got 4}}
  %y = llm.combine %x, %r : tensor<?x128xf32>, tensor<?x4xf32> -> tensor<?x32xf32>
  return
}

// -----

func.func @f(%x: tensor<?x128xf32>, %r: tensor<?x4xf32>, %s: tensor<?x64xf32>, %g: tensor<?x2xf32>) {
  // expected-error@+1 {{expected a gate of one element, got 2}}
  %y = llm.combine %x, %r shared %s gate %g : tensor<?x128xf32>, tensor<?x4xf32> shared tensor<?x64xf32> gate tensor<?x2xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @f(%x: tensor<?x128xf32>, %r: tensor<?x4xf32>) {
  // expected-error@+1 {{expected rows of the result's type, got}}
  %y = llm.combine %x, %r residual %x : tensor<?x128xf32>, tensor<?x4xf32> residual tensor<?x128xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @f(%q: tensor<?x64xf32>, %batch: !llm.batch, %s: !llm.state<2, 16>, %k: tensor<?x32xf32>, %f: tensor<2xf32>) {
  // expected-error@+1 {{expected a sink for each of 4 heads, got}}
  %a = llm.attention %q, %k, %k, %batch, %s sinks %f {scale = 0.25 : f32} : tensor<?x64xf32>, tensor<?x32xf32>, <2, 16> sinks tensor<2xf32>
  return
}

// -----

#f32 = #qz.encoding<f32>
func.func @f(%q: tensor<?x64xf32>, %batch: !llm.batch, %s: !llm.state<2, 16>, %w: !qz.tensor<2, #f32>) {
  // expected-error@+1 {{expected a sink for each of 4 heads, got}}
  %b = llm.attend %q, %batch, %s sinks %w : tensor<?x64xf32>, <2, 16> sinks !qz.tensor<2, #f32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{expected a function of one element, got a gated unit}}
  %y = llm.activate %x {activation = #llm.activation<clamped_swiglu>} : tensor<?x64xf32>
  return
}

// -----

func.func @f(%l: tensor<?x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected sigmoid with a bias}}
  %r = llm.route %l bias %b {top_k = 2 : i64} : tensor<?x8xf32> bias tensor<8xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%l: tensor<?x8xf32>, %b: tensor<7xf32>) {
  // expected-error@+1 {{expected a bias of 8 elements, got}}
  %r = llm.route %l bias %b {top_k = 2 : i64, sigmoid} : tensor<?x8xf32> bias tensor<7xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%l: tensor<?x8xf32>) {
  // expected-error@+1 {{expected a finite scale, got}}
  %r = llm.route %l {top_k = 2 : i64, scale = 0x7F800000 : f32} : tensor<?x8xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%l: tensor<?x8xf32>) {
  // expected-error@+1 {{expected equal groups of which some have 2 experts, got 1 of 3 groups of 8 experts}}
  %r = llm.route %l {top_k = 2 : i64, groups = 3 : i64} : tensor<?x8xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%l: tensor<?x8xf32>) {
  // expected-error@+1 {{expected equal groups of which some have 3 experts, got 1 of 4 groups of 8 experts}}
  %r = llm.route %l {top_k = 3 : i64, groups = 4 : i64} : tensor<?x8xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%l: tensor<?x8xf32>) {
  // expected-error@+1 {{expected groups of two experts at least, got 8 groups of 8}}
  %r = llm.route %l {top_k = 2 : i64, sigmoid, groups = 8 : i64, top_groups = 4 : i64} : tensor<?x8xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x128xf32>, %r: tensor<?x4xf32>, %g: tensor<?x1xf32>) {
  // expected-error@+1 {{expected a gate of shared rows}}
  %y = llm.combine %x, %r gate %g : tensor<?x128xf32>, tensor<?x4xf32> gate tensor<?x1xf32> -> tensor<?x64xf32>
  return
}

// -----

func.func @f(%batch: !llm.batch) {
  // expected-error@+1 {{expected rows of an expert and a weight for each slot, got 5 elements}}
  %r = llm.route_all %batch : tensor<?x5xf32>
  return
}
