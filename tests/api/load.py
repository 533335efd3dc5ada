"""Load: clients that never stop asking, and remember what they were told."""

import threading

from server import eventually
from wire import Cut


class Load:
    """Clients that ask a function again and again on kept connections, until they are stopped."""

    def __init__(self, function, clients=4, target="/"):
        self.function, self.target = function, target
        self.answers, self.cuts, self.lock = [], 0, threading.Lock()
        self.going = True
        self.threads = [threading.Thread(target=self._client) for _ in range(clients)]

    def _client(self):
        while self.going:
            try:
                with self.function.wire() as wire:
                    while self.going:
                        answer = wire.ask(self.target)
                        with self.lock:
                            self.answers.append((answer.status, answer.error, answer.body))
            except (OSError, EOFError, Cut):
                with self.lock:
                    self.cuts += 1

    def wait_for(self, more):
        """Until that many further answers came."""
        want = len(self.answers) + more
        assert eventually(lambda: len(self.answers) >= want)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_for(20)
        return self

    def __exit__(self, *_):
        self.going = False
        for thread in self.threads:
            thread.join()

    @property
    def failed(self):
        return [answer for answer in self.answers if answer[0] != 200]
