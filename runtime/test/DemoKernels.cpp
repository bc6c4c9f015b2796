//===- DemoKernels.cpp - The demo model's kernels, for the fake driver ----===//
// SPDX-License-Identifier: Apache-2.0
//
// The same sums in the same order as demo_model.c. A kernel fails, as one with
// an illegal access would, where its launch is not what demo_gpu.h says.
//===----------------------------------------------------------------------===//

#include "DemoKernels.h"

#include "demo_model.h"

#include "qcc-rt/qcc_abi.h"

#include <cstring>

namespace {

constexpr int illegalAddress = 700;
constexpr unsigned hidden = DEMO_HIDDEN, pageTokens = QCC_PAGE_TOKENS;

/// Reads a launch's parameters in order.
class Parameters {
public:
  explicit Parameters(void *const *arguments) : next(arguments) {}
  template <typename T>
  T *address() {
    uint64_t value;
    memcpy(&value, *next++, sizeof value);
    return reinterpret_cast<T *>(value);
  }
  uint32_t number() {
    uint32_t value;
    memcpy(&value, *next++, sizeof value);
    return value;
  }

private:
  void *const *next;
};

float weight(const uint8_t *weights, unsigned row, unsigned column) {
  return (float(weights[row * hidden + column]) - 127.5f) / 128.0f;
}

float coarse(float x) {
  return float(int(x * 8.0f + (x < 0 ? -0.5f : 0.5f))) / 8.0f;
}

/// Whether the blocks of y are those that take `rows` of `count` each.
bool covers(const unsigned grid[3], uint32_t count, uint32_t rows) {
  return rows && rows <= count && grid[1] == (count + rows - 1) / rows &&
         grid[2] == 1;
}

int embed(const unsigned grid[3], void *const *arguments, bool prompt) {
  Parameters p(arguments);
  auto *weights = p.address<uint8_t>();
  auto *token = p.address<int32_t>();
  auto *x = p.address<float>();
  uint32_t count = p.number(), rows = p.number();
  if (grid[0] != 1 || !covers(grid, count, rows))
    return illegalAddress;
  for (uint32_t i = 0; i < count; ++i)
    for (unsigned h = 0; h < hidden; ++h) {
      float value = weight(weights, unsigned(token[i]), h);
      x[i * hidden + h] = prompt ? coarse(value) : value;
    }
  return 0;
}

/// The parameters of both kernels of a layer.
struct Layer {
  explicit Layer(void *const *arguments) {
    Parameters p(arguments);
    x = p.address<float>();
    state = p.address<uint8_t>();
    pageTable = p.address<uint32_t>();
    perSequence = p.number();
    sequence = p.address<uint32_t>();
    position = p.address<int32_t>();
    count = p.number();
    rows = p.number();
  }

  /// Element h of a position's state in a transposed page.
  float &element(uint32_t row, int32_t at, unsigned h, uint64_t pageBytes) {
    uint32_t page =
        pageTable[sequence[row] * perSequence + uint32_t(at) / pageTokens];
    return reinterpret_cast<float *>(
        state + page * pageBytes)[h * pageTokens + uint32_t(at) % pageTokens];
  }

  float *x;
  uint8_t *state;
  uint32_t *pageTable, *sequence;
  int32_t *position;
  uint32_t perSequence, count, rows;
};

int store(unsigned number, const unsigned grid[3], void *const *arguments) {
  Layer layer(arguments);
  if (grid[0] != 1 || !covers(grid, layer.count, layer.rows))
    return illegalAddress;
  for (uint32_t i = 0; i < layer.count; ++i)
    for (unsigned h = 0; h < hidden; ++h)
      layer.element(i, layer.position[i], h, DEMO_GPU_PAGE_BYTES(number)) =
          layer.x[i * hidden + h];
  return 0;
}

int mix(unsigned number, const unsigned grid[3], unsigned sharedBytes,
        void *const *arguments) {
  Layer layer(arguments);
  if (grid[0] != 1 || !covers(grid, layer.count, layer.rows) ||
      sharedBytes != DEMO_GPU_MIX_SHARED + 64 * layer.rows)
    return illegalAddress;
  for (uint32_t i = 0; i < layer.count; ++i) {
    float sum[hidden] = {};
    for (int32_t at = 0; at <= layer.position[i]; ++at)
      for (unsigned h = 0; h < hidden; ++h)
        sum[h] = sum[h] * 0.75f + layer.element(i, at, (h + 1) % hidden,
                                                DEMO_GPU_PAGE_BYTES(number));
    for (unsigned h = 0; h < hidden; ++h) {
      float &x = layer.x[i * hidden + h];
      x = x * 0.5f + sum[h] * 0.5f;
    }
  }
  return 0;
}

int head(const unsigned grid[3], void *const *arguments) {
  Parameters p(arguments);
  auto *weights = p.address<uint8_t>();
  auto *output = p.address<uint32_t>();
  auto *x = p.address<float>();
  auto *logits = p.address<float>();
  uint32_t count = p.number(), rows = p.number();
  if (!covers(grid, count, rows))
    return illegalAddress;
  for (unsigned unit = 0; unit < grid[0]; ++unit)
    for (uint32_t o = 0; o < count; ++o)
      for (unsigned v = unit; v < DEMO_VOCAB; v += grid[0]) {
        float sum = 0;
        for (unsigned h = 0; h < hidden; ++h)
          sum += x[output[o] * hidden + h] * weight(weights, v, h);
        logits[o * DEMO_VOCAB + v] = sum;
      }
  return 0;
}

} // namespace

void fake_kernels(FakeCuda *fake) {
  std::vector<size_t> embedded = {8, 8, 8, 4, 4};
  std::vector<size_t> layer = {8, 8, 8, 4, 8, 8, 4, 4};
  for (bool prompt : {false, true})
    fake->kernels.push_back({prompt ? "demo_embed_prompt" : "demo_embed",
                             embedded, [=](const FakeLaunch &launch) {
                               return embed(launch.grid, launch.arguments,
                                            prompt);
                             }});
  for (unsigned number : {0u, 1u}) {
    fake->kernels.push_back({"demo_store_" + std::to_string(number), layer,
                             [=](const FakeLaunch &launch) {
                               return store(number, launch.grid,
                                            launch.arguments);
                             }});
    fake->kernels.push_back({"demo_mix_" + std::to_string(number), layer,
                             [=](const FakeLaunch &launch) {
                               return mix(number, launch.grid,
                                          launch.sharedBytes, launch.arguments);
                             }});
  }
  fake->kernels.push_back(
      {"demo_head", {8, 8, 8, 8, 4, 4}, [](const FakeLaunch &launch) {
         return head(launch.grid, launch.arguments);
       }});
}
