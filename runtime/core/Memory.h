//===- Memory.h - Memory that fails with a status ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//
// The runtime is built without exceptions and must not end its host, so it
// uses neither operator new nor containers. What it allocates is known when a
// session is created; these two types own it.
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_CORE_MEMORY_H
#define QCC_RUNTIME_CORE_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>
#include <type_traits>

namespace qcc::rt {

/// A fixed number of zeroed elements.
template <typename T>
class Array {
  static_assert(std::is_trivially_destructible_v<T> &&
                    std::is_trivially_copyable_v<T>,
                "calloc is the constructor");

public:
  Array() = default;
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;
  ~Array() { free(elements); }

  bool allocate(size_t wanted) {
    free(elements);
    elements = static_cast<T *>(calloc(wanted ? wanted : 1, sizeof(T)));
    count = elements ? wanted : 0;
    return elements != nullptr;
  }

  T *data() { return elements; }
  const T *data() const { return elements; }
  size_t size() const { return count; }
  T &operator[](size_t i) { return elements[i]; }
  const T &operator[](size_t i) const { return elements[i]; }

private:
  T *elements = nullptr;
  size_t count = 0;
};

/// An anonymous mapping that takes memory only where it is touched.
class Mapping {
public:
  Mapping() = default;
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
  ~Mapping() { release(); }

  /// The start is aligned to 4096, or to 2 MiB if `bytes` is at least that, so
  /// that huge pages fit.
  bool reserve(size_t bytes) {
    release();
    constexpr size_t huge = size_t(2) << 20;
    size_t slack = bytes >= huge ? huge : 0;
    if (bytes == 0 || bytes > SIZE_MAX - slack - 4096)
      return bytes == 0;
    void *address = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED)
      return false;
    mapped = address;
    mappedBytes = bytes + slack;
    auto start = reinterpret_cast<uintptr_t>(address);
    if (slack)
      start = (start + huge - 1) & ~(huge - 1);
    base = reinterpret_cast<uint8_t *>(start);
    length = bytes;
    return true;
  }

  void release() {
    if (mapped)
      munmap(mapped, mappedBytes);
    mapped = nullptr;
    base = nullptr;
    length = 0;
  }

  void advise(int advice) {
    if (base)
      madvise(base, length, advice);
  }

  uint8_t *data() const { return base; }
  size_t size() const { return length; }

private:
  void *mapped = nullptr;
  size_t mappedBytes = 0;
  uint8_t *base = nullptr;
  size_t length = 0;
};

/// a * b and a + b for sizes that come from a file or a caller.
inline bool multiplyInto(uint64_t &result, uint64_t a, uint64_t b) {
  return !__builtin_mul_overflow(a, b, &result);
}
inline bool addInto(uint64_t &result, uint64_t a, uint64_t b) {
  return !__builtin_add_overflow(a, b, &result);
}

} // namespace qcc::rt

#endif // QCC_RUNTIME_CORE_MEMORY_H
