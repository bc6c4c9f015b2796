//===- Weights.cpp - From the checkpoint's bytes to the model's -----------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "Weights.h"

#include "dialects/LLM/LLMDialect.h"
#include "qcc/Formats/PackedWeight.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

using namespace qcc;

//===-- The region --------------------------------------------------------===//

static std::string place(const PlacedWeight &weight) {
  return "bytes " + std::to_string(weight.offset) + " to " +
         std::to_string(weight.offset + weight.bytes);
}

/// Bytes of a weight in its layout.
static uint64_t layoutBytes(const PlacedWeight &weight) {
  if (weight.layout == qz::Layout::Plain)
    return weight.rows * weight.columns * sizeof(float);
  return weight.rows / weight.matrixRows *
         PackedWeight(weight.encoding, weight.columns).bytes(weight.matrixRows);
}

/// The order of rows that the tensor `name` gives to one of `rows` rows.
static llvm::Expected<std::vector<uint32_t>>
readRowOrder(const Checkpoint &checkpoint, llvm::StringRef name,
             uint64_t rows) {
  const Tensor *tensor = checkpoint.findTensor(name);
  if (!tensor || tensor->elements() != rows)
    return llvm::createStringError(
        checkpoint
            .error("expected an order of " + std::to_string(rows) +
                   " rows in tensor " + quoted(name.str()))
            .message());
  std::vector<float> values(rows);
  checkpoint.decodeRows(*tensor, 0, 1, values.data());
  std::vector<uint32_t> order;
  std::vector<bool> seen(rows);
  for (float value : values) {
    bool isIndex = value >= 0 && value < float(rows) &&
                   value == float(uint32_t(value)) && !seen[uint32_t(value)];
    if (!isIndex)
      return llvm::createStringError(
          checkpoint
              .error("tensor " + quoted(name.str()) +
                     ": expected each row once, got " + std::to_string(value))
              .message());
    seen[uint32_t(value)] = true;
    order.push_back(uint32_t(value));
  }
  return order;
}

/// Whether a weight has the type that its tensor gives it.
static bool fitsTensor(qz::WeightOp op, const Tensor &tensor) {
  qz::QTensorType type = op.getType();
  llvm::SmallVector<int64_t> shape(tensor.dims.rbegin(), tensor.dims.rend());
  if (shape.size() == 1 && type.getShape().size() == 2)
    shape.insert(shape.begin(), 1); // A matrix of one row.
  bool isShaped = type.getShape() == llvm::ArrayRef(shape);
  // How many rows the tensor has is checked where they are taken.
  if (op.getRows() && type.getShape().size() == 1)
    isShaped = shape.size() == 1;
  else if (op.getRows())
    isShaped = shape.size() == 2 &&
               shape[1] == (op.isTurned() ? type.getRows() : type.getColumns());
  if (!isShaped || op.getLayout() == qz::Layout::Plain)
    return isShaped;
  const Encoding *stored = tensor.encoding();
  if (!stored)
    return false;
  Encoding encoding = type.getEncoding().toEncoding();
  if (op.isTurned() && !stored->isFloat())
    return encoding.element == ScalarType::F32;
  Encoding expected = *stored;
  // Rows in an order of their own have scales of their own.
  if (!expected.isTwoLevel() || expected.splitScale)
    expected.commonScale = encoding.commonScale;
  return encoding == expected;
}

/// Rows of the tensor that the weight's are; nothing where it is the tensor.
static llvm::Expected<std::vector<uint32_t>>
rowsOf(const Checkpoint &checkpoint, qz::WeightOp op, const Tensor &tensor) {
  std::vector<uint32_t> rows;
  const uint64_t count = uint64_t(op.getRowCount());
  if (auto part = op.getRows()) {
    const uint64_t all =
        tensor.dims.size() == 1 ? tensor.rowElements() : tensor.rows();
    const uint64_t run = uint64_t(part->getRun());
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t row = uint64_t(part->getFirst()) +
                     i / run * uint64_t(part->getStride()) + i % run;
      if (row >= all)
        return llvm::createStringError(
            checkpoint
                .error("tensor " + quoted(tensor.name) + ": expected row " +
                       std::to_string(row) + " of weight " +
                       quoted(op.getSymName().str()) + ", got " +
                       std::to_string(all) + " rows")
                .message());
      rows.push_back(uint32_t(row));
    }
  }
  auto name = op.getRowOrder();
  if (!name)
    return rows;
  auto order = readRowOrder(checkpoint, *name, count);
  if (order && !rows.empty())
    for (uint32_t &row : *order)
      row = rows[row];
  return order;
}

