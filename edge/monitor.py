"""The daemon. Start reading at watch(): a picture's whole way is on that screen.

From the gate to the scores it leads through observe.py. run() reads the plan (configuration,
model, slots) and opens the pages; serve() opens what the plan asks for (state file, delivery,
cameras), and does so anew when it is to be read again.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from edge import __version__, messages
from edge.aim import Aims
from edge.board import Board
from edge.decide import Rule, decide, expire
from edge.desk import Desk
from edge.errors import RequestError, StoreError, UnavailableError
from edge.eye import Eye
from edge.gate import Gate
from edge.health import Health
from edge.ledger import Ledger
from edge.lookout import Lookout
from edge.observe import observe
from edge.outlet import Outlet, open_outlet, patiently
from edge.plan import Plan, read_plan, same_slots
from edge.signals import stop_on_signals
from edge.site import Site
from edge.state_rows import QueuedEvent
from edge.types import Asked, Event, EventKind, Moment
from edge.web import open_web
from edge.web.routes import daemon_routes

log = logging.getLogger(__name__)

TICK_S = 0.1
EXPIRE_EVERY_S = 1.0

ANSWERS_A_ROUND = 20
MAX_WAITING = 200


class Requests(SimpleQueue[Asked]):
    """What is asked of the main loop, from any thread; a signal puts, all others ask."""

    def ask(self, asked: Asked) -> None:
        """Wait in line; refused where the line, or what is asked, is too long.

        Looking comes first, and what waits takes memory.
        """
        try:
            messages.check_length(asked.payload)
        except RequestError as error:
            asked.reply(messages.refusal(error))
            return
        if self.qsize() < MAX_WAITING:
            self.put(asked)
        else:
            asked.reply(messages.busy())


@dataclass
class Post:
    """All that watch() needs, for one reading of the configuration."""

    plan: Plan
    eyes: Sequence[Eye]
    gates: Mapping[str, Gate]
    rules: Mapping[str, Rule]
    ledger: Ledger
    health: Health
    desk: Desk
    outlet: Outlet
    requests: Requests
    board: Board


def watch(post: Post, stop: threading.Event) -> None:
    """Watch until stop is set, another configuration is wanted, or every recording has ended.

    The order of the lines is the order of the data: pictures → what they show → what that
    means → the ledger, from which the publisher's thread tells the world.
    """
    ledger, rules = post.ledger, post.rules
    expired_s = 0.0
    while not (stop.wait(TICK_S) or post.desk.reloaded or all(eye.ended for eye in post.eyes)):
        now = Moment.now()
        frames = [frame for eye in post.eyes if (frame := eye.take(now))]
        seen = observe(
            frames,
            post.gates,
            post.plan.classifier,
            ledger.undecided(),
            ledger.denied(),
            post.health.looked,
        )
        decided = [
            decide(ledger.states[one.slot.slot_id], one, rules[one.slot.slot_id]) for one in seen
        ]
        cameras = [state for eye in post.eyes if (state := eye.state(now))]
        ledger.note(decided, cameras, health_report(post, now), now)

        if now.clock_s - expired_s >= EXPIRE_EVERY_S:
            states = ledger.states.items()
            aged = [expire(state, now.clock_s, now.at, rules[slot]) for slot, state in states]
            ledger.note(aged, [], {}, now)
            post.outlet.publisher.check()
            expired_s = now.clock_s
        answer_requests(post, now)
        post.board.publish(frames, seen, ledger, post.plan, now)
    if not (stop.is_set() or post.desk.reloaded):
        log.info("every recording has ended: nothing is left to watch")


def run(site_path: Path) -> None:
    """Run the daemon until SIGTERM or SIGINT, or until every source was a recording that ended.

    Raises ConfigError, ModelError, or UnavailableError for a port in use; all other trouble is
    reported and retried.
    """
    stop = threading.Event()
    requests = Requests()
    board = Board()
    stop_on_signals(stop)
    signal.signal(signal.SIGHUP, lambda *_: requests.put(Asked("reload", b"", _unheard)))
    plan = read_plan(site_path)
    try:
        with open_web(plan.config.site, daemon_routes(plan, board, requests.ask)) as pages:

            def announce(outlet: Outlet) -> None:
                """Not before the broker is up: an address that is gone at once helps nobody."""
                log.info("the pages are served at %s", pages.address)

            read = partial(read_plan, site_path)
            serve(plan, read, requests, board, stop, on_open=announce, on_plan=pages.follow)
    except (StoreError, UnavailableError):
        if not stop.is_set():  # else it was reported, and waiting for its end was given up
            raise


def _unheard(response: bytes) -> None:
    """Answer a signal: the log has said how it went."""


def serve(
    plan: Plan,
    read: Callable[[], Plan],
    requests: Requests,
    board: Board,
    stop: threading.Event,
    on_open: Callable[[Outlet], None] = lambda outlet: None,
    on_plan: Callable[[Site], None] = lambda site: None,
) -> None:
    """Watch by the plan; where another is wanted, go on by that one. read gives it anew.

    on_open is told where the events can be found, each time that changes; on_plan each site that
    is watched from then on.
    """
    begun = Moment.now()
    started: Event | None = Event(EventKind.NODE_STARTED, "node", begun.at)
    health = Health(begun)
    wanted: Plan | None = plan
    watched: Plan | None = None
    with contextlib.closing(Lookout()) as lookout, contextlib.closing(Aims(board)) as aims:
        while wanted is not None:  # once an outlet; the cameras stay open
            with contextlib.ExitStack() as stack:
                outlet = _outlet(stack, wanted, requests, stop, watched)
                if outlet is None:
                    wanted = watched
                    continue
                on_open(outlet)
                board.delivery = outlet.publisher.delivery
                before: Post | None = None
                while wanted is not None and outlet.fits(wanted.config.site):  # once a plan
                    watched = wanted
                    on_plan(watched.config.site)
                    ledger = _take_up_ledger(watched, outlet, begun, started, stop, before)
                    with open_post(
                        watched, read, outlet, requests, board, lookout, ledger, health, before
                    ) as post:
                        aims.follow(watched)
                        watch(post, stop)
                    started, before = None, post
                    wanted = post.desk.reloaded


def _outlet(
    stack: contextlib.ExitStack,
    plan: Plan,
    requests: Requests,
    stop: threading.Event,
    watched: Plan | None,
) -> Outlet | None:
    """Return the plan's outlet, or None where a reload wants one that cannot be opened now.

    Where that of the plan watched until now cannot be opened again either, as its port was taken
    meanwhile, it is waited for.
    """

    def opened(patient: bool = False) -> Outlet:
        outlet = open_outlet(plan.config.site, requests.ask, stop, patient)
        return stack.enter_context(outlet)

    if watched is None:
        return opened(patient=True)
    if plan is watched:
        return patiently(opened, stop)
    try:
        return opened()
    except (StoreError, UnavailableError) as error:
        log.error("the configuration stays as it was: %s", error)
        return None


@contextlib.contextmanager
def open_post(
    plan: Plan,
    read: Callable[[], Plan],
    outlet: Outlet,
    requests: Requests,
    board: Board,
    lookout: Lookout,
    ledger: Ledger,
    health: Health,
    before: Post | None,
) -> Iterator[Post]:
    """Begin to deliver and to look, and close the ledger afterwards; the cameras stay open."""
    cameras = plan.config.site.cameras
    health.renew()
    outlet.publisher.start()
    eyes = lookout.look(cameras, plan.config.planogram.reference_size)
    for eye in eyes:
        eye.remember(ledger.cameras.get(eye.camera_id))
    board.eyes = {eye.camera_id: eye for eye in eyes}
    try:
        yield Post(
            plan=plan,
            eyes=eyes,
            gates={camera.id: _gate(plan, camera.id, before) for camera in cameras},
            rules={slot.slot_id: plan.rule_of(slot.camera_id) for slot in plan.slots},
            ledger=ledger,
            health=health,
            desk=Desk(ledger, plan, board, read),
            outlet=outlet,
            requests=requests,
            board=board,
        )
    finally:
        ledger.close(Moment.now())


def _gate(plan: Plan, camera_id: str, before: Post | None) -> Gate:
    """Return the camera's gate; that of before where all it knows still holds."""
    slots = plan.slots_of(camera_id)
    if before is not None and before.plan.slots_of(camera_id) == slots:
        kept = same_slots(before.plan, plan)
        if camera_id in before.gates and all(slot.slot_id in kept for slot in slots):
            return before.gates[camera_id]
    return Gate(slots)


