# test_llm.py - The interface of ctransformers, on a tiny model.
# SPDX-License-Identifier: Apache-2.0
"""A token of the model is a byte of text, and its 32 last are control tokens, of
which 256 ends an answer."""

import os
import subprocess
import threading

import numpy as np
import pytest
import qcc
from qcc import _abi

GREEDY = dict(temperature=0, repetition_penalty=1.0)


def test_what_it_is(llm, library):
    assert llm.model_type == "llama" and llm.model_path == str(library)
    assert (llm.vocab_size, llm.context_length, llm.eos_token_id) == (288, 128, 256)
    assert llm.bos_token_id == -1 or llm.bos_token_id < 288
    assert "for x86-64-v3" in repr(llm) and llm.device == "cpu"


def test_tokens_and_text(llm):
    text = "na\u00efve \u4e2d\u6587 \U0001f600\0<|extra1|>"
    tokens = llm.tokenize(text)
    assert bytes(tokens[:-1]) != b"" and tokens[-1] == 257
    assert len(tokens) == len(text.encode()) - len("<|extra1|>") + 1
    assert llm.detokenize(tokens) == text[:-len("<|extra1|>")]
    assert llm.detokenize(tokens, special=True) == text
    assert llm.detokenize(tokens, decode=False) == text[:-len("<|extra1|>")].encode()
    assert 257 not in llm.tokenize(text, parse_special=False)
    assert llm.detokenize(tokens[0]) == "n" and llm.detokenize([]) == "" and llm.tokenize("") == []
    assert llm.is_eos_token(256) and not llm.is_eos_token(65)
    with pytest.raises(ValueError, match="token 288: expected 0 to 287"):
        llm.detokenize([288])


def test_steps_are_what_generate_does(llm):
    prompt = llm.tokenize("once upon")
    expected = list(llm.generate(prompt, max_new_tokens=12, **GREEDY))
    llm.reset()
    llm.eval(prompt)
    steps = []
    while len(steps) < 12:
        token = llm.sample(**GREEDY)
        assert token == int(llm.logits.argmax())
        if llm.is_eos_token(token):
            break
        steps.append(token)
        llm.eval([token])
    assert steps == expected and llm.tokens[:len(prompt)] == prompt


def test_a_library_older_than_next(llm, library, monkeypatch):
    """Its table ends before qcc_next()."""
    prompt, settings = llm.tokenize("once upon"), dict(max_new_tokens=-1, seed=7)
    expected = list(llm.generate(prompt, **settings))
    reason = llm.stop_reason
    monkeypatch.setattr(_abi, "FUNCTIONS", _abi.FUNCTIONS[:-1])
    with qcc.load(library, threads=1) as old:
        assert not hasattr(old.model.api, "next")
        assert list(old.generate(prompt, **settings)) == expected
        assert old.stop_reason == reason and old.tokens == llm.tokens


def test_text_is_that_of_the_executable(llm, library):
    """The runtime's own loop, with the same seed: samplers, stop texts and UTF-8."""
    for options, settings in (
            ([], dict(seed=7)),
            (["--temp", "2", "--top-k", "0", "--top-p", "1", "--min-p", "0"],
             dict(seed=7, temperature=2, top_k=0, top_p=1.0, min_p=0.0)),
            (["--repeat-penalty", "1.5", "--temp", "1.5"],
             dict(seed=7, repetition_penalty=1.5, temperature=1.5))):
        command = [os.environ["QCC"], "run", str(library), "--raw", "-n", "60", "--seed", "7",
                   *options, "once upon a time"]
        expected = subprocess.run(command, check=True, capture_output=True).stdout.decode()
        text = llm("once upon a time", max_new_tokens=60, **settings)
        assert text.rstrip("\n") == expected.rstrip("\n")
        assert "".join(llm("once upon a time", max_new_tokens=60, stream=True, **settings)) == text


def test_stop_texts(llm):
    text = llm("abc", max_new_tokens=100, seed=3, temperature=2.0)
    stop = text[20:23]
    assert llm.stop_reason == "length" and len(stop) == 3
    pieces = list(llm("abc", max_new_tokens=100, seed=3, temperature=2.0, stop=["never" * 9, stop],
                      stream=True))
    assert "".join(pieces) == text[:text.find(stop)] and llm.stop_reason == "stop"
    assert llm("abc", max_new_tokens=100, seed=3, temperature=2.0, stop=stop) == "".join(pieces)
    # One that begins and does not go on comes out at the end.
    assert llm("abc", max_new_tokens=100, seed=3, temperature=2.0, stop=[text[-2:] + "never"]) == text
    with pytest.raises(ValueError, match="empty"):
        llm("abc", stop=[""])


