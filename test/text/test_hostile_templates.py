# test_hostile_templates.py - Chat templates that mean no good.
# SPDX-License-Identifier: Apache-2.0
"""Templates that never end, grow or nest without end are cut off by one error, soon and in
little memory; and thousands of templates that chance has changed give a text or one error. Also
run under sanitizers, see test/fuzz."""
import json
import os
import random
import re
import resource
import subprocess

import pytest
from conversations import conversations, dialogues
from test_templates import EXPRESSIONS, STATEMENTS, VARIABLES, template_files
from text_tool import TOOL

MUTATIONS = int(os.environ.get("QCC_TEMPLATE_MUTATIONS", 3000))
# Far above what one rendering may take, and far below what it would.
SECONDS, BYTES = 60, 1 << 30
# What cuts them off; a few ask for what cannot be had at all.
LIMITS = re.compile("takes more than|takes too many steps|needs more than|writes more than|"
                    "nested too deeply|has more than|overflow|unsupported format")


def render(template, variables=None, seconds=SECONDS):
    """The answer, of a process of its own whose time and memory are bounded."""
    request = {"op": "render", "template": template, "variables": json.dumps(variables or {}),
               "now": 1}
    with subprocess.Popen([TOOL, "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate((json.dumps(request) + "\n").encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"takes longer than {seconds} s: {template[:200]}")
    assert process.returncode == 0, err.decode()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < BYTES
    return json.loads(out)


def grow(step, start="'ab'", count=100000):
    return ("{% set ns = namespace(x=" + start + ", y=0) %}{% for i in range(" + str(count)
            + ") %}" + step + "{% endfor %}{{ ns.x|length }}")


# A text, and two that it nearly has everywhere.
HAY = ("{% set h = 'a' * 2000000 %}{% set n = 'a' * 1000000 ~ 'b' %}{% set m = 'b' ~ 'a' * 1000000 %}")

# Each would take more time or memory than there is.
ENDLESS = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loops that do nothing": "{% for i in range(99999) %}{% for j in range(99999) %}{% continue %}"
                             "{% endfor %}{% endfor %}",
    "loops with a condition": "{% for i in range(99999) %}{% for j in range(99999) if false %}"
                              "{% endfor %}{% endfor %}",
    "a loop over itself": "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
    "a macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "two macros": "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}"
                  "{% endmacro %}{{ a() }}",
    "a macro, twice": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}"
                      "{{ m(60) }}",
    "a caller": "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}"
                "{% endcall %}{% endmacro %}{{ n() }}",
    "a default argument": "{% macro m(a=m()) %}{% endmacro %}{{ m() }}",
    "text that doubles": grow("{% set ns.x = ns.x + ns.x %}"),
    "text that doubles by ~": grow("{% set ns.x = ns.x ~ ns.x %}"),
    "text that doubles in a block": grow("{% set t %}{{ ns.x }}{{ ns.x }}{% endset %}"
                                         "{% set ns.x = t %}"),
    "text that doubles by format": grow("{% set ns.x = '%s%s' % (ns.x, ns.x) %}"),
    "text that doubles by braces": grow("{% set ns.x = '{0}{0}'.format(ns.x) %}"),
    "text that doubles by replace": grow("{% set ns.x = ns.x|replace('a', 'aa') %}"),
    "text that doubles by join": grow("{% set ns.x = [ns.x, ns.x]|join(ns.x) %}"),
    "text that is escaped": grow("{% set ns.x = (ns.x|string)|forceescape|string + '&' %}", "'&&&'"),
    "text that is encoded": grow("{% set ns.x = ns.x|urlencode|urlencode %}", "'%%'"),
    "text that is quoted": grow("{% set ns.x = ns.x|tojson|tojson %}", "'\"'"),
    "text that is indented": grow("{% set ns.x = ns.x|indent(99999, true) %}", "'a\\nb\\n'"),
    "text of upper case": grow("{% set ns.x = (ns.x + ns.x)|upper|lower|title %}", "'ßŉ'"),
    "many texts": "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}"
                  "{% set ns.x = ns.x + ['x' * 99999] %}{% endfor %}",
    "many texts in one": "{% for i in range(99999) %}{% set x = 'x' * 9999 ~ i %}{{ x|length }}"
                         "{% endfor %}",
    "a list that doubles": grow("{% set ns.x = ns.x + ns.x %}", "[1]"),
    "a list by times": grow("{% set ns.x = ns.x * 9 %}", "[1]"),
    "a tuple that doubles": grow("{% set ns.x = ns.x + ns.x %}", "(1,)"),
    "text times": "{{ 'ab' * 10**15 }}",
    "times, twice": "{{ 'ab' * 10**4 * 10**4 * 10**4 }}",
    "a list times": "{{ [1] * 10**15 }}",
    "range": "{{ range(10**15)|length }}",
    "center": "{{ 'x'.center(10**15) }}", "center as a filter": "{{ 'x'|center(10**15) }}",
    "ljust": "{{ 'x'.ljust(10**15) }}", "zfill": "{{ 'x'.zfill(10**15) }}",
    "expandtabs of many": "{{ ('\\t' * 10**6).replace('\\t', ' ' * 10**6) }}",
    "width of %": "{{ '%1000000000000d' % 1 }}", "precision of %": "{{ '%.1000000000f' % 1 }}",
    "width of braces": "{{ '{:1000000000000}'.format(1) }}",
    "precision of braces": "{{ '{:.1000000000f}'.format(1.0) }}",
    "indentation of JSON": "{{ [[1]]|tojson(indent=10**12) }}",
    "replace": "{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}",
    "replace of nothing": "{{ ('a' * 10**6).replace('', 'b' * 10**6) }}",
    "join": "{{ range(99999)|join('b' * 10**6) }}",
    "slices": "{{ [1]|slice(10**15)|list }}",
    "batches": "{{ [1]|batch(10**15, 0)|list }}",
    "indent": "{{ ('\\n' * 10**6)|indent(10**6) }}",
    "splitlines": "{% for i in range(99999) %}{{ ('\\n' * 10**6).splitlines()|length }}{% endfor %}",
    "characters": "{% for i in range(99999) %}{{ ('x' * 10**6)|list|length }}{% endfor %}",
    "powers": "{{ 9 ** 9 ** 9 ** 9 }}",
    "a tree of shared lists": grow("{% set ns.x = [ns.x, ns.x] %}", "[1]", 90) + "{{ ns.x }}",
    "its JSON": grow("{% set ns.x = [ns.x, ns.x] %}", "[1]", 90) + "{{ ns.x|tojson }}",
    "its text": grow("{% set ns.x = {1: ns.x, 2: ns.x} %}", "[1]", 90) + "{{ ns.x|string }}",
    "two of it": grow("{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}", "[0]", 90)
                 + "{{ ns.x == [ns.y] }}{{ ns.x < [ns.y] }}",
    "sorting it": grow("{% set ns.x = [ns.x, ns.x] %}", "[1]", 90) + "{{ [ns.x, ns.x + []]|sort }}",
    "looking for it": grow("{% set ns.x = [ns.x, ns.x] %}", "[1]", 90) + "{{ ns.x in [ns.x + []] }}",
    "its sum": grow("{% set ns.x = [ns.x, ns.x] %}", "[1]", 30) + "{{ [ns.x, ns.x]|sum(start=[]) }}",
    "names by name": "{% set d = {} %}{% for i in range(99999) %}{{ d[i|string] }}{% set d = dict(d, x=i) %}"
                     "{% for j in range(99999) %}{{ d.x }}{% endfor %}{% endfor %}",
    "sorts": "{% for i in range(99999) %}{{ range(99999)|sort|first }}{% endfor %}",
    "unique": "{{ range(99999)|unique|list|length }}",
    "map of map": "{% for i in range(99999) %}"
                  "{{ range(99999)|map('string')|map('upper')|join|length }}{% endfor %}",
    "lookups": "{% set d = dict(d, k=1) %}{% for i in range(99999) %}{% for j in range(99999) %}"
               "{{ d[('x' * 9999, i)] }}{% endfor %}{% endfor %}",
    "tuples as keys": "{% set k = ('x' * 999999,) %}{% set ns = namespace(d={}) %}{% for i in range(99999)"
                      " %}{% set ns.d = dict(ns.d.items()|list + [((k, i), i)]) %}{% endfor %}",
    "in": HAY + "{{ n in h }}", "find": HAY + "{{ h.find(n) }}", "rfind": HAY + "{{ h.rfind(m) }}",
    "count": HAY + "{{ h.count(n) }}", "split": HAY + "{{ h.split(n) }}",
    "rsplit": HAY + "{{ h.rsplit(m) }}", "partition": HAY + "{{ h.partition(n) }}",
    "rpartition": HAY + "{{ h.rpartition(m) }}", "replace in vain": HAY + "{{ h.replace(n, '') }}",
    "replace as a filter": HAY + "{{ h|replace(n, '') }}",
    "strip": HAY + "{{ h.strip('b' * 10**6 ~ 'a') }}", "trim": HAY + "{{ h|trim('b' * 10**6 ~ 'a') }}",
    "time": "{{ strftime_now('%c' * 99999) }}",
}

