#!/usr/bin/env python3
# float_head.py - A GGUF file whose embedding is BF16.
# SPDX-License-Identifier: Apache-2.0
"""Quantized Hugging Face folders leave the embedding, and with it a tied head, in
BF16, where GGUF files quantize it. For a comparison of the layers alone this gives a
GGUF file the head of a folder; everything else is copied.

    float_head.py MODEL.gguf OUTPUT.gguf
"""
import sys

import gguf


def copy_fields(reader, writer):
    for name, field in reader.fields.items():
        # The writer makes these itself.
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, element)


def main(source, output):
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(output, architecture)
    copy_fields(reader, writer)
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if tensor.name == "token_embd.weight":
            kind = gguf.GGMLQuantizationType.BF16
            data = gguf.quantize(gguf.dequantize(data, tensor.tensor_type), kind)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
