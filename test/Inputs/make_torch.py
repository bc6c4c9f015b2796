#!/usr/bin/env python3
# make_torch.py - Seeds for fuzzing the reader of torch files.
# SPDX-License-Identifier: Apache-2.0
"""Writes inputs of test/fuzz/torch_fuzz.cpp: archives, and pickles alone that
refer to its storages. Needs no package.

  make_torch.py --fuzz-corpus FOLDER
"""
import argparse
import io
import pathlib
import struct
import zipfile


def text(value):
    value = value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def number(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    return b"J" + struct.pack("<i", value)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


ORDERED = named("collections", "OrderedDict") + b")R"


def storage(kind, key, elements, module="torch"):
    return tuple_of(text("storage"), named(module, kind), text(key), text("cpu"),
                    number(elements)) + b"Q"


def tensor(source, offset, shape, strides, more=(), function="_rebuild_tensor_v2"):
    return named("torch._utils", function) + tuple_of(
        source, number(offset), tuple_of(*map(number, shape)), tuple_of(*map(number, strides)),
        b"\x89", ORDERED, *more) + b"R"


def state(*items):
    return b"\x80\x02" + ORDERED + b"q\x00(" + b"".join(items) + b"u"


def pickles():
    plain = tensor(storage("FloatStorage", "0", 16), 0, (4, 4), (4, 1))
    yield "plain", state(text("a"), plain) + b"."
    yield "types", state(*(part for i, (kind, size) in enumerate(
        (("Half", 2), ("BFloat16", 2), ("Double", 8), ("Long", 8), ("Int", 4), ("Short", 2),
         ("Char", 1)))
        for part in (text(f"t{i}"), tensor(storage(kind + "Storage", "1", 16 // size), 1,
                                           (1, 16 // size - 1), (9, 1))))) + b"."
    yield "tied", state(text("a"), plain + b"q\x05", text("b"), b"h\x05", text("c"),
                        tensor(storage("FloatStorage", "0", 16), 8, (8,), (1,))) + b"."
    yield "attribute", state(text("a"), plain) + b"}" + text("_metadata") + ORDERED + b"sb."
    yield "parameter", state(text("a"), named("torch._utils", "_rebuild_parameter") + tuple_of(
        plain, b"\x88", ORDERED) + b"R") + b"."
    yield "nested", b"\x80\x02}(" + text("epoch") + number(70000) + text("model") + \
        state(text("a"), plain)[2:] + text("x") + b"G" + bytes(8) + b"u."
    yield "typed", state(text("a"), tensor(
        storage("UntypedStorage", "0", 64, "torch.storage"), 0, (8, 8), (8, 1),
        [named("torch", "float8_e4m3fn")], "_rebuild_tensor_v3")) + b"."
    yield "transposed", state(text("a"), tensor(storage("FloatStorage", "0", 16), 0, (4, 4),
                                                (1, 4))) + b"."
    yield "empty", state(text("a"), tensor(storage("FloatStorage", "3", 0), 0, (0,), (1,))) + b"."
    yield "metadata", state(text("a"), tensor(storage("FloatStorage", "0", 16), 0, (), (),
                                              [b"}"])) + b"."
    yield "protocol4", b"\x80\x04\x95" + bytes(8) + b"\x8c\x0bcollections\x94\x8c\x0bOrderedDict" \
        b"\x94\x93\x94)R\x94(\x8c\x01a" + plain + b"h\x02)\x81012NK\x01\x85\x8a\x01\x05" \
        b"\x8b\x01\x00\x00\x00\x05\x86](K\x01eK\x02a\x87" + b"0u."
    yield "system", named("os", "system") + tuple_of(text("true")) + b"R."


def archive(pickle, **options):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as target:
        for name, content in (("data.pkl", pickle), ("byteorder", b"little"),
                              ("data/0", bytes(range(64))), ("data/1", bytes(16)),
                              ("version", b"3\n")):
            with target.open(zipfile.ZipInfo("t/" + name), "w",
                             force_zip64=name.startswith("data/")) as member:
                member.write(content)
    return out.getvalue()


def with_record64(data):
    """The same archive with Zip64 end records, as torch writes them."""
    end = data[-22:]
    count, _, size, start = struct.unpack("<HHII", end[8:20])
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(data) - 22, 1)
    return data[:-22] + record + locator + end[:8] + b"\xff" * 12 + end[20:]


def seeds():
    programs = dict(pickles())
    yield from programs.items()
    yield "zip", archive(programs["plain"])
    yield "zip-tied", archive(programs["tied"])
    yield "zip64", with_record64(archive(programs["plain"]))
    yield "zip-none", archive(b"")[:40]
    yield "before-1.6", bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz-corpus", metavar="FOLDER", required=True)
    path = pathlib.Path(parser.parse_args().fuzz_corpus)
    path.mkdir(parents=True, exist_ok=True)
    for name, content in seeds():
        (path / name).write_bytes(content)


if __name__ == "__main__":
    main()