llvm::Error WeightRegion::add(mlir::ModuleOp module) {
  // An order of rows needs no place when only the packer reads it.
  llvm::StringSet<> orders;
  for (auto op : module.getOps<qz::WeightOp>())
    if (auto order = op.getRowOrder())
      orders.insert(*order);
  for (auto op : module.getOps<qz::WeightOp>()) {
    std::string name = op.getSymName().str(), source = op.getTensor().str();
    const Tensor *tensor = checkpoint.findTensor(source);
    if (!tensor)
      return llvm::createStringError(
          checkpoint.error("tensor " + quoted(source) + " is missing")
              .message());
    if (!op.getOffset() && orders.contains(name))
      continue;
    if (!op.getLayout() || !op.getOffset() || !op.getBytes())
      return llvm::createStringError("weight " + quoted(name) +
                                     " has no place in the artefact");
    qz::QTensorType type = op.getType();
    PlacedWeight weight{tensor,
                        type.getEncoding().toEncoding(),
                        uint64_t(type.getMatrices() * type.getRows()),
                        uint64_t(type.getColumns()),
                        uint64_t(type.getRows()),
                        *op.getLayout(),
                        uint64_t(*op.getOffset()),
                        uint64_t(*op.getBytes()),
                        {},
                        op.isTurned()};
    auto rows = rowsOf(checkpoint, op, *tensor);
    if (!rows)
      return rows.takeError();
    weight.rowOrder = std::move(*rows);
    if (!fitsTensor(op, *tensor) || weight.bytes != layoutBytes(weight))
      return llvm::createStringError("weight " + quoted(name) +
                                     " does not have the type of its tensor");
    bool isKnown = llvm::any_of(placed, [&](const PlacedWeight &other) {
      return other.tensor == tensor && other.layout == weight.layout &&
             other.offset == weight.offset &&
             other.rowOrder == weight.rowOrder &&
             other.isTurned == weight.isTurned;
    });
    if (!isKnown)
      placed.push_back(weight);
  }
  llvm::sort(placed, [](const PlacedWeight &a, const PlacedWeight &b) {
    return a.offset < b.offset;
  });
  for (size_t i = 1; i < placed.size(); ++i)
    if (placed[i - 1].offset + placed[i - 1].bytes > placed[i].offset)
      return llvm::createStringError(
          "weights overlap: " + std::string(placed[i - 1].tensor->name) +
          " at " + place(placed[i - 1]) + ", " +
          std::string(placed[i].tensor->name) + " at " + place(placed[i]));
  return llvm::Error::success();
}

uint64_t WeightRegion::bytes() const {
  return placed.empty() ? 0 : placed.back().offset + placed.back().bytes;
}

//===-- Streaming ---------------------------------------------------------===//

namespace {
/// A run of rows of one weight, made as one buffer.
struct Piece {
  const PlacedWeight *weight;
  uint64_t firstRow, rows;
  uint64_t offset; ///< In the region.
  uint64_t bytes;
};
} // namespace

static std::vector<Piece> cut(const std::vector<PlacedWeight> &weights) {
  constexpr uint64_t kPieceBytes = uint64_t(2) << 20;
  std::vector<Piece> pieces;
  for (const PlacedWeight &weight : weights) {
    uint64_t unitRows = 1, unitBytes = weight.columns * sizeof(float);
    if (weight.layout == qz::Layout::R16K4) {
      unitRows = PackedLayout::kRows;
      unitBytes = PackedWeight(weight.encoding, weight.columns).panelBytes;
    }
    uint64_t units = std::max<uint64_t>(1, kPieceBytes / unitBytes);
    uint64_t offset = weight.offset;
    for (uint64_t row = 0, rows; row < weight.rows; row += rows) {
      rows = std::min(units * unitRows,
                      weight.matrixRows - row % weight.matrixRows);
      uint64_t bytes = (rows + unitRows - 1) / unitRows * unitBytes;
      pieces.push_back({&weight, row, rows, offset, bytes});
      offset += bytes;
    }
  }
  return pieces;
}

/// Calls use(i, row, n) for runs of consecutive rows of the tensor: rows
/// first + i to first + i + n of the weight are rows `row` to row + n of it.
template <typename Use>
static void forRuns(const PlacedWeight &weight, uint64_t first, uint64_t count,
                    Use use) {
  if (weight.rowOrder.empty())
    return use(0, first, count);
  for (uint64_t i = 0, n; i < count; i += n) {
    uint64_t row = weight.rowOf(first + i);
    for (n = 1; i + n < count && weight.rowOf(first + i + n) == row + n;)
      ++n;
    use(i, row, n);
  }
}

