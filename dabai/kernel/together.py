"""Questions that come at the same time, answered together.

Whole cities ask at once. Each question alone would cost its own statements, and each waiting thread its own wake-ups;
one thread with a connection of its own takes whatever waits, asks once for all of it, and hands the answers out. While
it works the next questions gather, so the busier it gets the less each one costs, and a lone question waits for nobody.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from django.db import connection

Question = TypeVar("Question")
Answer = TypeVar("Answer")
PATIENCE = 30.0
GATHER_SECONDS = 0.004


class Together(Generic[Question, Answer]):
    """``ask(question)`` answers one; ``work(questions)`` answers several, in order, from the database.

    At most ``limit`` questions are worked on at once. When ``work`` fails, each question is tried alone, so that one
    that can't be answered takes no neighbour with it; its own error reaches whoever asked it. ``TimeoutError`` after
    half a minute.
    """

    def __init__(self, name: str, work: Callable[[Sequence[Question]], Sequence[Answer]], limit: int = 200) -> None:
        self.name, self.work, self.limit = name, work, limit
        self.waiting: queue.SimpleQueue[tuple[Question, Future[Answer]]] = queue.SimpleQueue()
        self.busy = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Answer:
        """The answer to one question."""
        answer: Future[Answer] = Future()
        self.waiting.put((question, answer))
        if self._thread is None or not self._thread.is_alive():
            self._start()
        return answer.result(PATIENCE)

    def _start(self) -> None:
        """Start the thread at first use: after any fork, and again should it ever have ended."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=f"dabai-{self.name}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        """Answer for ever."""
        while True:
            self._answer(self._gather())

    def _gather(self) -> list[tuple[Question, "Future[Answer]"]]:
        """Wait for a question, then take what else is waiting. Where the last one was not alone, more are on their way:
        a moment's sleep lets them come, which costs less than waking up for each."""
        group = [self.waiting.get()]
        if self.busy:
            time.sleep(GATHER_SECONDS)
        while len(group) < self.limit:
            try:
                group.append(self.waiting.get_nowait())
            except queue.Empty:
                break
        self.busy = len(group) > 1
        return group

    def _answer(self, group: Sequence[tuple[Question, "Future[Answer]"]]) -> None:
        """Work on a group; when that fails, perhaps because the connection was lost meanwhile, on each of it alone."""
        try:
            answers = self.work([question for question, _ in group])
        except Exception:
            connection.close()
            for one in group:
                self._answer_alone(*one)
            return
        for (_, future), answer in zip(group, answers, strict=True):
            future.set_result(answer)

    def _answer_alone(self, question: Question, future: "Future[Answer]") -> None:
        """Work on one question; its error is its asker's."""
        try:
            future.set_result(self.work([question])[0])
        except Exception as error:
            connection.close()
            future.set_exception(error)