def test_a_conversation_goes_on_without_reset(llm):
    first = list(llm.generate(llm.tokenize("ab"), max_new_tokens=5, **GREEDY))
    assert llm.tokens == [*llm.tokenize("ab"), *first]
    second = list(llm.generate(llm.tokenize("cd"), max_new_tokens=5, reset=False, **GREEDY))
    assert llm.tokens == [*llm.tokenize("ab"), *first, *llm.tokenize("cd"), *second]
    llm.reset()
    assert llm.tokens == []
    with pytest.raises(qcc.QccError, match="no logits"):
        qcc.load(llm.model_path).logits


def test_seed(llm):
    one, two = (llm("x", seed=5, temperature=2.0, max_new_tokens=20) for _ in range(2))
    assert one == two != llm("x", seed=6, temperature=2.0, max_new_tokens=20)
    llm.reset()
    llm.eval(llm.tokenize("x"))
    drawn = [llm.sample(seed=5, temperature=2.0) for _ in range(20)]
    assert len(set(drawn)) > 1  # the random numbers go on
    llm.reset()
    llm.eval(llm.tokenize("x"))
    assert [llm.sample(seed=5, temperature=2.0) for _ in range(20)] == drawn


def test_the_context_ends(llm):
    text = llm("a" * 100, max_new_tokens=-1, seed=1, temperature=2.0)
    assert llm.stop_reason in ("context", "end") and len(llm.tokens) <= 129 and text is not None
    with pytest.raises(qcc.QccError, match="129 tokens do not fit into a context of 128") as caught:
        llm("a" * 129)
    assert caught.value.code == -5
    assert llm("a" * 128, max_new_tokens=5, **GREEDY) is not None
    with qcc.load(llm.model_path, context_length=16) as small:
        assert small.context_length == 16


def test_prompts_in_several_steps(llm):
    prompt = [int(t) for t in np.random.default_rng(1).integers(0, 256, 100)]
    seen = []
    llm.eval(prompt, progress=lambda done, total: seen.append((done, total)), batch_size=32)
    assert seen == [(32, 100), (64, 100), (96, 100), (100, 100)]
    logits = llm.logits
    assert logits.dtype == np.float32 and logits.shape == (288,)
    llm.reset()

    def interrupt(done, total):
        raise KeyboardInterrupt

    llm.eval([1, 2, 3])
    with pytest.raises(KeyboardInterrupt):
        llm.eval(prompt, progress=interrupt, batch_size=32)
    assert llm.tokens == [1, 2, 3]


def test_other_threads_for_a_call(llm):
    llm.eval(llm.tokenize("some text"))
    before, tokens = llm.logits, llm.tokens
    llm.eval([65], threads=2)
    after = llm.logits
    assert llm.tokens == [*tokens, 65] and llm.session.options[0] == 2
    llm.reset()
    llm.eval(tokens)
    assert (llm.logits == before).all()
    llm.eval([65])
    assert (llm.logits == after).all()


def test_chat(llm):
    messages = [{"role": "user", "content": "hi \u00e9"}]
    assert llm.render_chat(messages) == "[user]hi \u00e9[assistant]"
    assert llm.render_chat(messages, add_generation_prompt=False, mood="calm") == (
        "[user]hi \u00e9(calm)")
    tools = [{"type": "function", "function": {"name": "weather"}}]
    assert llm.render_chat(messages, tools) == "[user]hi \u00e9weather[assistant]"
    answer = llm.chat(messages, tools, max_new_tokens=9, **GREEDY)
    assert answer == llm("[user]hi \u00e9weather[assistant]", max_new_tokens=9, **GREEDY)
    assert "".join(llm.chat(messages, tools, max_new_tokens=9, stream=True, **GREEDY)) == answer
    with pytest.raises(TypeError, match="as JSON"):
        llm.chat([{"role": "user", "content": object()}])