def _take_up_ledger(
    plan: Plan,
    outlet: Outlet,
    begun: Moment,
    started: Event | None,
    stop: threading.Event,
    before: Post | None,
) -> Ledger:
    """Read what was stated last and write that the node is there, however long that takes.

    Of slots that before looked at, and that stay as they are, nothing is forgotten.
    """
    node, model = plan.config.site.node, plan.classifier.info.name
    cameras = [camera.id for camera in plan.config.site.cameras]
    events = []
    if started is not None:
        payload = messages.node_started(started, node, __version__, model)
        events.append(QueuedEvent.of(started, payload))

    same = same_slots(before.plan, plan) if before else set()
    watched = {slot_id: before.ledger.states[slot_id] for slot_id in same} if before else {}

    def begun_ledger() -> Ledger:
        now = Moment.now()
        ledger = Ledger(outlet.store, node, model, plan.slots, cameras, now, watched)
        ledger.begin(events, {"info": plan.info(begun)}, now)
        return ledger

    return patiently(begun_ledger, stop)


def health_report(post: Post, now: Moment) -> dict[str, bytes]:
    """Return the health document when it is due."""
    settled = all(eye.state(now) for eye in post.eyes)
    if not post.health.is_due(now, settled):
        return {}
    try:
        delivery = post.outlet.publisher.delivery()
    except StoreError as error:
        log.debug("no health report: %s", error)  # the ledger reports the file's trouble
        return {}
    cameras = {eye.camera_id: eye.health(now) for eye in post.eyes}
    return {"health": post.health.report(delivery, cameras, post.plan.config.site.state, now)}


def answer_requests(post: Post, now: Moment) -> None:
    """Answer at most ANSWERS_A_ROUND requests, so that looking goes on."""
    with contextlib.suppress(Empty):
        for _ in range(ANSWERS_A_ROUND):
            asked = post.requests.get_nowait()
            asked.reply(post.desk.answer(asked.verb, asked.payload, now))
