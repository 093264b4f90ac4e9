"""The way out of the daemon: the state file, the thread that delivers from it, the own broker."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from edge.broker import EmbeddedBroker
from edge.errors import StoreError, UnavailableError
from edge.publisher import Publisher
from edge.sinks import Destination, open_sink
from edge.site import Mqtt, Site
from edge.store import Store
from edge.types import Asked

log = logging.getLogger(__name__)

RETRY_S = 5.0

Done = TypeVar("Done")


@dataclass(frozen=True)
class Outlet:
    store: Store
    publisher: Publisher
    address: str
    """Where others find the events: mqtt://host:port."""
    _serves: tuple[object, ...] = field(repr=False)

    def fits(self, site: Site) -> bool:
        """Whether this is the outlet for the site, as far as its password files can be read."""
        try:
            return serves(site) == self._serves
        except UnavailableError:
            return False


def serves(site: Site) -> tuple[object, ...]:
    """Return what an outlet depends on, to compare: it holds passwords and is never shown."""
    return site.node, site.state, site.mqtt, _passwords(site.mqtt)


@contextlib.contextmanager
def open_outlet(
    site: Site, ask: Callable[[Asked], None], stop: threading.Event, patient: bool = True
) -> Iterator[Outlet]:
    """Open state file and delivery, and close them in order: what still waits is sent first.

    The publisher is to be started when the ledger has written what there is to be told.

    A state file that cannot be opened is reported and tried again until stop is set, or raises
    StoreError at once if not patient. Raises UnavailableError where the embedded broker's port is
    in use.
    """
    with contextlib.ExitStack() as stack:
        ours = serves(site)
        destination = _destination(site, stack)
        open_store = partial(Store, site.state)
        store = patiently(open_store, stop) if patient else open_store()
        stack.callback(store.close)

        def hear(verb: str, payload: bytes) -> None:
            ask(Asked(verb, payload, partial(publisher.answer, verb)))

        publisher = Publisher(store, open_sink(destination), hear)
        stack.callback(publisher.stop)
        yield Outlet(store, publisher, destination.url, ours)


def _destination(site: Site, stack: contextlib.ExitStack) -> Destination:
    mqtt = site.mqtt
    if not mqtt.embedded:
        return Destination(
            url=mqtt.url,
            node=site.node,
            username=mqtt.username,
            password_file=mqtt.password_file,
            ca=mqtt.ca,
            cert=mqtt.cert,
            key=mqtt.key,
        )
    broker = EmbeddedBroker(site.node, *mqtt.listen_address, _passwords(mqtt))
    broker.start()
    stack.callback(broker.stop)
    return broker.destination()


def _passwords(mqtt: Mqtt) -> dict[str, str]:
    """Return the embedded broker's passwords; a remote broker's are read anew at each connection.

    Raises UnavailableError where a file has become unreadable since site.yaml was checked.
    """
    try:
        return mqtt.passwords() if mqtt.embedded else {}
    except ValueError as error:
        raise UnavailableError(f"mqtt.users: a password {error}") from None


def patiently(attempt: Callable[[], Done], stop: threading.Event) -> Done:
    """Return what attempt() returns, trying again while state file or port cannot be had.

    A trouble is reported once, however long it lasts. Raises it once stop is set.
    """
    told = ""
    while True:
        try:
            return attempt()
        except (StoreError, UnavailableError) as error:
            if str(error) != told:
                told = str(error)
                log.error("%s; tried again each %.0f s", error, RETRY_S)
            if stop.wait(RETRY_S):
                raise
