//===- TorchFile.cpp - Reader of what torch.save writes -------------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include "TorchFile.h"
#include "qcc/Support/UTF8.h"
#include <algorithm>
#include <deque>
#include <iterator>
#include "Pickle.h"
#include "SourceTensors.h"
#include "ZipArchive.h"

using namespace qcc;

namespace {

constexpr size_t kMaxDims = 8;
constexpr size_t kMaxNameBytes = 1024;
// What a pickle can make again and again of the same bytes.
constexpr size_t kMaxTensors = 1 << 18, kMaxStorages = 1 << 18;
constexpr size_t kMaxKeyBytes = 64; ///< Of a storage: digits.

/// A pickled integer of 10 bytes, 0x1950a86a20f9469cfc6c.
constexpr uint8_t kMagicBefore16[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                      0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

enum class Role {
  Dict,
  Storage, ///< The class of storages of a type.
  Type,    ///< A type by itself, for untyped storages.
  Tensor,  ///< A function that makes a tensor of a storage.
  TypedTensor,
  Parameter, ///< Wraps a tensor.
};

/// All that a pickle may mention.
struct Global {
  const char *module, *name;
  Role role;
  SafetensorsType type = {"", 0}; ///< Of Storage and Type.
};

constexpr Global kGlobals[] = {
    {"collections", "OrderedDict", Role::Dict},
    {"torch", "BFloat16Storage", Role::Storage, {"BF16", 16}},
    {"torch", "BoolStorage", Role::Storage, {"BOOL", 8}},
    {"torch", "ByteStorage", Role::Storage, {"U8", 8}},
    {"torch", "CharStorage", Role::Storage, {"I8", 8}},
    {"torch", "DoubleStorage", Role::Storage, {"F64", 64}},
    {"torch", "FloatStorage", Role::Storage, {"F32", 32}},
    {"torch", "HalfStorage", Role::Storage, {"F16", 16}},
    {"torch", "IntStorage", Role::Storage, {"I32", 32}},
    {"torch", "LongStorage", Role::Storage, {"I64", 64}},
    {"torch", "ShortStorage", Role::Storage, {"I16", 16}},
    {"torch", "float8_e4m3fn", Role::Type, {"F8_E4M3", 8}},
    {"torch", "float8_e4m3fnuz", Role::Type, {"F8_E4M3FNUZ", 8}},
    {"torch", "float8_e5m2", Role::Type, {"F8_E5M2", 8}},
    {"torch", "float8_e5m2fnuz", Role::Type, {"F8_E5M2FNUZ", 8}},
    {"torch", "float8_e8m0fnu", Role::Type, {"F8_E8M0", 8}},
    {"torch", "uint16", Role::Type, {"U16", 16}},
    {"torch", "uint32", Role::Type, {"U32", 32}},
    {"torch", "uint64", Role::Type, {"U64", 64}},
    {"torch._utils", "_rebuild_parameter", Role::Parameter},
    {"torch._utils", "_rebuild_tensor", Role::Tensor},
    {"torch._utils", "_rebuild_tensor_v2", Role::Tensor},
    {"torch._utils", "_rebuild_tensor_v3", Role::TypedTensor},
    {"torch.nn.parameter", "Parameter", Role::Parameter},
    {"torch.storage", "UntypedStorage", Role::Storage, {"bytes", 8}},
};

struct Storage {
  const SafetensorsType *type = nullptr; ///< Static.
  uint64_t offset = 0, bytes = 0;        ///< In the file.
};

/// As the pickle says; checked when it gets a name.
struct TorchTensor {
  const Storage *storage = nullptr;
  const SafetensorsType *type = nullptr;
  uint64_t offset = 0; ///< In elements of the storage.
  std::vector<uint64_t> shape, strides;
};

/// Of an Object's `number`.
enum ObjectKind : int64_t { StorageObject, TensorObject };

class TorchReader : public PickleHost {
public:
  TorchReader(const std::string &path, const ZipArchive &archive,
              std::span<const uint8_t> bytes)
      : path(path), archive(archive), bytes(bytes) {}

  Result<std::vector<SafetensorsEntry>> read() {
    if (!findTop() || !checkByteOrder())
      return located();
    const ZipMember *member = findStored(top + "data.pkl");
    if (!member)
      return located();
    PickleMachine machine(content(*member), *this);
    Result<PickleValue> result = machine.run();
    if (!result)
      return Error(path + ": " + result.message());
    if (!readEntries(machine, *result))
      return located();
    return std::move(entries);
  }

  bool findGlobal(std::string_view module, std::string_view name,
                  uint32_t &index) override;
  bool call(PickleMachine &machine, uint32_t global,
            std::span<const PickleValue> arguments,
            PickleValue &result) override;
  bool load(PickleMachine &machine, PickleValue id,
            PickleValue &result) override;

private:
  bool fail(const std::string &message) {
    error = Error(message);
    return false;
  }
  Error located() const { return Error(path + ": " + error.message()); }

  //===--- archive --------------------------------------------------------===//

  /// The folder that all members are in.
  bool findTop() {
    static constexpr std::string_view suffix = "/data.pkl";
    for (const ZipMember &member : archive.members()) {
      if (!member.name.ends_with(suffix) ||
          member.name.find('/') != member.name.size() - suffix.size())
        continue;
      if (member.name.size() > kMaxNameBytes)
        return fail("zip member " + quoted(member.name) +
                    ": expected a name of at most " +
                    std::to_string(kMaxNameBytes) + " bytes");
      if (!top.empty())
        return fail("zip members " + quoted(top + "data.pkl") + " and " +
                    quoted(member.name) + ": expected one pickle, got two");
      top = member.name.substr(0, member.name.size() - suffix.size() + 1);
    }
    return !top.empty() || fail("expected a zip archive of torch.save with "
                                "<name>/data.pkl, got none in it");
  }

  const ZipMember *findStored(const std::string &name) {
    const ZipMember *member = archive.find(name);
    if (!member) {
      fail("zip member " + quoted(name) + " is missing");
      return nullptr;
    }
    if (!member->isStored) {
      fail("zip member " + quoted(name) +
           " is compressed or encrypted, which "
           "is not supported");
      return nullptr;
    }
    return member;
  }

  std::span<const uint8_t> content(const ZipMember &member) const {
    return bytes.subspan(size_t(member.offset), size_t(member.bytes));
  }

  bool checkByteOrder() {
    const std::string name = top + "byteorder";
    if (!archive.find(name))
      return true;
    const ZipMember *member = findStored(name);
    if (!member)
      return false;
    std::span<const uint8_t> order = content(*member);
    std::string_view text(reinterpret_cast<const char *>(order.data()),
                          order.size());
    return text == "little" ||
           fail(
               mismatchError("byte order", "'little'", quoted(text)).message());
  }

  //===--- what the pickle makes ------------------------------------------===//

  /// Sets `out` to a number that is not negative.
  bool size(const PickleMachine &machine, const PickleValue &value,
            const char *what, uint64_t &out) {
    if (value.kind != PickleValue::Integer || value.number < 0)
      return fail("pickle: " + std::string(what) +
                  ": expected an integer that is not negative, got " +
                  machine.describe(value));
    out = uint64_t(value.number);
    return true;
  }

  bool sizes(const PickleMachine &machine, const PickleValue &value,
             const char *what, std::vector<uint64_t> &out) {
    if (value.kind != PickleValue::Tuple)
      return fail("pickle: " + std::string(what) +
                  ": expected a tuple of integers, got " +
                  machine.describe(value));
    if (machine.items(value).size() > kMaxDims)
      return fail("pickle: " + std::string(what) + ": expected at most " +
                  std::to_string(kMaxDims) + " dimensions, got " +
                  std::to_string(machine.items(value).size()));
    for (const PickleValue &item : machine.items(value))
      if (!size(machine, item, what, out.emplace_back()))
        return false;
    return true;
  }

  bool isObject(const PickleValue &value, ObjectKind kind) const {
    return value.kind == PickleValue::Object && value.number == kind;
  }

  bool makeTensor(PickleMachine &machine, Role role,
                  std::span<const PickleValue> arguments, PickleValue &result);
  using NamedValue = std::pair<std::string_view, PickleValue>;
  static PickleValue findState(const PickleMachine &machine,
                               const PickleValue &root);
  bool readEntries(const PickleMachine &machine, const PickleValue &root);
  bool readEntry(const PickleMachine &machine, std::string_view name,
                 const PickleValue &value);
  bool place(const TorchTensor &tensor, SafetensorsEntry &entry);

  const std::string &path;
  const ZipArchive &archive;
  const std::span<const uint8_t> bytes;
  std::string top; ///< With a slash.
  // Elements of a deque stay where they are.
  std::deque<Storage> storages;
  std::vector<TorchTensor> tensors;
  std::vector<SafetensorsEntry> entries;
};

bool TorchReader::findGlobal(std::string_view module, std::string_view name,
                             uint32_t &index) {
  for (const Global &global : kGlobals)
    if (module == global.module && name == global.name) {
      index = uint32_t(&global - kGlobals);
      return true;
    }
  return fail("the pickle needs " +
              quoted(std::string(module) + "." + std::string(name)) +
              ", which is not a tensor");
}

bool TorchReader::load(PickleMachine &machine, PickleValue id,
                       PickleValue &result) {
  auto isText = [&](const PickleValue &value) {
    return value.kind == PickleValue::Text;
  };
  std::span<const PickleValue> items;
  if (id.kind == PickleValue::Tuple)
    items = machine.items(id);
  if (items.size() != 5 || !isText(items[0]) ||
      machine.text(items[0]) != "storage" ||
      items[1].kind != PickleValue::Global ||
      kGlobals[items[1].index].role != Role::Storage || !isText(items[2]))
    return fail("pickle: expected the id of a storage, got " +
                (id.kind == PickleValue::Tuple
                     ? "another tuple of " + std::to_string(items.size())
                     : machine.describe(id)));
  uint64_t elements = 0;
  if (!size(machine, items[4], "length of a storage", elements))
    return false;
  if (machine.text(items[2]).size() > kMaxKeyBytes)
    return fail("pickle: storage " + quoted(machine.text(items[2])) +
                ": expected a key of at most " + std::to_string(kMaxKeyBytes) +
                " bytes");
  if (storages.size() == kMaxStorages)
    return fail("more than " + std::to_string(kMaxStorages) + " storages");
  const std::string name = top + "data/" + std::string(machine.text(items[2]));
  const ZipMember *member = findStored(name);
  if (!member)
    return false;
  const SafetensorsType &type = kGlobals[items[1].index].type;
  const uint64_t elementBytes = type.bits / 8;
  if (member->bytes % elementBytes || member->bytes / elementBytes != elements)
    return fail(
        mismatchError("zip member " + quoted(name),
                      std::to_string(elements) + " elements of " + type.name,
                      std::to_string(member->bytes) + " bytes")
            .message());
  result = {PickleValue::Object, uint32_t(storages.size()), StorageObject};
  storages.push_back({&type, member->offset, member->bytes});
  return true;
}

bool TorchReader::call(PickleMachine &machine, uint32_t global,
                       std::span<const PickleValue> arguments,
                       PickleValue &result) {
  const Global &callee = kGlobals[global];
  const std::string what =
      "pickle: " + std::string(callee.module) + "." + callee.name + ": ";
  switch (callee.role) {
  case Role::Dict:
    if (!arguments.empty())
      return fail(what + "expected no arguments, got " +
                  std::to_string(arguments.size()));
    result = machine.makeDict();
    return true;
  case Role::Parameter:
    if (arguments.empty() || !isObject(arguments[0], TensorObject))
      return fail(what + "expected a tensor");
    result = arguments[0];
    return true;
  case Role::Tensor:
  case Role::TypedTensor:
    return makeTensor(machine, callee.role, arguments, result);
  case Role::Storage:
  case Role::Type:
    break;
  }
  return fail(what + "expected a function that makes a tensor");
}

/// Arguments: storage, offset, shape, strides; then requires_grad, hooks, which
/// do not matter; then with TypedTensor the type; then metadata.
bool TorchReader::makeTensor(PickleMachine &machine, Role role,
                             std::span<const PickleValue> arguments,
                             PickleValue &result) {
  const size_t plain = role == Role::TypedTensor ? 7 : 6;
  if ((arguments.size() != plain && arguments.size() != plain + 1 &&
       (arguments.size() != 4 || role == Role::TypedTensor)) ||
      !isObject(arguments[0], StorageObject))
    return fail("pickle: expected the arguments of a tensor, got " +
                std::to_string(arguments.size()) + " others");
  if (tensors.size() == kMaxTensors)
    return fail("more than " + std::to_string(kMaxTensors) + " tensors");
  TorchTensor tensor;
  tensor.storage = &storages[arguments[0].index];
  tensor.type = tensor.storage->type;
  if (role == Role::TypedTensor) {
    const PickleValue &type = arguments[6];
    if (type.kind != PickleValue::Global ||
        kGlobals[type.index].role != Role::Type)
      return fail("pickle: expected the type of a tensor, got " +
                  machine.describe(type));
    tensor.type = &kGlobals[type.index].type;
  }
  if (!size(machine, arguments[1], "offset of a tensor", tensor.offset) ||
      !sizes(machine, arguments[2], "shape of a tensor", tensor.shape) ||
      !sizes(machine, arguments[3], "strides of a tensor", tensor.strides))
    return false;
  // Says that numbers are to be negated or conjugated, for one.
  if (arguments.size() > plain) {
    const PickleValue &metadata = arguments[plain];
    if (metadata.kind != PickleValue::Dict || !machine.items(metadata).empty())
      return fail("pickle: a tensor with metadata is not supported");
  }
  result = {PickleValue::Object, uint32_t(tensors.size()), TensorObject};
  tensors.push_back(std::move(tensor));
  return true;
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

/// The dict of tensors: the pickled one, or in a training checkpoint the one
/// under a key, beside other things.
PickleValue TorchReader::findState(const PickleMachine &machine,
                                   const PickleValue &root) {
  std::span<const PickleValue> items = machine.items(root);
  for (std::string_view key :
       {"state_dict", "model_state_dict", "model", "module"})
    for (size_t i = 0; i < items.size(); i += 2)
      if (items[i].kind == PickleValue::Text && machine.text(items[i]) == key &&
          items[i + 1].kind == PickleValue::Dict)
        return items[i + 1];
  return root;
}

bool TorchReader::readEntries(const PickleMachine &machine,
                              const PickleValue &root) {
  if (root.kind != PickleValue::Dict)
    return fail("pickle: expected a dict of tensors, got " +
                machine.describe(root));
  std::span<const PickleValue> items = machine.items(findState(machine, root));
  if (items.size() / 2 > kMaxTensors)
    return fail("more than " + std::to_string(kMaxTensors) + " tensors");
  // Names are copied only when none occurs twice, so that all of them together
  // are shorter than the pickle.
  std::vector<NamedValue> named;
  for (size_t i = 0; i < items.size(); i += 2) {
    if (items[i].kind != PickleValue::Text)
      return fail("pickle: expected the name of a tensor, got " +
                  machine.describe(items[i]));
    named.emplace_back(machine.text(items[i]), items[i + 1]);
  }
  std::sort(named.begin(), named.end(),
            [](const NamedValue &a, const NamedValue &b) {
              return a.first < b.first;
            });
  auto twice = std::adjacent_find(named.begin(), named.end(),
                                  [](const NamedValue &a, const NamedValue &b) {
                                    return a.first == b.first;
                                  });
  if (twice != named.end())
    return fail("tensor " + quoted(twice->first) + " occurs twice");
  return std::all_of(named.begin(), named.end(), [&](const NamedValue &item) {
    return readEntry(machine, item.first, item.second);
  });
}

bool TorchReader::readEntry(const PickleMachine &machine, std::string_view name,
                            const PickleValue &value) {
  SafetensorsEntry entry;
  const std::string what = "tensor " + quoted(name);
  if (name.empty() || name.size() > kMaxNameBytes || !isValidUTF8(name) ||
      std::any_of(name.begin(), name.end(), [](char c) {
        return uint8_t(c) < 0x20 || uint8_t(c) == 0x7f;
      }))
    return fail(what + ": expected a name of 1 to " +
                std::to_string(kMaxNameBytes) +
                " bytes of UTF-8 without control characters");
  if (!isObject(value, TensorObject))
    return fail(what + ": expected a tensor, got " +
                (isObject(value, StorageObject) ? "a storage"
                                                : machine.describe(value)));
  if (!place(tensors[value.index], entry))
    return fail(what + ": " + error.message());
  entry.name = name;
  entries.push_back(std::move(entry));
  return true;
}

/// Finds the bytes of a contiguous tensor in its storage.
bool TorchReader::place(const TorchTensor &tensor, SafetensorsEntry &entry) {
  const Storage &storage = *tensor.storage;
  entry.type = tensor.type;
  entry.shape = tensor.shape;
  if (entry.type->name == std::string_view("bytes"))
    return fail("expected a typed storage, got an untyped one");
  if (tensor.strides.size() != tensor.shape.size())
    return fail("expected as many strides as dimensions, got " +
                shapeText(tensor.strides) + " for " + shapeText(tensor.shape));
  const bool isEmpty = std::find(tensor.shape.begin(), tensor.shape.end(),
                                 0u) != tensor.shape.end();
  const uint64_t elementBytes = entry.type->bits / 8;
  const uint64_t available = storage.bytes / elementBytes;
  uint64_t elements = 1;
  for (size_t i = tensor.shape.size(); i-- > 0 && !isEmpty;) {
    // A dimension of one element is never walked.
    if (tensor.shape[i] == 1)
      continue;
    if (tensor.strides[i] != elements)
      return fail("a view with shape " + shapeText(tensor.shape) +
                  " and strides " + shapeText(tensor.strides) +
                  " is not supported (save the tensor as a contiguous one)");
    if (tensor.shape[i] > available / elements) {
      elements = available + 1;
      break;
    }
    elements *= tensor.shape[i];
  }
  if (isEmpty)
    elements = 0;
  if (tensor.offset > available || elements > available - tensor.offset)
    return fail(
        mismatchError("shape " + shapeText(tensor.shape) + " at element " +
                          std::to_string(tensor.offset),
                      "a storage that holds it",
                      "one of " + std::to_string(available) + " elements")
            .message());
  entry.offset = storage.offset + tensor.offset * elementBytes;
  entry.bytes = elements * elementBytes;
  return true;
}

} // namespace

bool qcc::hasTorchName(std::string_view name) {
  return name.ends_with(".bin") || name.ends_with(".pt") ||
         name.ends_with(".pth");
}

bool qcc::isTorchFile(std::span<const uint8_t> bytes) {
  return ZipArchive::isZip(bytes) ||
         (bytes.size() >= std::size(kMagicBefore16) &&
          std::equal(std::begin(kMagicBefore16), std::end(kMagicBefore16),
                     bytes.begin()));
}

Result<std::vector<SafetensorsEntry>>
qcc::readTorchFile(const std::string &path, std::span<const uint8_t> bytes) {
  if (!ZipArchive::isZip(bytes))
    return mismatchError(
        path, "a zip archive, as torch.save writes",
        isTorchFile(bytes)
            ? "the format of torch before 1.6 (load it and save it again)"
            : "a file that starts with " +
                  quoted(std::string_view(
                      reinterpret_cast<const char *>(bytes.data()),
                      std::min<size_t>(bytes.size(), 4))));
  Result<ZipArchive> archive = ZipArchive::read(path, bytes);
  if (!archive)
    return archive.takeError();
  return TorchReader(path, *archive, bytes).read();
}
