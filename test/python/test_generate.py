# test_generate.py - The interface of transformers, on tiny models.
# SPDX-License-Identifier: Apache-2.0
"""Logits and greedy tokens are compared with those that transformers itself gave
for a model that it wrote (test/architectures)."""

import contextlib
import io
import pathlib

import numpy as np
import pytest
import qcc

REFERENCE = pathlib.Path(__file__).resolve().parents[1] / "architectures/llama/reference.npz"


@pytest.fixture(scope="module")
def reference():
    return np.load(REFERENCE)


@pytest.fixture
def folder_llm(folder_library):
    with qcc.load(folder_library) as llm:
        yield llm


@pytest.fixture
def tokenizer(library):
    with qcc.AutoTokenizer.from_pretrained(library) as tokenizer:
        yield tokenizer


def test_logits_are_those_of_transformers(folder_llm, reference):
    for number in range(3):
        ids = reference[f"prompt.{number}"][None].astype(np.int64)
        logits = folder_llm(ids).logits
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits[0], reference[f"logits.{number}"], atol=2e-4)
        folder_llm.reset()
        folder_llm.eval(ids[0])
        assert (folder_llm.logits == logits[0, -1]).all()


def test_greedy_tokens_are_those_of_transformers(folder_llm, reference):
    prompt, greedy = reference["prompt.0"], reference["greedy"].tolist()
    ids = folder_llm.generate(prompt[None].astype(np.int64), max_new_tokens=len(greedy))
    assert ids.dtype == np.int64 and ids.tolist() == [[*prompt.tolist(), *greedy]]


def test_a_model_without_a_tokenizer(folder_llm):
    with pytest.raises(qcc.QccError, match="no tokenizer: use token ids") as caught:
        folder_llm("text")
    assert caught.value.code == -11
    with pytest.raises(qcc.QccError, match="no tokenizer"):
        folder_llm.chat([{"role": "user", "content": "x"}])


def test_types_come_back(llm):
    expected = llm.generate([[65, 66, 67]], max_new_tokens=4)
    assert isinstance(expected, list) and len(expected[0]) == 7
    assert llm.generate(input_ids=np.array([[65, 66, 67]], np.int32),
                        max_new_tokens=4).dtype == np.int32
    torch = pytest.importorskip("torch")
    ids = torch.tensor([[65, 66, 67]])
    answer = llm.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=4)
    assert answer.dtype == ids.dtype and answer.tolist() == expected
    assert isinstance(llm(ids).logits, torch.Tensor)


def test_defaults_and_lengths(llm):
    ids = [[65, 66, 67]]
    longest = llm.generate(ids, max_new_tokens=20)
    assert llm.generate(ids) == longest
    assert llm.generate(ids, max_length=6) == [longest[0][:6]]
    assert llm.generate(ids, max_new_tokens=0) == ids
    # Greedy is what ctransformers' generator gives for the flat list.
    assert list(llm.generate(ids[0], max_new_tokens=20, temperature=0)) == longest[0][3:]


def test_end_tokens(llm):
    ids = [[65, 66, 67]]
    free = llm.generate(ids, max_new_tokens=20)[0]
    end = free[8]
    cut = free[:free.index(end, 3) + 1]
    assert llm.generate(ids, max_new_tokens=20, eos_token_id=end) == [cut]
    assert llm.generate(ids, max_new_tokens=20, eos_token_id=[end, 1000]) == [cut]


def test_a_padded_batch(llm):
    short, long = [65, 66], [70, 71, 72, 73]
    alone = [llm.generate([row], max_new_tokens=3)[0] for row in (short, long)]
    batch = llm.generate([[256, 256, *short], long], attention_mask=[[0, 0, 1, 1], [1, 1, 1, 1]],
                         max_new_tokens=3)
    assert batch == [[256, 256, *alone[0]], alone[1]]
    end = alone[0][2]
    batch = llm.generate(np.array([[256, 256, *short], long]), max_new_tokens=3,
                         attention_mask=np.array([[0, 0, 1, 1], [1, 1, 1, 1]]), eos_token_id=end,
                         pad_token_id=9)
    assert batch[0].tolist() == [256, 256, *short, end, 9, 9]
    with pytest.raises(ValueError, match="row 0: expected padding on the left"):
        llm.generate([[65, 256]], attention_mask=[[1, 0]])
    with pytest.raises(ValueError, match="shape of input_ids"):
        llm.generate([[65, 256]], attention_mask=[[1]])


def padded(prompts, pad):
    width = max(map(len, prompts))
    return ([[pad] * (width - len(row)) + row for row in prompts],
            [[0] * (width - len(row)) + [1] * len(row) for row in prompts])


def test_a_row_is_what_it_is_alone(llm, monkeypatch):
    """Of more rows than a step has, with prompts of both kinds of steps, and one that
    fills the context."""
    lengths = [3, 16, 17, 40, 125, *range(1, 16)]
    prompts = [[(7 * row + 5 * at) % 256 for at in range(n)] for row, n in enumerate(lengths)]
    settings = dict(do_sample=True, temperature=2.0, seed=3, max_new_tokens=9, pad_token_id=256,
                    eos_token_id=[5, 70, 71, 200])
    alone = [llm.generate([prompt], **settings)[0][len(prompt):] for prompt in prompts]
    assert len(alone[4]) == 4 and len({len(answer) for answer in alone}) > 3
    steps = []
    advance = qcc._session.Session.advance

    def counted(session, sequences, tokens):
        steps.append(len(tokens))
        return advance(session, sequences, tokens)

    monkeypatch.setattr(qcc._session.Session, "advance", counted)
    rows, mask = padded(prompts, 256)
    answers = [row[125:] for row in llm.generate(rows, attention_mask=mask, **settings)]
    assert answers == [answer + [256] * (9 - len(answer)) for answer in alone]
    assert max(steps) == 16 and len(steps) <= 16 and sum(steps) == sum(map(len, alone)) - 20
    assert llm.tokens == []
    # Lengths count what a row was padded with.
    assert llm.generate([[256, 65], [65, 66]], attention_mask=[[0, 1], [1, 1]], max_length=3) == [
        [256, *llm.generate([[65]], max_new_tokens=1)[0]],
        llm.generate([[65, 66]], max_new_tokens=1)[0]]