/// The one row of a vector.
static void makeVector(const Checkpoint &checkpoint, const PlacedWeight &weight,
                       uint8_t *out) {
  std::vector<float> all(weight.tensor->rowElements()), values(weight.columns);
  checkpoint.decodeRows(*weight.tensor, 0, 1, all.data());
  for (uint64_t i = 0; i < weight.columns; ++i)
    values[i] = all[weight.rowOf(i)];
  std::memcpy(out, values.data(), weight.columns * sizeof(float));
}

static void makeRows(const Checkpoint &checkpoint, const Piece &piece,
                     uint8_t *out) {
  const PlacedWeight &weight = *piece.weight;
  const Tensor &tensor = *weight.tensor;
  constexpr unsigned kRows = PackedLayout::kRows;
  std::vector<float> values;
  Fields fields[kRows];
  std::optional<PackedWeight> packed;
  if (weight.layout == qz::Layout::Plain)
    values.resize(kRows * weight.columns);
  else
    packed.emplace(weight.encoding, weight.columns);
  for (uint64_t i = 0; i < piece.rows; i += kRows) {
    unsigned count = unsigned(std::min<uint64_t>(kRows, piece.rows - i));
    forRuns(weight, piece.firstRow + i, count,
            [&](uint64_t at, uint64_t row, uint64_t n) {
              if (packed)
                checkpoint.unpackRows(tensor, row, unsigned(n), fields + at);
              else
                checkpoint.decodeRows(tensor, row, unsigned(n),
                                      values.data() + at * weight.columns);
            });
    if (packed) {
      packed->packPanel(fields, count, out);
      out += packed->panelBytes;
    } else {
      std::memcpy(out, values.data(), count * weight.columns * sizeof(float));
      out += count * weight.columns * sizeof(float);
    }
  }
}

/// Rows of a matrix whose columns are rows of the tensor.
static void makeTurnedRows(const Checkpoint &checkpoint, const Piece &piece,
                           uint8_t *out) {
  const PlacedWeight &weight = *piece.weight;
  const Tensor &tensor = *weight.tensor;
  const uint64_t columns = weight.columns;
  const uint64_t first = piece.firstRow % weight.matrixRows;
  const uint64_t matrix = piece.firstRow / weight.matrixRows;
  const bool isPacked = weight.layout == qz::Layout::R16K4;
  const bool keepsBits = isPacked && tensor.encoding()->isFloat();
  std::vector<uint32_t> bits(piece.rows * columns);
  std::vector<float> values(tensor.rowElements());
  Fields line;
  for (uint64_t c = 0; c < columns; ++c) {
    uint64_t row = weight.rowOf(matrix * columns + c);
    if (keepsBits)
      checkpoint.unpackRows(tensor, row, 1, &line);
    else
      checkpoint.decodeRows(tensor, row, 1, values.data());
    for (uint64_t r = 0; r < piece.rows; ++r)
      bits[r * columns + c] = keepsBits
                                  ? line.floats[first + r]
                                  : llvm::bit_cast<uint32_t>(values[first + r]);
  }
  if (!isPacked) {
    std::memcpy(out, bits.data(), bits.size() * sizeof(uint32_t));
    return;
  }
  PackedWeight packed(weight.encoding, columns);
  Fields fields[PackedLayout::kRows];
  for (uint64_t i = 0; i < piece.rows; i += PackedLayout::kRows) {
    unsigned count =
        unsigned(std::min<uint64_t>(PackedLayout::kRows, piece.rows - i));
    for (unsigned r = 0; r < count; ++r) {
      fields[r].resize(weight.encoding, columns);
      std::copy_n(bits.data() + (i + r) * columns, columns,
                  fields[r].floats.data());
    }
    packed.packPanel(fields, count, out);
    out += packed.panelBytes;
  }
}

static void makePiece(const Checkpoint &checkpoint, const Piece &piece,
                      std::vector<uint8_t> &out) {
  const PlacedWeight &weight = *piece.weight;
  out.assign(piece.bytes, 0);
  if (weight.isVector()) {
    makeVector(checkpoint, weight, out.data());
    return;
  }
  // Of turned ones, those that are columns of the matrix.
  uint64_t firstRow = piece.firstRow, rows = piece.rows;
  if (weight.isTurned) {
    makeTurnedRows(checkpoint, piece, out.data());
    firstRow = piece.firstRow / weight.matrixRows * weight.columns;
    rows = weight.columns;
  } else {
    makeRows(checkpoint, piece, out.data());
  }
  // Those between are read again where another weight needs them.
  uint64_t first = weight.tensor->rows(), end = 0;
  forRuns(weight, firstRow, rows, [&](uint64_t, uint64_t row, uint64_t n) {
    first = std::min(first, row);
    end = std::max(end, row + n);
  });
  checkpoint.release(*weight.tensor, first, end - first);
}

