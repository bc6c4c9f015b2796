//===- TorchFileTest.cpp - Tests of the reader of torch files -------------===//
// SPDX-License-Identifier: Apache-2.0
//===----------------------------------------------------------------------===//

#include <chrono>
#include <cstring>
#include <gtest/gtest.h>
#include "FolderBuilder.h"
#include "TorchBuilder.h"

using namespace qcc;
using namespace qcc::pickle;

namespace {

FolderFiles folderOf(const std::string &torch) {
  return {{"config.json", R"({"model_type":"llama"})"},
          {"pytorch_model.bin", torch}};
}

/// Without the file's name, which must begin it.
std::string errorOf(const std::string &torch) {
  std::string message = folderError(folderOf(torch));
  static const std::string prefix = "folder/pytorch_model.bin: ";
  EXPECT_TRUE(message.empty() || message.starts_with(prefix)) << message;
  return message.substr(std::min(message.size(), prefix.size()));
}

/// Of a pickle beside storages "0" (24 bytes) and "1" (8 bytes).
std::string pickleError(const std::string &program) {
  return errorOf(torchFile(program, {someBytes(24), someBytes(8)}).build());
}

/// Of a dict with one value "t".
std::string valueError(const std::string &value) {
  return pickleError(program(dict({text("t"), value})));
}

std::string floats() { return storage("FloatStorage", "0", 6); }

/// Of one tensor in a storage of six floats.
std::string tensorError(int64_t offset, const std::vector<int64_t> &shape,
                        const std::vector<int64_t> &strides) {
  return valueError(tensor(floats(), offset, shape, strides));
}

std::string bytesOf(const Checkpoint &checkpoint, const Tensor &tensor) {
  return std::string(reinterpret_cast<const char *>(checkpoint.data(tensor)),
                     tensor.bytes);
}

//===----------------------------------------------------------------------===//
// What is read
//===----------------------------------------------------------------------===//

TEST(Torch, Reads) {
  auto checkpoint = parseFolderExactly(folderOf(smallTorchFile().build()));
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  EXPECT_EQ(checkpoint->format(), "torch");
  ASSERT_EQ(checkpoint->tensors().size(), 3u);
  const Tensor *a = checkpoint->findTensor("a"),
               *b = checkpoint->findTensor("b"),
               *tied = checkpoint->findTensor("a.tied");
  EXPECT_EQ(a->shape(), "[3, 2]");
  EXPECT_EQ(a->typeName(), "F32");
  EXPECT_EQ(bytesOf(*checkpoint, *a), someBytes(24));
  EXPECT_EQ(b->shape(), "[4]");
  EXPECT_EQ(b->typeName(), "F16");
  EXPECT_EQ(bytesOf(*checkpoint, *b), someBytes(8));
  EXPECT_EQ(tied->offset, a->offset + 12);
  EXPECT_EQ(tied->shape(), "[3]");
}

TEST(Torch, ReadsTypes) {
  struct Case {
    const char *storage, *type;
    int64_t elements;
  };
  for (const Case &c : {Case{"FloatStorage", "F32", 6},
                        {"DoubleStorage", "F64", 3},
                        {"HalfStorage", "F16", 12},
                        {"BFloat16Storage", "BF16", 12},
                        {"LongStorage", "I64", 3},
                        {"IntStorage", "I32", 6},
                        {"ShortStorage", "I16", 12},
                        {"CharStorage", "I8", 24}}) {
    std::string state =
        dict({text("t"), tensor(storage(c.storage, "0", c.elements), 0,
                                {c.elements}, {1})});
    auto checkpoint = parseFolderExactly(
        folderOf(torchFile(program(state), {someBytes(24)}).build()));
    ASSERT_TRUE(checkpoint) << checkpoint.message();
    EXPECT_EQ(checkpoint->tensors()[0].typeName(), c.type);
  }
  EXPECT_EQ(valueError(tensor(storage("BoolStorage", "0", 24), 0, {24}, {1})),
            "tensor 't' has dtype BOOL, which is not supported yet");
  // Types that have no class of storages.
  auto typed = [&](const char *type) {
    return valueError(global("torch._utils", "_rebuild_tensor_v3") +
                      tuple({tuple({text("storage"),
                                    global("torch.storage", "UntypedStorage"),
                                    text("0"), text("cpu"), integer(24)}) +
                                 "Q",
                             integer(8), tuple({integer(4), integer(4)}),
                             tuple({integer(4), integer(1)}), "\x89",
                             global("collections", "OrderedDict") + ")R",
                             global("torch", type)}) +
                      "R");
  };
  EXPECT_EQ(typed("float8_e4m3fn"),
            "tensor 't' has dtype F8_E4M3, which is not supported yet");
  EXPECT_EQ(typed("uint16"), "tensor 't': shape [4, 4] at element 8: expected "
                             "a storage that holds it, got one of 12 elements");
  EXPECT_EQ(typed("bits8"),
            "the pickle needs 'torch.bits8', which is not a tensor");
}

TEST(Torch, ReadsWhatSurroundsTensors) {
  std::string plain = tensor(floats(), 0, {6}, {1});
  std::string ordered = global("collections", "OrderedDict") + ")R";
  // A module's state dict has versions as an attribute.
  EXPECT_EQ(pickleError(program(ordered + "q\x01(" + text("t") + plain + "u" +
                                dict({text("_metadata"), ordered}) + "b")),
            "");
  EXPECT_EQ(valueError(global("torch._utils", "_rebuild_parameter") +
                       tuple({plain, "\x88", ordered}) + "R"),
            "");
  EXPECT_EQ(valueError(global("torch.nn.parameter", "Parameter") +
                       tuple({plain, "\x88"}) + "\x81"),
            "");
  // A training checkpoint.
  for (const char *key : {"state_dict", "model_state_dict", "model", "module"})
    EXPECT_EQ(pickleError(program(
                  dict({text("epoch"), integer(70000), text("loss"),
                        "G" + std::string(8, 'x'), integer(1), "N", text(key),
                        dict({text("t"), plain}), text("list"),
                        "](K\x01K\x02"
                        "eK\x03"
                        "a"}))),
              "")
        << key;
  // Protocol 4: frames, short texts, a counted memo, names on the stack.
  std::string four = "\x80\x04\x95";
  four += std::string(8, '\0') +
          "\x8c\x0b"
          "collections\x94\x8c\x0bOrderedDict"
          "\x94\x93\x94)R\x94(\x8c\x01t" +
          plain + "h\x02)R0u.";
  EXPECT_EQ(pickleError(four), "");
  // Numbers of eight bytes, and of none.
  EXPECT_EQ(
      valueError(global("torch._utils", "_rebuild_tensor_v2") +
                 tuple({floats(), "\x8a" + std::string(1, '\0'),
                        tuple({"\x8a\x01\x06"}),
                        tuple({"\x8b\x01" + std::string(3, '\0') + "\x01"}),
                        "\x89", "}", "}"}) +
                 "R"),
      "");
}

TEST(Torch, ReadsViews) {
  EXPECT_EQ(tensorError(0, {}, {}), "");
  EXPECT_EQ(tensorError(5, {}, {}), "");
  EXPECT_EQ(tensorError(4, {2}, {1}), "");
  // Strides of dimensions that are not walked may be anything.
  EXPECT_EQ(tensorError(0, {1, 3, 1, 2}, {77, 2, 0, 1}), "");
  EXPECT_EQ(tensorError(0, {1}, {int64_t(1) << 40}), "");
  EXPECT_EQ(tensorError(0, {3, 2}, {1, 3}),
            "tensor 't': a view with shape [3, 2] and strides [1, 3] is not "
            "supported (save the tensor as a contiguous one)");
  EXPECT_EQ(tensorError(0, {6}, {0}),
            "tensor 't': a view with shape [6] and strides [0] is not "
            "supported (save the tensor as a contiguous one)");
  EXPECT_EQ(tensorError(0, {2, 2}, {3, 1}),
            "tensor 't': a view with shape [2, 2] and strides [3, 1] is not "
            "supported (save the tensor as a contiguous one)");
}

TEST(Torch, RefusesTensors) {
  const std::string holds = ": expected a storage that holds it, got one of 6 "
                            "elements";
  EXPECT_EQ(tensorError(1, {6}, {1}),
            "tensor 't': shape [6] at element 1" + holds);
  EXPECT_EQ(tensorError(6, {}, {}),
            "tensor 't': shape [] at element 6" + holds);
  EXPECT_EQ(tensorError(7, {0}, {1}),
            "tensor 't': shape [0] at element 7" + holds);
  const int64_t large = int64_t(1) << 62;
  EXPECT_EQ(tensorError(0, {large, large}, {large, 1}),
            "tensor 't': shape [4611686018427387904, 4611686018427387904] at "
            "element 0" +
                holds);
  EXPECT_EQ(tensorError(large, {1}, {1}),
            "tensor 't': shape [1] at element 4611686018427387904" + holds);
  // Products that wrap to what the strides say.
  EXPECT_EQ(tensorError(0, {4, large, 4}, {0, 4, 1}),
            "tensor 't': shape [4, 4611686018427387904, 4] at element 0" +
                holds);
  EXPECT_EQ(tensorError(0, {2, 0}, {1, 1}),
            "tensor 't': expected at most 4 dimensions, none of them 0, got "
            "[2, 0]");
  EXPECT_EQ(tensorError(0, {1, 1, 1, 1, 6}, {6, 6, 6, 6, 1}),
            "tensor 't': expected at most 4 dimensions, none of them 0, got "
            "[1, 1, 1, 1, 6]");
  EXPECT_EQ(tensorError(0, {1, 1, 1, 1, 1, 1, 1, 1, 6}, {1}),
            "pickle: shape of a tensor: expected at most 8 dimensions, got 9");
  EXPECT_EQ(tensorError(0, {6}, {1, 1}),
            "tensor 't': expected as many strides as dimensions, got [1, 1] "
            "for [6]");
  EXPECT_EQ(tensorError(-1, {6}, {1}),
            "pickle: offset of a tensor: expected an integer that is not "
            "negative, got the integer -1");
  EXPECT_EQ(tensorError(0, {-6}, {1}),
            "pickle: shape of a tensor: expected an integer that is not "
            "negative, got the integer -6");
  EXPECT_EQ(tensorError(0, {6}, {-1}),
            "pickle: strides of a tensor: expected an integer that is not "
            "negative, got the integer -1");
}

TEST(Torch, RefusesStorages) {
  auto error = [](const std::string &storage) {
    return valueError(tensor(storage, 0, {1}, {1}));
  };
  EXPECT_EQ(
      error(storage("FloatStorage", "0", 5)),
      "zip member 'top/data/0': expected 5 elements of F32, got 24 bytes");
  EXPECT_EQ(error(storage("FloatStorage", "0", (int64_t(1) << 62) + 6)),
            "zip member 'top/data/0': expected 4611686018427387910 elements of "
            "F32, got 24 bytes");
  EXPECT_EQ(error(storage("FloatStorage", "7", 6)),
            "zip member 'top/data/7' is missing");
  EXPECT_EQ(error(storage("FloatStorage", "../version", 6)),
            "zip member 'top/data/../version' is missing");
  EXPECT_EQ(error(storage("FloatStorage", std::string(65, '0'), 6)),
            "pickle: storage '" + std::string(65, '0') +
                "': expected a key of at most 64 bytes");
  EXPECT_EQ(error(storage("QInt8Storage", "0", 6)),
            "the pickle needs 'torch.QInt8Storage', which is not a tensor");
  EXPECT_EQ(error("K\x01Q"),
            "pickle: expected the id of a storage, got the integer 1");
  EXPECT_EQ(error(tuple({text("storage"), "N"}) + "Q"),
            "pickle: expected the id of a storage, got another tuple of 2");
  EXPECT_EQ(valueError(floats()), "tensor 't': expected a tensor, got a "
                                  "storage");
  EXPECT_EQ(
      error(tuple({text("storage"), global("torch.storage", "UntypedStorage"),
                   text("0"), text("cpu"), integer(24)}) +
            "Q"),
      "tensor 't': expected a typed storage, got an untyped one");
}

//===----------------------------------------------------------------------===//
// Pickles
//===----------------------------------------------------------------------===//

TEST(Torch, RefusesCode) {
  std::string call = tuple({text("echo hello")}) + "R";
  EXPECT_EQ(pickleError(program(global("os", "system") + call)),
            "the pickle needs 'os.system', which is not a tensor");
  EXPECT_EQ(
      pickleError(program(text("posix") + text("system") + "\x93" + call)),
      "the pickle needs 'posix.system', which is not a tensor");
  EXPECT_EQ(pickleError("(ios\nsystem\n."),
            "the pickle needs 'os.system', which is not a tensor");
  EXPECT_EQ(valueError(global("builtins", "eval")),
            "the pickle needs 'builtins.eval', which is not a tensor");
  EXPECT_EQ(valueError(global("torch", "load")),
            "the pickle needs 'torch.load', which is not a tensor");
  EXPECT_EQ(valueError(global("collections", "OrderedDict.fromkeys")),
            "the pickle needs 'collections.OrderedDict.fromkeys', which is not "
            "a tensor");
  EXPECT_EQ(valueError(global("__torch__", "Model")),
            "the pickle needs '__torch__.Model', which is not a tensor");
  // What may be mentioned can still not be called at will.
  EXPECT_EQ(valueError(global("torch", "FloatStorage") + ")R"),
            "pickle: torch.FloatStorage: expected a function that makes a "
            "tensor");
  EXPECT_EQ(valueError(global("collections", "OrderedDict") + "K\x01\x85R"),
            "pickle: collections.OrderedDict: expected no arguments, got 1");
  EXPECT_EQ(valueError(global("torch._utils", "_rebuild_parameter") + ")R"),
            "pickle: torch._utils._rebuild_parameter: expected a tensor");
  EXPECT_EQ(valueError(global("torch._utils", "_rebuild_tensor_v2") + ")R"),
            "pickle: expected the arguments of a tensor, got 0 others");
  // Attributes change what objects are.
  EXPECT_NE(
      valueError(tensor(floats(), 0, {6}, {1}) + "}b")
          .find("expected a dict that has attributes, got a tensor or storage"),
      std::string::npos);
}

TEST(Torch, RefusesPickles) {
  auto error = [](const std::string &pickle, const std::string &part) {
    EXPECT_NE(pickleError(pickle).find(part), std::string::npos)
        << pickleError(pickle);
  };
  error("", "pickle: byte 0: expected an opcode, got the end");
  error(".", "pickle: byte 1: expected one value on the stack at the end");
  error("N", "pickle: byte 1: expected an opcode, got the end");
  error("NN.", "pickle: byte 3: expected one value on the stack at the end");
  error("(N.", "pickle: byte 3: expected one value on the stack at the end");
  error("N.", "pickle: expected a dict of tensors, got None");
  error("].", "pickle: expected a dict of tensors, got a list");
  error("\x80\x01N.", "byte 2: expected protocol 2 to 5, got 1");
  error("\x80\x06N.", "byte 2: expected protocol 2 to 5, got 6");
  error("\x80", "byte 1: expected 1 bytes more, got 0");
  for (const char *opcode : {"I1\n", "S'a'\n", "p0\n", "\x8f", "\x96", "P1\n",
                             "\x82\x01", "d", "l", "o", "\x92", "\xff"})
    error(opcode, "expected an opcode of torch.save, got 0x");
  error("cos\nsystem", "expected a line, got the end of the pickle");
  error("X\xff\xff\xff\xff"
        "a",
        "expected 4294967295 bytes more, got 1");
  error("\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        "expected 18446744073709551615 bytes more, got 0");
  error("\x8b\xff\xff\xff\xff", "expected 4294967295 bytes more, got 0");
  error("\x8a\x09"
        "123456789",
        "an integer of at most 8 bytes, got one of 9");
  error("h\x05.", "memo 5 is not set");
  error("Nr\xff\xff\xff\x7f", "expected a memo index of at most 2, got "
                              "2147483647");
  error("Nq\x02h\x01.", "memo 1 is not set");
  error(std::string("Nq\x01h\x01h\x00.", 8), "memo 0 is not set");
  error("q\x01", "expected a value on the stack, got none");
  error("N(q\x01", "expected a value on the stack, got none");
  error("N(0000", "expected a value on the stack, got none");
  error("t", "expected a mark on the stack, got none");
  error("N(\x85", "expected 1 values on the stack, got 0");
  error("}u", "expected a mark on the stack, got none");
  error("}(Nu", "expected a key and a value in turn, got 1 values");
  error("(NNu", "expected a container below 2 values, got none");
  error("](NNu", "expected a dict, got a list");
  error("}Na", "expected a list, got a dict");
  error("}(s", "expected a container below 2 values, got none");
  error("NNR", "expected a function, got None");
  error(global("torch", "FloatStorage") + "}R",
        "expected a tuple of arguments, got a dict");
  error("NK\x01\x93", "expected the name of a class or function, got");
  EXPECT_EQ(pickleError(program(dict({integer(3), "N"}))),
            "pickle: expected the name of a tensor, got the integer 3");
  EXPECT_EQ(valueError("N"), "tensor 't': expected a tensor, got None");
  EXPECT_EQ(valueError("}"), "tensor 't': expected a tensor, got a dict");
  EXPECT_EQ(valueError("K\x07\x85"),
            "tensor 't': expected a tensor, got a tuple of 1");
  std::string plain = tensor(floats(), 0, {6}, {1});
  for (const std::string &name :
       {std::string(), std::string("a\nb"), std::string("\xff"),
        std::string(1025, 'a'), std::string("a\0b", 3)})
    EXPECT_NE(pickleError(program(dict({text(name), plain})))
                  .find(": expected a name of 1 to 1024 bytes of UTF-8 without "
                        "control characters"),
              std::string::npos)
        << name;
  EXPECT_EQ(pickleError(program(dict({text("t"), plain, text("t"), plain}))),
            "tensor 't' occurs twice");
}

// What repeats its own values costs no more than it is long.
TEST(Torch, Bombs) {
  auto begin = std::chrono::steady_clock::now();
  // Each tuple holds the one before twice: 2^200000 values to a walk.
  std::string doubling = "K\x01";
  for (int i = 0; i < 200000; ++i)
    doubling += "2\x86";
  EXPECT_EQ(pickleError(program(doubling)),
            "pickle: expected a dict of tensors, got a tuple of 2");
  EXPECT_EQ(
      valueError(std::string(1 << 20, ']') + std::string(1 << 20, '0') + "N"),
      "tensor 't': expected a tensor, got None");
  // Nesting, marks without end, and one dict in itself.
  std::string deep(1 << 20, ')');
  for (int i = 0; i < 1 << 20; ++i)
    deep += "\x85";
  EXPECT_NE(pickleError(deep), "");
  EXPECT_NE(pickleError(std::string(1 << 21, '(')), "");
  EXPECT_EQ(pickleError("}q\x01(" + text("t") + "h\x01u."),
            "tensor 't': expected a tensor, got a dict");
  EXPECT_NE(pickleError("}q\x01(" + text("model") + "h\x01u."), "");
  // More steps than any file has.
  EXPECT_NE(pickleError(std::string(5 << 20, 'N'))
                .find("expected at most 4194304 opcodes"),
            std::string::npos);
  // One tensor under one name, and many of one storage.
  std::string many =
      "}(" + text("t") + "q\x01" + tensor(floats(), 0, {6}, {1}) + "q\x02";
  for (int i = 0; i < 500000; ++i)
    many += "h\x01h\x02";
  EXPECT_EQ(pickleError(many + "u."), "more than 262144 tensors");
  std::string stores = tuple({text("storage"), global("torch", "FloatStorage"),
                              text("0"), text("cpu"), integer(6)}) +
                       "q\x01";
  for (int i = 0; i < 300000; ++i)
    stores += "h\x01Q0";
  EXPECT_EQ(pickleError(stores), "more than 262144 storages");
  // Seconds would mean a square of the length.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes(1));
}

} // namespace