# Cyclic values, and what else must be an answer or an error.
ODD = {
    "a namespace in itself": "{% set ns = namespace() %}{% set ns.x = ns %}{% set ns.y = [ns, {'a': ns}] %}"
                             "{{ ns }}{{ ns.y }}{{ ns == ns.x }}{{ ns.x.x.x.y == ns.y }}",
    "its JSON": "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x|tojson }}",
    "a loop kept": "{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.l = loop %}{% endfor %}"
                   "{{ ns.l.index }}{{ ns.l.nextitem }}{{ ns.l.cycle(1, 2) }}{{ ns.l(1) }}",
    "a caller kept": "{% set ns = namespace() %}{% macro m() %}{% set ns.c = caller %}{% endmacro %}"
                     "{% call m() %}x{% endcall %}{{ ns.c() }}{{ ns.c() }}",
    "a macro kept": "{% set ns = namespace() %}{% macro m(n) %}{% macro i() %}{{ n }}{% endmacro %}"
                    "{% set ns.i = i %}{% endmacro %}{{ m(5) }}{{ ns.i() }}",
    "shared generators": "{% set g = [1, 2]|map('string') %}{% for x in g %}{{ x }}{{ g|join }}{% endfor %}",
}


def deep(open, close, levels=100000, inside="1"):
    return open * levels + inside + close * levels