namespace {
/// Makes pieces on worker threads and hands them over in order. At most
/// `slots` pieces exist at a time.
class PieceQueue {
public:
  PieceQueue(const Checkpoint &checkpoint, const std::vector<Piece> &pieces,
             unsigned threads)
      : checkpoint(checkpoint), pieces(pieces), slots(threads * 2) {
    for (unsigned i = 0; i < threads; ++i)
      workers.emplace_back([this] { work(); });
  }

  ~PieceQueue() {
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    changed.notify_all();
    for (std::thread &worker : workers)
      worker.join();
  }

  /// Calls `use` on each piece's bytes until it fails.
  llvm::Error drain(llvm::function_ref<
                    llvm::Error(const Piece &, const std::vector<uint8_t> &)>
                        use) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      Slot &slot = slots[i % slots.size()];
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return slot.ready; });
      }
      if (llvm::Error error = use(pieces[i], slot.bytes))
        return error;
      {
        std::lock_guard lock(mutex);
        slot.ready = false;
        ++consumed;
      }
      changed.notify_all();
    }
    return llvm::Error::success();
  }

private:
  struct Slot {
    std::vector<uint8_t> bytes;
    bool ready = false;
  };

  void work() {
    for (;;) {
      size_t index;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] {
          return stop || next == pieces.size() ||
                 next < consumed + slots.size();
        });
        if (stop || next == pieces.size())
          return;
        index = next++;
      }
      Slot &slot = slots[index % slots.size()];
      makePiece(checkpoint, pieces[index], slot.bytes);
      {
        std::lock_guard lock(mutex);
        slot.ready = true;
      }
      changed.notify_all();
    }
  }

  const Checkpoint &checkpoint;
  const std::vector<Piece> &pieces;
  std::vector<Slot> slots;
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable changed;
  size_t next = 0, consumed = 0;
  bool stop = false;
};
} // namespace

WeightStream WeightRegion::stream(unsigned threads) const {
  WeightStream stream;
  stream.bytes = bytes();
  stream.write = [this, threads](WeightSink &sink) -> llvm::Error {
    std::vector<Piece> pieces = cut(placed);
    PieceQueue queue(checkpoint, pieces, threads);
    return queue.drain([&](const Piece &piece,
                           const std::vector<uint8_t> &bytes) -> llvm::Error {
      if (llvm::Error error = sink.padTo(piece.offset))
        return error;
      return sink.append(bytes.data(), bytes.size());
    });
  };
  return stream;
}

//===-- Figures -----------------------------------------------------------===//

uint64_t qcc::countParameters(mlir::ModuleOp module) {
  uint64_t count = 0;
  for (auto op : module.getOps<qz::WeightOp>())
    count += uint64_t(op.getType().getElements());
  return count;
}

uint64_t qcc::bytesPerToken(mlir::ModuleOp imported, mlir::ModuleOp laidOut) {
  // Of how many parts a step reads how many: tables are read by the row,
  // experts by the matrix.
  struct Share {
    uint64_t parts = 0, all = 1;
  };
  llvm::StringMap<Share> shares;
  imported.walk([&](qz::UseOp use) {
    qz::QTensorType type = use.getType();
    Share &share = shares[use.getWeight()];
    auto add = [&](mlir::Operation *user) {
      Share read{1, 1};
      if (llvm::isa<llm::EmbeddingOp>(user))
        read = {1, uint64_t(type.getRows())};
      if (auto linear = llvm::dyn_cast<llm::ExpertLinearOp>(user)) {
        uint64_t slots =
            uint64_t(linear.getRouting().getType().getDimSize(1)) / 2;
        uint64_t experts = uint64_t(type.getShape().front());
        read = {std::min(slots, experts), experts};
      }
      if (read.parts * share.all > share.parts * read.all)
        share = read;
    };
    for (mlir::Operation *user : use->getUsers())
      if (llvm::isa<qz::DequantizeOp>(user))
        llvm::for_each(user->getUsers(), add);
      else
        add(user);
  });
  uint64_t bytes = 0;
  for (auto op : laidOut.getOps<qz::WeightOp>()) {
    Share share = shares.lookup(op.getSymName());
    // Matrices of experts are whole parts of the bytes, rows of tables about.
    bytes += uint64_t(op.getBytes().value_or(0)) / share.all * share.parts;
  }
  return bytes;
}
