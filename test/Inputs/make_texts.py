#!/usr/bin/env python3
# make_texts.py - Seeds of what fuzzes runtime/text.
# SPDX-License-Identifier: Apache-2.0
"""Writes first inputs of one fuzzer of test/fuzz: chat templates, texts for each kind of
tokenizer, or changes of a tokenizer's image."""
import argparse
import pathlib
import struct

TEXT = pathlib.Path(__file__).resolve().parents[1] / "text"
# What the templates of test/text do not do.
TEMPLATES = [
    "{%- macro m(a, b=1, *c, **d) -%}{{ a ~ b }}{{ caller() if caller }}{%- endmacro -%}"
    "{% call m('x') %}y{% endcall %}{{ m(1, b=[2]) }}",
    "{% set ns = namespace(x=0) %}{% for k, v in d|dictsort if v %}{% set ns.x = ns.x + loop.index %}"
    "{% else %}none{% endfor %}{{ ns.x }}{{ l[::-1]|sort|map('string')|join(',') }}",
    "{{ tools|tojson(indent=2) }}{{ '%5.2f|%-4d|%s' % (1.5, 2, s) }}{{ '{:>8}'.format(n) }}",
    "{% filter upper %}{{ s.strip().split('e')|list }}{% endfilter %}{{ raise_exception('no') }}",
    "{% raw %}{{ x }}{% endraw %}{# c #}{{ n // 2 ** 3 % 5 - -1 if n is odd and n in l else 'é\\n' }}",
    "{{ strftime_now('%Y-%m-%d') }}{{ messages|selectattr('role', 'equalto', 'user')|list|length }}",
    "{% for m in messages recursive %}{{ loop.depth }}{% if loop.first %}{% continue %}{% endif %}"
    "{% break %}{% endfor %}",
]
# Each with a template of its own, with and without an argument.
METHODS = ("capitalize casefold center count encode endswith expandtabs find format get index isalnum "
           "isalpha isdigit islower isspace istitle isupper items join keys ljust lower lstrip partition "
           "removeprefix removesuffix replace rfind rjust rpartition rsplit rstrip split splitlines "
           "startswith strip swapcase title upper values zfill append extend pop update").split()
FILTERS = ("abs batch capitalize center count default dictsort escape first float forceescape format "
           "indent int items join last length list lower map max min reject rejectattr replace reverse "
           "round safe select selectattr slice sort string sum title tojson trim truncate unique upper "
           "urlencode").split()
TESTS = ("boolean callable defined divisibleby(2) eq(3) even false filter float ge(1) in(l) integer "
         "iterable lower mapping none number odd sameas(n) sequence string test true undefined upper").split()
TEXTS = ["Hello, World's  <s> 12345 \n\n\t", "a\u0301\u1100\u1161! '\u017f I'M can't",
         "\u2581\u5317\u4eac \U0001f642\u200d\u2640\ufe0f</s>", "aaaa    bbb<0x0A>\r\n",
         "\u0905\u0928\u0941 \u0e44\u0e17\u0e22 \u0645\u0631\u062d 0123 ab<x>ab", "\u00a0\u2003\u3000x_y(){}"]


def templates():
    for path in sorted((TEXT / "Inputs/templates").glob("*.jinja")):
        yield path.read_bytes()
    for template in TEMPLATES:
        yield template.encode()
    for name in METHODS:
        yield f"{{{{ s.{name}() }}}}{{{{ s.{name}('t') }}}}{{{{ d.{name}('a', 2) }}}}".encode()
        yield f"{{{{ s.{name}('e', 'x') }}}}{{{{ s.{name}(4) }}}}{{{{ d.{name}() }}}}".encode()
    for name in FILTERS:
        yield f"{{{{ l|{name} }}}}{{{{ s|{name} }}}}{{{{ d|{name} }}}}{{{{ n|{name} }}}}".encode()
        yield f"{{{{ l|{name}(2) }}}}{{{{ s|{name}(2) }}}}".encode()
    for name in TESTS:
        yield f"{{{{ s is {name} }}}}{{{{ n is not {name} }}}}{{{{ l is {name} }}}}".encode()


def texts():
    """The first byte chooses the tokenizer, and whether special tokens are read."""
    for kind in range(12):
        for i, text in enumerate(TEXTS):
            yield bytes([kind | (i % 2) << 7]) + text.encode()
    yield b"\0\xff\xfe\xc0\x80\xed\xa0\x80\xf5"


def images():
    """Which image, where, and what is written there."""
    for image in (0, 1):
        for at in range(0, 256, 4):
            for word in (0, 1, 0x7fffffff, 0xffffffff):
                yield struct.pack("<BHI", image, at, word)


def main():
    makers = {"chat_template": templates, "tokenize": texts, "tokenizer_image": images}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fuzzer", choices=makers)
    parser.add_argument("--fuzz-corpus", metavar="FOLDER", required=True)
    options = parser.parse_args()
    folder = pathlib.Path(options.fuzz_corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(makers[options.fuzzer]()):
        (folder / f"{options.fuzzer}-{number}").write_bytes(seed)


if __name__ == "__main__":
    main()
