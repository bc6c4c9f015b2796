//===- FakeCudaState.h - The books of the fake driver -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#ifndef QCC_RUNTIME_TEST_FAKECUDASTATE_H
#define QCC_RUNTIME_TEST_FAKECUDASTATE_H

#include "FakeCuda.h"

#include "device/DriverApi.h"

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// What the opaque handles of the driver point to.
struct CUctx_st {
  int device = 0;
  int retained = 0;
  int failed = 0; // a kernel's failure, which stays
  uint64_t used = 0;
  bool hasLaunched = false;
};
struct CUmod_st {
  CUctx_st *context;
  std::vector<FakeKernel> kernels; // of its image
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};
struct CUfunc_st {
  CUctx_st *context;
  CUmod_st *module;
  std::string name;
  unsigned dynamicShared;
};
struct CUstream_st {
  enum Kind { Other, Launch, EarlyLaunch };
  struct Work {
    std::function<void()> run;
    const void *host; // memory of the host that it uses, or null
    Kind kind;
  };
  CUctx_st *context;
  std::deque<Work> waiting;
  uint64_t added = 0, done = 0;
  Kind last = Other; // of what was added
  bool capturing = false;
  std::vector<Work> captured;
};
struct CUgraph_st {
  CUctx_st *context;
  std::vector<CUstream_st::Work> work;
};
struct CUgraphExec_st {
  CUctx_st *context;
  std::vector<CUstream_st::Work> work;
};
struct CUevent_st {
  CUctx_st *context;
  unsigned flags;
  CUstream_st *stream = nullptr;
  uint64_t after = 0;
};

namespace fake {

using namespace qcc::rt::device;

struct Memory {
  CUctx_st *context;
  uint64_t bytes;
  bool mapped = false;                         // to reserved addresses
  bool isCopied = false, isCopiedLate = false; // late: after some launch
};

/// Memory without an address, as cuMemCreate makes it.
struct Physical {
  CUctx_st *context;
  uint64_t bytes;
  bool named = true; // by its handle
  int mappings = 0;
};

/// The memory of `bytes` at a device address, or null.
uint8_t *resolve(DevicePointer address, uint64_t bytes, CUctx_st *context);
/// Puts work into a stream, or into the graph that is made of it.
void add(CUstream_st *stream, std::function<void()> work,
         const void *host = nullptr,
         CUstream_st::Kind kind = CUstream_st::Other);
/// What there is of cuMemCreate and its like; ends with the context.
void dropMappings(CUctx_st *context);
void dropReservations();

// CUresult
constexpr int invalidValue = 1, invalidDevice = 101, invalidContext = 201,
              invalidPtx = 218, invalidHandle = 400, notFound = 500,
              illegalAddress = 700, notSupported = 801,
              captureUnsupported = 900;

struct Books {
  std::mutex mutex;
  FakeCuda state;
  bool initialised = false;
  CUctx_st contexts[8];
  std::map<uint64_t, Memory> deviceMemory;
  std::map<void *, Memory> hostMemory;
  std::map<CUmod_st *, std::unique_ptr<CUmod_st>> modules;
  std::map<CUstream_st *, std::unique_ptr<CUstream_st>> streams;
  /// Destroyed, but their work goes on.
  std::vector<std::unique_ptr<CUstream_st>> ending;
  std::map<CUevent_st *, std::unique_ptr<CUevent_st>> events;
  std::map<CUgraph_st *, std::unique_ptr<CUgraph_st>> graphs;
  std::map<CUgraphExec_st *, std::unique_ptr<CUgraphExec_st>> graphExecs;
  std::map<uint64_t, uint64_t> reservations;                  // address: bytes
  std::map<uint64_t, Physical> memories;                      // by handle
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> mappings; // bytes, handle
  uint64_t lastMemory = 0;

  void count();
  uint64_t memoryOf(int device) const {
    return state.memoryOf[device] ? state.memoryOf[device] : state.memoryBytes;
  }
};
extern Books books;

/// The calling thread's contexts.
extern thread_local std::vector<CUctx_st *> stack;

/// Does the work of a stream up to its `until`-th piece.
void run(CUstream_st &stream, uint64_t until);
void runAll();

/// Holds the lock, records the call, and says whether it has to fail.
class Call {
public:
  explicit Call(const char *name);
  ~Call() { books.count(); }

  bool fails() const { return result != 0; }

  /// Whether the current context is the one that the call needs (null: any).
  bool in(CUctx_st *wanted);

  /// The caller did what it must not do.
  bool refuse(int why);

  /// Whether a handle exists and its context is current.
  template <typename Handle>
  bool known(std::map<Handle *, std::unique_ptr<Handle>> &all, Handle *handle) {
    return !fails() &&
           (all.count(handle) ? in(handle->context) : refuse(invalidHandle));
  }

  int result = 0;

private:
  std::lock_guard<std::mutex> lock;
};

} // namespace fake

#define FAKE_EXPORT extern "C" __attribute__((visibility("default")))

#endif // QCC_RUNTIME_TEST_FAKECUDASTATE_H
