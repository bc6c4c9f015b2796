#!/usr/bin/env python3
# openai_test.py - The official client against the server
# SPDX-License-Identifier: Apache-2.0
"""Usage: openai_test.py PROGRAM

PROGRAM is a compiled model as an executable. All that comes back goes through the
types of the `openai` package, which are made to refuse what does not fit them."""

import concurrent.futures
import re
import subprocess
import sys
import unittest

try:
    import openai
    from pydantic import BaseModel
except ImportError as error:
    print("skipped: %s (test/requirements.txt)" % error)
    sys.exit(77)

PROGRAM = None
QUESTION = [{"role": "user", "content": "hello"}]


def strictly(answer):
    """The client's objects take any fields; this checks types and names of all."""
    type(answer).model_validate(answer.model_dump(), strict=True)
    unknown = []

    def look(value, where):
        if isinstance(value, BaseModel):
            unknown.extend(where + "." + name for name in value.model_extra or {})
            for name in type(value).model_fields:
                look(getattr(value, name), where + "." + name)
        elif isinstance(value, list):
            for item in value:
                look(item, where)
    look(answer, type(answer).__name__)
    # Additions that are known: of llama-server and vLLM, which clients look for.
    assert set(unknown) <= {"Model.max_model_len", "Model.meta"}, unknown
    return answer


class OpenAITest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = subprocess.Popen([PROGRAM, "serve", "--port", "0"], stderr=subprocess.PIPE,
                                       text=True)
        line = cls.process.stderr.readline()
        cls.url = re.search(r"http://\S+/v1", line).group(0)
        cls.client = openai.OpenAI(base_url=cls.url, api_key="none", max_retries=0, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.process.terminate()
        assert cls.process.wait(30) == 0
        cls.process.stderr.close()

    def chat(self, **options):
        return self.client.chat.completions.create(
            **{**dict(model="x", messages=QUESTION, max_tokens=12), **options})

    def test_models(self):
        models = [strictly(m) for m in self.client.models.list()]
        self.assertEqual(len(models), 1)
        self.assertEqual(strictly(self.client.models.retrieve(models[0].id)), models[0])
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("other")
        self.assertEqual(caught.exception.code, "model_not_found")

    def test_chat(self):
        answer = strictly(self.chat(n=2, seed=1, temperature=1.5))
        self.assertEqual([c.index for c in answer.choices], [0, 1])
        for choice in answer.choices:
            self.assertEqual(choice.message.role, "assistant")
            self.assertIn(choice.finish_reason, ("stop", "length"))
        self.assertEqual(answer.usage.total_tokens,
                         answer.usage.prompt_tokens + answer.usage.completion_tokens)
        again = self.chat(n=2, seed=1, temperature=1.5)
        self.assertEqual([c.message for c in again.choices], [c.message for c in answer.choices])
        self.assertGreater(again.usage.prompt_tokens_details.cached_tokens, 0)

    def test_chat_stream(self):
        whole = self.chat(seed=1).choices[0]
        text, reason, usage = "", None, None
        for chunk in self.chat(seed=1, stream=True, stream_options={"include_usage": True}):
            strictly(chunk)
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
        self.assertEqual((text, reason), (whole.message.content, whole.finish_reason))
        self.assertLessEqual(usage.completion_tokens, 12)
        with self.client.chat.completions.stream(model="x", messages=QUESTION, seed=1,
                                                 max_tokens=12) as stream:
            self.assertEqual("".join(e.delta for e in stream if e.type == "content.delta"), text)

    def test_chat_logprobs(self):
        answer = strictly(self.chat(logprobs=True, top_logprobs=3, temperature=0,
                                    extra_body={"ignore_eos": True}))
        scores = answer.choices[0].logprobs.content
        self.assertEqual(len(scores), 12)
        for score in scores:
            self.assertEqual(len(score.top_logprobs), 3)
            self.assertEqual(score.logprob, score.top_logprobs[0].logprob)
            self.assertLessEqual(score.logprob, 0)
        data = bytes(b for score in scores for b in score.bytes)
        self.assertEqual(data.decode(errors="replace"), answer.choices[0].message.content)

    def test_completions(self):
        answer = strictly(self.client.completions.create(
            model="x", prompt=["hello", "hello you"], n=2, max_tokens=5, logprobs=2, seed=1))
        self.assertEqual([c.index for c in answer.choices], [0, 1, 2, 3])
        text = ""
        for chunk in self.client.completions.create(model="x", prompt="hello", max_tokens=5,
                                                    seed=1, stream=True):
            text += chunk.choices[0].text
            # OpenAI's own chunks have null here too, which the type does not say.
            chunk.choices[0].finish_reason = chunk.choices[0].finish_reason or "stop"
            strictly(chunk)
        self.assertEqual(text, answer.choices[0].text)

    def test_content_parts(self):
        parts = [{"role": "developer", "content": "be brief"},
                 {"role": "user", "content": [{"type": "text", "text": "hel"},
                                              {"type": "text", "text": "lo"}]}]
        plain = [{"role": "system", "content": "be brief"}, *QUESTION]
        self.assertEqual(self.chat(messages=parts, seed=1).choices[0].message,
                         self.chat(messages=plain, seed=1).choices[0].message)

    def test_errors(self):
        for options, name in [(dict(temperature=-1), "temperature"),
                              (dict(messages=[]), "messages"),
                              (dict(tools=[{"type": "function", "function": {"name": "f"}}]),
                               "tools"),
                              (dict(response_format={"type": "json_object"}), "response_format")]:
            with self.assertRaises(openai.BadRequestError) as caught:
                self.chat(**options)
            self.assertEqual(caught.exception.param, name)
            self.assertEqual(caught.exception.type, "invalid_request_error")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "user", "content": "word " * 40000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.NotFoundError):
            self.client.embeddings.create(model="x", input="y")

    def test_cancellation(self):
        stream = self.chat(stream=True, max_tokens=-1, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()  # and others are answered
        self.assertEqual(len(self.chat().choices), 1)

    def test_many_at_once(self):
        def ask(i):
            options = dict(max_tokens=40, seed=i, extra_body={"ignore_eos": True},
                           messages=[{"role": "user", "content": "hello %d" % i}])
            if i % 2:
                return self.chat(**options).choices[0].message.content
            return "".join(c.choices[0].delta.content or ""
                           for c in self.chat(stream=True, **options))
        alone = [ask(i) for i in range(16)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertEqual(list(pool.map(ask, range(16))), alone)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
