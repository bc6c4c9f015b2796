//===- GgmlMatmul.cpp - The same matmul by ggml ---------------------------===//
// SPDX-License-Identifier: Apache-2.0
//
// The few declarations of ggml that are needed, by the names and types of its
// headers; everything but the parameters of ggml_init() is an opaque pointer.
//===----------------------------------------------------------------------===//

#include "GgmlMatmul.h"

#include "llvm/ADT/Twine.h"

#include <dlfcn.h>

using namespace qcc::bench;

namespace {
struct InitParams {
  size_t memorySize;
  void *memory;
  bool noAlloc;
};
using Pointer = void *;
constexpr int kTypeF32 = 0, kDeviceTypeCpu = 0, kUsageWeights = 1;
} // namespace

/// Each function by its name in ggml.
#define QCC_GGML_FUNCTIONS(F)                                                  \
  F(ggml_init, Pointer(InitParams))                                            \
  F(ggml_free, void(Pointer))                                                  \
  F(ggml_tensor_overhead, size_t())                                            \
  F(ggml_graph_overhead, size_t())                                             \
  F(ggml_nbytes, size_t(Pointer))                                              \
  F(ggml_new_tensor_2d, Pointer(Pointer, int, int64_t, int64_t))               \
  F(ggml_mul_mat, Pointer(Pointer, Pointer, Pointer))                          \
  F(ggml_new_graph, Pointer(Pointer))                                          \
  F(ggml_build_forward_expand, void(Pointer, Pointer))                         \
  F(ggml_backend_load_all, void())                                             \
  F(ggml_backend_init_by_type, Pointer(int, const char *))                     \
  F(ggml_backend_free, void(Pointer))                                          \
  F(ggml_backend_get_device, Pointer(Pointer))                                 \
  F(ggml_backend_dev_backend_reg, Pointer(Pointer))                            \
  F(ggml_backend_dev_buffer_type, Pointer(Pointer))                            \
  F(ggml_backend_dev_supports_op, bool(Pointer, Pointer))                      \
  F(ggml_backend_reg_get_proc_address, Pointer(Pointer, const char *))         \
  F(ggml_backend_alloc_ctx_tensors_from_buft, Pointer(Pointer, Pointer))       \
  F(ggml_backend_buffer_set_usage, void(Pointer, int))                         \
  F(ggml_backend_buffer_free, void(Pointer))                                   \
  F(ggml_backend_buft_name, const char *(Pointer))                             \
  F(ggml_backend_tensor_set, void(Pointer, const void *, size_t, size_t))      \
  F(ggml_backend_tensor_get, void(Pointer, void *, size_t, size_t))            \
  F(ggml_backend_graph_compute, int(Pointer, Pointer))

struct GgmlMatmul::Library {
  void *handle = nullptr;
#define F(NAME, ...) std::add_pointer_t<__VA_ARGS__> NAME = nullptr;
  QCC_GGML_FUNCTIONS(F)
#undef F