def test_what_is_not_there_is_named(llm, library):
    with pytest.raises(NotImplementedError, match="embeddings"):
        llm.embed("text")
    for call in (lambda: llm("x", frequency=1), lambda: llm.sample(frequency=1),
                 lambda: qcc.load(library, frequency=1),
                 lambda: qcc.AutoModelForCausalLM.from_pretrained(library, frequency=1),
                 lambda: qcc.AutoTokenizer.from_pretrained(library, frequency=1)):
        with pytest.raises(TypeError, match="'frequency' is an invalid keyword argument"):
            call()
    with pytest.raises(qcc.QccError, match="this model has no code for a GPU"):
        qcc.load(library, gpu_layers=5)
    with pytest.raises(ValueError, match="gpu_layers=-2 is not supported, expected -1 or more"):
        qcc.load(library, gpu_layers=-2)
    with pytest.raises(ValueError, match="device_map='cuda' is not supported"):
        qcc.AutoModelForCausalLM.from_pretrained(library, device_map="cuda")
    with pytest.raises(ValueError, match="compiled already: --target=x86-64-v3"):
        qcc.AutoModelForCausalLM.from_pretrained(library, target="x86-64-v3")


def test_nothing_is_drawn_from_old_logits(llm):
    llm("abc", max_new_tokens=2)
    for wrong in (lambda: llm(""), lambda: llm.eval([]), llm.sample, lambda: llm.logits):
        llm.reset()
        with pytest.raises(qcc.QccError, match="no tokens to evaluate|no logits") as caught:
            wrong()
        assert caught.value.code == -1


def test_numbers_that_do_not_fit(llm, library):
    with pytest.raises(ValueError, match="top_k: 4294967296 is out of range"):
        llm("x", top_k=1 << 32)
    with pytest.raises(ValueError, match="context: 4294967296 is out of range"):
        qcc.load(library, context_length=1 << 32)
    with pytest.raises(TypeError):
        llm.eval([1.5])
    with pytest.raises(qcc.QccError, match="top_p|temperature|repeat"):
        llm("x", repetition_penalty=-1.0)
    llm.eval(np.array([1, 2, 3], np.uint8))
    assert llm.tokens == [1, 2, 3]


def test_what_is_no_library(tmp_path, checkpoint):
    with pytest.raises(qcc.QccError, match="tiny.gguf: cannot load, expected a library"):
        qcc.load(checkpoint)
    with pytest.raises(qcc.QccError, match="no-such.so: cannot load"):
        qcc.load(tmp_path / "no-such.so")
    with pytest.raises(qcc.QccError, match="not a compiled model: no symbol `qcc_model_query`"):
        qcc.load("/lib/x86_64-linux-gnu/libc.so.6")
    with pytest.raises(qcc.QccError, match="target"):
        qcc.load(checkpoint.with_suffix(".so"), target="z80")


def test_close(library):
    with qcc.load(library) as llm:
        stream = llm("abc", stream=True, seed=1)
        next(stream)
    for use in (lambda: next(stream), lambda: llm("x"), lambda: llm.tokenize("x"),
                lambda: llm.logits, llm.reset):
        with pytest.raises(qcc.QccError, match="closed"):
            use()
    llm.close()
    assert "closed" in repr(llm)


def test_a_model_outlives_its_sessions(library):
    from qcc._model import Model
    from qcc._session import Session
    model = Model(str(library))
    session, other = Session(model, threads=1), Session(model, threads=1)
    model.close()
    session.close()
    other.eval([1, 2, 3])
    assert other.logits().shape == (288,)
    other.close()
    with pytest.raises(qcc.QccError, match="the model is closed"):
        model.tokenize("x", 0)


def test_a_stream_notices_another_call(llm):
    stream = llm("abc", stream=True, seed=1, temperature=2.0)
    next(stream)
    llm("def", max_new_tokens=2)
    with pytest.raises(qcc.QccError, match="load the model once for each stream"):
        list(stream)


def test_threads_wait_for_each_other(llm):
    prompts = ["one", "two", "three"]
    alone = [llm(prompt, max_new_tokens=30, **GREEDY) for prompt in prompts]
    answers = {}

    def work(prompt):
        answers[prompt] = llm(prompt, max_new_tokens=30, **GREEDY)

    threads = [threading.Thread(target=work, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[prompt] for prompt in prompts] == alone


def test_cancel(llm):
    llm.cancel()
    with pytest.raises(qcc.QccError) as caught:
        llm("abc")
    assert caught.value.code == -6
    assert llm("abc", max_new_tokens=3, **GREEDY) is not None


def test_a_child_process_does_not_touch_it(llm):
    llm.eval([1, 2, 3])
    child = os.fork()
    if child == 0:
        try:
            llm.eval([4])
            os._exit(1)
        except qcc.QccError as error:
            del llm
            os._exit(0 if "before fork()" in str(error) else 2)
    assert os.waitpid(child, 0)[1] == 0
    llm.eval([4])
    assert llm.tokens == [1, 2, 3, 4]
