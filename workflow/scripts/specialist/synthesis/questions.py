"""The candidates of one article: questions on each of its chunks, with the teacher's answers."""

import re
from concurrent.futures import ThreadPoolExecutor

from specialist.core.completions import MalformedError

NONE = re.compile(r"^\W*NONE\b")
LEAST_WORDS = 8  # of a chunk that is asked about
SHORTEST, LONGEST = 3, 60  # words of a question
MOST_ANSWER = 120  # words of an answer
WINDOW = 900  # words around a chunk that a teacher reads to tell that they hold no answer
# A customer knows no passage, and no label stands before what he writes.
LABEL = re.compile(r"^(?:question|customer|answer|q|a)\s*\d*\s*[:.)]\s*", re.IGNORECASE)
PASSAGE = re.compile(r"\b(?:passage|excerpt|(?:text|document|section) (?:above|says))\b", re.I)


def candidates(chunks, prompts, ask, *, questions, unanswerable, held_out, parallel=1):
    """The candidates of an article's chunks, in their order.

    Args:
        chunks: records of chunk_kb, of one article.
        prompts: `specialist.synthesis.resources.Prompts`.
        ask: function from a prompt to a `specialist.core.completions.Reply`, which may raise
            MalformedError; see `specialist.synthesis.journal.Journal.ask`.
        questions: questions of each style on each chunk.
        unanswerable: questions without an answer on each chunk, in the styles by turns.
        held_out: whether the held-out styles write too.
        parallel: chunks at the same time.

    Returns:
        list of dicts: "chunk" (its id), "source", "kind" ("question" or "unanswerable"), "style",
        "held_out", "question", "answer" (None for an unanswerable question), "read" (ids of the
        chunks that the teacher read for the answer) and "passage" (their text). A candidate that
        was not finished has "dropped", the reason, and "said", the reply, instead of what it lacks.
    """
    kept = [n for n, chunk in enumerate(chunks) if len(chunk["text"].split()) >= LEAST_WORDS]
    styles = [style for style in prompts.styles if held_out or not style.get("held_out")]
    trained = [style for style in styles if not style.get("held_out")]

    def of(number):
        writer = _Writer(chunks, number, prompts, ask)
        found = [
            writer.write("question", style, around=False)
            for style in styles
            for _ in range(questions)
        ]
        writer.earlier.clear()
        return found + [
            writer.write("unanswerable", trained[(number + i) % len(trained)], around=True)
            for i in range(unanswerable)
        ]

    with ThreadPoolExecutor(parallel) as pool:
        jobs = [pool.submit(of, number) for number in kept]
        try:
            return [row for job in jobs for row in job.result()]
        finally:
            pool.shutdown(cancel_futures=True)


class _Writer:
    """Writes the candidates of one chunk; the teacher sees the earlier questions on it."""

    def __init__(self, chunks, number, prompts, ask):
        self.chunks, self.number, self.prompts, self.ask = chunks, number, prompts, ask
        self.earlier = []

    def write(self, kind, style, around):
        """A candidate; see `candidates`.

        Args:
            around: whether the teacher reads the chunks around this one too.
        """
        chunk = self.chunks[self.number]
        read = self._window() if around else [chunk]
        passage = "\n\n".join(f"{each['title']}\n{each['text']}" for each in read)
        row = {key: chunk[key] for key in ("source",)} | {"chunk": chunk["id"], "kind": kind}
        row |= {"style": style["name"], "held_out": bool(style.get("held_out"))}
        prompt = self.prompts[kind](passage=passage, style=style["how"], earlier=list(self.earlier))
        question, why = said(self.ask, prompt, wrong_question)
        if why:
            return row | {"dropped": why, "said": question}
        self.earlier.append(question)
        row |= {"question": question, "read": [each["id"] for each in read], "passage": passage}
        prompt = self.prompts["answer"](passage=passage, question=question)
        answer, why = said(self.ask, prompt, lambda text: _wrong(text, kind == "unanswerable"))
        if why:
            return row | {"dropped": why, "said": answer}
        return row | {"answer": None if kind == "unanswerable" else answer}

    def _window(self):
        """The chunk and its neighbours, at most `WINDOW` words, in their order."""
        first = last = self.number
        words = len(self.chunks[first]["text"].split())
        while True:
            grown = False
            for step in (-1, 1):
                other = first - 1 if step < 0 else last + 1
                if not 0 <= other < len(self.chunks):
                    continue
                more = len(self.chunks[other]["text"].split())
                if words + more <= WINDOW:
                    words, grown = words + more, True
                    first, last = min(first, other), max(last, other)
            if not grown:
                return self.chunks[first : last + 1]


def said(ask, prompt, wrong):
    """(the reply to a prompt without label and quotes, why it is of no use or None)

    Args:
        ask: see `candidates`.
        wrong: function from the reply to a reason or None.
    """
    try:
        reply = ask(prompt)
    except MalformedError as error:
        return str(error), "malformed_reply"
    if not reply.whole:
        return reply.text, "unfinished_reply"
    text = LABEL.sub("", reply.text).strip('"“”„* ')
    return (text, wrong(text)) if text else ("", "empty_reply")


def wrong_question(text):
    """Why a text is no message of a customer, or None."""
    if not SHORTEST <= len(text.split()) <= LONGEST:
        return "question_length"
    return "mentions_the_passage" if PASSAGE.search(text) else None


def wrong_answer(text):
    """Why a text is no answer to a customer, or None."""
    if len(text.split()) > MOST_ANSWER:
        return "answer_length"
    return "mentions_the_passage" if PASSAGE.search(text) else None


def _wrong(text, declined):
    """The same for the answer to a question; with `declined`, one that has no answer."""
    if declined != bool(NONE.match(text)):
        return "is_answered" if declined else "no_answer"
    return None if declined else wrong_answer(text)