  llvm::Error open(const std::string &path) {
    // A name without a folder would be looked for elsewhere.
    std::string name = path.find('/') == std::string::npos ? "./" + path : path;
    // Never closed: its threads may outlive us.
    handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle)
      return llvm::createStringError("cannot load ggml: " +
                                     llvm::Twine(dlerror()));
    const char *missing = nullptr;
#define F(NAME, ...)                                                           \
  NAME =                                                                       \
      reinterpret_cast<std::add_pointer_t<__VA_ARGS__>>(dlsym(handle, #NAME)); \
  if (!NAME)                                                                   \
    missing = #NAME;
    QCC_GGML_FUNCTIONS(F)
#undef F
    if (missing)
      return llvm::createStringError(path +
                                     ": expected libggml.so of a "
                                     "llama.cpp of 2025 or later, got "
                                     "no function " +
                                     missing);
    return llvm::Error::success();
  }

  /// Room for the descriptions of `tensors` tensors and one graph.
  void *newContext(size_t tensors) const {
    return ggml_init({tensors * ggml_tensor_overhead() + ggml_graph_overhead(),
                      nullptr, true});
  }
};

GgmlMatmul::GgmlMatmul() : library(std::make_unique<Library>()) {}

GgmlMatmul::~GgmlMatmul() {
  for (void *buffer : buffers)
    library->ggml_backend_buffer_free(buffer);
  for (void *context : contexts)
    library->ggml_free(context);
  if (backend)
    library->ggml_backend_free(backend);
}

llvm::Expected<std::unique_ptr<Peer>>
GgmlMatmul::create(const std::string &path, uint32_t type,
                   const PeerShape &shape, const std::vector<uint8_t> &weights,
                   const std::vector<float> &input, size_t copies) {
  std::unique_ptr<GgmlMatmul> self(new GgmlMatmul);
  Library &ggml = *self->library;
  if (llvm::Error error = ggml.open(path))
    return std::move(error);
  auto failed = [&](const char *what) {
    return llvm::createStringError(path + ": ggml " + what);
  };
  self->shape = shape;
  ggml.ggml_backend_load_all();
  self->backend = ggml.ggml_backend_init_by_type(kDeviceTypeCpu, nullptr);
  if (!self->backend)
    return failed("has no CPU backend");
  void *device = ggml.ggml_backend_get_device(self->backend);
  void *registry = ggml.ggml_backend_dev_backend_reg(device);
  auto find = [&](const char *name) {
    return ggml.ggml_backend_reg_get_proc_address(registry, name);
  };
  if (void *set = find("ggml_backend_set_n_threads"))
    reinterpret_cast<void (*)(Pointer, int)>(set)(self->backend, 1);
  else
    return failed("does not let its threads be chosen");

  auto newContext = [&](size_t tensors) {
    self->contexts.push_back(ggml.newContext(tensors));
    return self->contexts.back();
  };
  auto allocate = [&](void *context, void *layout) {
    void *buffer =
        ggml.ggml_backend_alloc_ctx_tensors_from_buft(context, layout);
    if (buffer)
      self->buffers.push_back(buffer);
    return buffer;
  };
  auto columns = int64_t(shape.columns), rows = int64_t(shape.rows);
  void *inputs = newContext(1);
  void *x =
      ggml.ggml_new_tensor_2d(inputs, kTypeF32, columns, int64_t(shape.tokens));
  void *host = ggml.ggml_backend_dev_buffer_type(device);
  if (!allocate(inputs, host))
    return failed("has no memory for the input");

  // The layouts that it has beside that of files come first, as in llama.cpp.
  std::vector<void *> layouts;
  if (void *get = find("ggml_backend_dev_get_extra_bufts"))
    for (auto **extra = reinterpret_cast<Pointer *(*)(Pointer)>(get)(device);
         extra && *extra; ++extra)
      layouts.push_back(*extra);
  layouts.push_back(host);
  for (void *layout : layouts) {
    void *all = newContext(copies), *steps = nullptr;
    std::vector<void *> tensors;
    for (size_t i = 0; i < copies; ++i)
      tensors.push_back(ggml.ggml_new_tensor_2d(all, int(type), columns, rows));
    void *buffer = allocate(all, layout);
    if (!buffer)
      continue;
    ggml.ggml_backend_buffer_set_usage(buffer, kUsageWeights);
    self->graphs.clear();
    self->products.clear();
    bool isSupported = true;
    for (void *tensor : tensors) {
      steps = newContext(2);
      void *product = ggml.ggml_mul_mat(steps, tensor, x);
      isSupported &= ggml.ggml_backend_dev_supports_op(device, product);
      self->graphs.push_back(ggml.ggml_new_graph(steps));
      ggml.ggml_build_forward_expand(self->graphs.back(), product);
      self->products.push_back(product);
      if (!isSupported)
        break;
    }
    if (!isSupported) {
      ggml.ggml_backend_buffer_free(buffer);
      self->buffers.pop_back();
      continue;
    }
    for (size_t i = 0; i < copies; ++i) {
      if (ggml.ggml_nbytes(tensors[i]) != weights.size())
        return failed("has another size for these weights");
      ggml.ggml_backend_tensor_set(tensors[i], weights.data(), 0,
                                   weights.size());
      if (!allocate(self->contexts[self->contexts.size() - copies + i], host))
        return failed("has no memory for the result");
    }
    ggml.ggml_backend_tensor_set(x, input.data(), 0,
                                 input.size() * sizeof(float));
    self->layoutName = ggml.ggml_backend_buft_name(layout);
    return self;
  }
  return failed("does not multiply this type");
}

bool GgmlMatmul::multiply(size_t copy) {
  last = copy;
  return library->ggml_backend_graph_compute(backend, graphs[copy]) == 0;
}

std::vector<float> GgmlMatmul::results() const {
  std::vector<float> values(shape.rows * shape.tokens);
  library->ggml_backend_tensor_get(products[last], values.data(), 0,
                                   values.size() * sizeof(float));
  return values;
}