# By what a parser or an evaluation might recurse, or take quadratic time, in the source.
SOURCES = {
    "parentheses": "{{ " + deep("(", ")") + " }}", "lists": "{{ " + deep("[", "]") + " }}",
    "dicts": "{{ " + deep("{1:", "}") + " }}", "calls": "{{ " + deep("f(", ")") + " }}",
    "items": "{{ " + deep("a[", "]") + " }}", "not": "{{ " + "not " * 99999 + "1 }}",
    "minus": "{{ " + "-" * 99999 + "1 }}", "powers": "{{ 1" + "**1" * 99999 + " }}",
    "sums": "{{ 1" + "+1" * 99999 + " }}", "texts": "{{ 1" + "~1" * 99999 + " }}",
    "and": "{{ 1" + " and 1" * 99999 + " }}", "compare": "{{ 1" + " == 1" * 99999 + " }}",
    "attributes": "{{ a" + ".b" * 99999 + " }}", "filters": "{{ a" + "|string" * 99999 + " }}",
    "tests": "{{ 1" + " is number" * 99999 + " }}", "else": "{{ 1" + " if 0 else 1" * 99999 + " }}",
    "if": deep("{% if 1 %}", "{% endif %}"), "for": deep("{% for x in [1] %}", "{% endfor %}"),
    "elif": "{% if 0 %}" + "{% elif 0 %}" * 99999 + "{% endif %}",
    "macros": deep("{% macro m() %}", "{% endmacro %}"),
    "blocks": deep("{% set x %}", "{% endset %}"), "filter": deep("{% filter upper %}", "{% endfilter %}"),
    "with": deep("{% with %}", "{% endwith %}"), "targets": "{% set " + deep("(", ")", inside="x") + " = 1 %}",
    "unclosed": "{% if 1 %}" * 99999, "braces": "{" * 999999, "comment": "{#" * 999999,
    "outputs": "{{a}}" * 400000, "names": "".join("{{ a%d }}" % i for i in range(200000)),
    "sets": "".join("{%% set a%d=1 %%}" % i for i in range(150000)),
    "keys": "{{ {" + ",".join("%d:1" % i for i in range(200000)) + "}|length }}",
    "texts as keys": "{{ {" + ",".join("'%d':1" % i for i in range(200000)) + "}|length }}",
    "parameters": "{% macro m(" + ",".join("a%d" % i for i in range(200000)) + ") %}{% endmacro %}{{ m() }}",
    "arguments": "{% macro m() %}{{ kwargs|length }}{% endmacro %}{{ m("
                 + ",".join("a%d=1" % i for i in range(100000)) + ") }}",
    "one text": "{{ '" + "x" * 3000000 + "'|length }}", "one number": "{{ " + "9" * 3000000 + " }}",
    "one real": "{{ 1." + "9" * 3000000 + "e" + "9" * 99999 + " }}",
    "one name": "{{ " + "x" * 3000000 + " }}", "adjacent texts": "{{ " + "'x' " * 700000 + "}}",
    "zeros": "a\0b{{ '\0'|length }}{{ '\\0'|length }}", "more than the limit": "x" * (5 << 20),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_would_not_end_is_cut_off(name):
    answer = render(ENDLESS[name])
    assert "error" in answer, answer["text"][:100]
    assert LIMITS.search(answer["error"]), answer
    assert "\n" not in answer["error"] and len(answer["error"]) < 300


@pytest.mark.parametrize("name", ODD)
def test_odd_values(name):
    assert len(render(ODD[name])) == 1


@pytest.mark.parametrize("name", SOURCES)
def test_sources(name):
    answer = render(SOURCES[name])
    assert len(answer) == 1 and len(answer.get("error", "")) < 1100, answer


def pieces(source):
    return re.findall(r"\{[{%#]-?|-?[}%#]\}|'[^']*'|\"[^\"]*\"|\w+|\s+|.", source, re.DOTALL)


def mutate(rng, sources):
    """One of the templates with a few of its tokens deleted, doubled, exchanged, or taken from
    another, or with bytes changed."""
    parts = pieces(rng.choice(sources))
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        at, to = rng.randrange(len(parts) + 1), rng.randrange(len(parts) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            del parts[at:at + rng.choice([1, 1, 3])]
        elif kind == 1:
            parts[at:at] = parts[at:at + rng.choice([1, 5, 40])] * rng.choice([1, 2])
        elif kind == 2 and at < len(parts) and to < len(parts):
            parts[at], parts[to] = parts[to], parts[at]
        elif kind == 3:
            other = pieces(rng.choice(sources))
            begin = rng.randrange(len(other) + 1)
            parts[at:at + rng.randrange(3)] = other[begin:begin + rng.choice([1, 3, 20])]
        elif kind == 4:
            parts[at:at + 1] = [rng.choice(WORDS)]
        elif kind == 5 and at < len(parts):
            text = list(parts[at])
            text[rng.randrange(len(text))] = chr(rng.choice([0, 10, 34, 39, 92, 123, 125, 0x7FF, 0x1F642,
                                                            rng.randrange(32, 127)]))
            parts[at] = "".join(text)
        else:
            parts.insert(at, rng.choice(["|", ".", "(", ")", "[", "]", "-", "~", "*", "**", ",", "%}"]))
    return "".join(parts)


WORDS = ("99999999999 -1 0 1e999 none true loop caller varargs kwargs self namespace range dict join map "
         "select sort tojson items length recursive else is in not and or if for set macro call filter "
         "'' '\\u0000' messages tools x").split() + [w for w in re.split(r"[^a-z_]+", " ".join(EXPRESSIONS)) if w]


def test_mutations():
    rng = random.Random(11)
    sources = [f.read_text(encoding="utf-8") for f in template_files()]
    sources += ["{{ " + e + " }}" for line in EXPRESSIONS for e in line.split()] + STATEMENTS.split("\n")
    inputs = [VARIABLES] + (conversations(20, 4) + dialogues(20, 4))
    inputs = [json.dumps({**VARIABLES, **v}) for v in inputs]
    requests = [{"op": "render", "template": mutate(rng, sources), "variables": rng.choice(inputs),
                 "now": 1} for _ in range(MUTATIONS)]
    lines = "".join(json.dumps(r) + "\n" for r in requests).encode()
    done = subprocess.run([TOOL, "run"], input=lines, capture_output=True, timeout=20 * SECONDS)
    answers = done.stdout.decode().split("\n")[:-1]
    assert done.returncode == 0, (requests[len(answers)]["template"], done.stderr.decode())
    texts = 0
    for request, answer in zip(requests, map(json.loads, answers), strict=True):
        texts += "text" in answer
        assert len(answer) == 1 and len(answer.get("error", "")) < 1100, (request, answer)
    assert 0.1 < texts / len(requests) < 0.9