def test_a_batch_that_something_interrupts(llm):
    class Resets:
        def put(self, value):
            llm.reset()

    with pytest.raises(qcc.QccError, match="another call changed the sequence"):
        llm.generate([[1]], streamer=Resets())
    assert len(llm.generate([[1], [2]])) == 2


@pytest.mark.models
def test_a_batch_of_a_real_model(smol, cache):
    texts = ["The capital of France is", "1, 2, 3,", "In the beginning there was a compiler that "
             "read the weights of a language model once for each of its many readers, and then"]
    with qcc.AutoModelForCausalLM.from_pretrained(smol, cache_dir=cache) as llm, \
            qcc.AutoTokenizer.from_pretrained(smol, cache_dir=cache) as tokenizer:
        inputs = tokenizer(texts, return_tensors="np", padding=True)
        batch = llm.generate(**inputs, max_new_tokens=24)
        for text, row in zip(texts, batch):
            one = tokenizer(text, return_tensors="np").input_ids
            alone = llm.generate(one, max_new_tokens=24)[0][one.shape[1]:]
            answer = row[inputs.input_ids.shape[1]:]
            assert answer[:len(alone)].tolist() == alone.tolist()
            assert (answer[len(alone):] == llm.pad_token_id).all()
        assert "Paris" in tokenizer.decode(batch[0])


def test_sampling(llm):
    ids = [[65, 66, 67]]
    settings = dict(do_sample=True, temperature=3.0, max_new_tokens=20)
    one = llm.generate(ids, seed=1, **settings)
    assert one == llm.generate(ids, seed=1, **settings) != llm.generate(ids, seed=2, **settings)


def test_stop_strings(llm, tokenizer):
    ids = [[65, 66, 67]]
    settings = dict(do_sample=True, temperature=3.0, top_k=0, seed=4, eos_token_id=287)
    free = llm.generate(ids, max_new_tokens=60, **settings)[0]
    pieces = [llm.detokenize(token) for token in free[3:]]
    at = next(i for i, piece in enumerate(pieces) if piece.isascii() and piece.isalnum())
    stopped = llm.generate(ids, max_new_tokens=60, stop_strings=pieces[at], tokenizer=tokenizer,
                           **settings)
    assert stopped == [free[:3 + at + 1]]


def test_what_is_not_there_is_named(llm):
    with pytest.raises(TypeError, match="'penalty_alpha' is an invalid keyword argument"):
        llm.generate([[1]], penalty_alpha=0.5)
    with pytest.raises(ValueError, match="num_beams=4 is not supported"):
        llm.generate([[1]], num_beams=4)
    for wrong in ("text", 5, [[[1]]], None):
        with pytest.raises(TypeError, match="expected token ids"):
            llm.generate(wrong)


def test_streamers(llm, tokenizer):
    prompt = tokenizer("hi", return_tensors="np").input_ids
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        answer = llm.generate(prompt, max_new_tokens=8, streamer=qcc.TextStreamer(tokenizer))
    assert out.getvalue() == tokenizer.decode(answer[0], skip_special_tokens=True) + "\n"

    class Collect:
        ids, ended = [], False

        def put(self, value):
            assert value.shape in ((1, 2), (1,))
            self.ids += value.reshape(-1).tolist()

        def end(self):
            self.ended = True

    collect = Collect()
    assert llm.generate(prompt.tolist(), max_new_tokens=8, streamer=collect) == [collect.ids]
    assert collect.ended
    with pytest.raises(ValueError, match="streamer: expected a batch of 1"):
        llm.generate([[1], [2]], streamer=collect)


def test_tokenizer(tokenizer, llm):
    assert tokenizer("ab") == {"input_ids": llm.tokenize("ab"), "attention_mask": [1, 1]}
    assert tokenizer.encode("ab") == llm.tokenize("ab") and tokenizer.vocab_size == 288
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|extra0|>", 256)
    batch = tokenizer(["a", "bcd"], return_tensors="np", padding=True)
    assert batch.input_ids.shape == (2, 3) and batch["attention_mask"].tolist()[0] == [0, 0, 1]
    assert tokenizer.batch_decode(batch.input_ids, skip_special_tokens=True) == ["a", "bcd"]
    assert tokenizer.decode(batch.input_ids) == ["<|extra0|><|extra0|>a", "bcd"]
    assert batch.to(llm.device).input_ids.shape == (2, 3)
    with pytest.raises(ValueError, match="padding=True"):
        tokenizer(["a", "bcd"], return_tensors="np")
    with pytest.raises(ValueError, match="'tf'"):
        tokenizer("a", return_tensors="tf")
    with pytest.raises(AttributeError):
        batch.nothing


def test_chat_template(tokenizer):
    messages = [{"role": "user", "content": "hi"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "[user]hi[assistant]" and "m.role" in tokenizer.chat_template
    encoding = tokenizer.apply_chat_template(messages, add_generation_prompt=True,
                                             return_tensors="np")
    assert tokenizer.decode(encoding.input_ids[0]) == text
    assert tokenizer.apply_chat_template(messages, return_dict=False) == tokenizer.encode("[user]hi")
