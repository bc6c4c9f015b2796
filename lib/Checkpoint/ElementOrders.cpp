//===- ElementOrders.cpp - Orders in which elements of rows stand ---------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "ElementOrders.h"

using namespace qcc;

std::string_view ElementOrders::keep(SourceTensors &sources,
                                     SourceTensor &source,
                                     const std::string &module, uint64_t count,
                                     const StoredFormat &format,
                                     std::vector<uint64_t> numbers,
                                     TextPool &texts) {
  const uint8_t *data = sources.data(source);
  std::string_view bytes(reinterpret_cast<const char *>(data),
                         source.entry.bytes);
  auto [known, isNew] = names.try_emplace(bytes);
  if (!isNew)
    return known->second;
  Tensor tensor;
  tensor.name = known->second = texts.keep(module + ".order");
  tensor.dims = {count};
  tensor.format = &format;
  tensor.storedEncoding.element = ScalarType::F32;
  tensor.storedNumbers = std::move(numbers);
  tensor.file = source.file;
  tensor.offset = source.entry.offset;
  tensor.bytes = bytes.size();
  tensor.parts.push_back(sources.take(source, texts));
  out.push_back(std::move(tensor));
  return known->second;
}
