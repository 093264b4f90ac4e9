"""What is to be watched, with which model and by which rule: the configuration, ready for use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from edge import messages, payloads
from edge.cameras import kind_of
from edge.classifier import Classifier, Thresholds, open_classifier
from edge.config import Config, load
from edge.decide import Rule
from edge.errors import ConfigError
from edge.geometry import share_inside
from edge.redact import without_login
from edge.site import CameraConfig, Decision
from edge.types import Moment, Slot
from edge.versions import versions

MOST_HIDDEN = 0.1  # of a slot may be blacked out; the page warns from there on, too


@dataclass(frozen=True, slots=True)
class Plan:
    config: Config
    classifier: Classifier
    rule: Rule
    slots: tuple[Slot, ...]

    def info(self, started: Moment) -> bytes:
        """Return the payload of the info topic."""
        site, model = self.config.site, self.classifier.info
        return messages.encode(
            payloads.InfoPayload(
                versions=versions(),
                model={
                    "name": model.name,
                    "digest": model.digest,
                    "classes": list(model.classes),
                    "quantization": model.quantization,
                },
                config_digest=site.digest(),
                cameras=[camera.id for camera in site.cameras],
                slots=[slot.slot_id for slot in self.slots],
                started_at=started.at,
            )
        )

    def rule_of(self, camera_id: str) -> Rule:
        """Return the rule for a camera: one that is looked through rarely is waited for longer."""
        camera = self.config.site.camera(camera_id)
        assert camera is not None, camera_id
        return patient(self.rule, camera.every_s)

    def slots_of(self, camera_id: str) -> tuple[Slot, ...]:
        return tuple(slot for slot in self.slots if slot.camera_id == camera_id)

    def warnings(self) -> tuple[str, ...]:
        """Return a line for each camera whose blackout hides slots: nobody can judge those."""
        lines = [_hidden(camera, self.slots_of(camera.id)) for camera in self.config.site.cameras]
        return tuple(line for line in lines if line)


def read_plan(site_path: Path) -> Plan:
    """Read site.yaml, the planogram and the model. Raises ConfigError or ModelError."""
    return make_plan(load(site_path))


def make_plan(config: Config) -> Plan:
    """Raises ConfigError where the parts do not fit together, ModelError for a useless model."""
    classifier = open_classifier(config.site.bundle)
    rule = merge_rule(config.site.decision, classifier.info.thresholds)
    slots = [slot for camera in config.site.cameras for slot in _slots(camera, config)]
    return Plan(config, classifier, rule, _unique(slots))


def merge_rule(decision: Decision, thresholds: Thresholds) -> Rule:
    """Each key: site.yaml's if written, else the bundle's, else the general value."""
    found = {}
    for name in (field.name for field in fields(Rule)):
        written = getattr(decision, name, None)
        value = written if written is not None else getattr(thresholds, name, None)
        if value is not None:
            found[name] = value
    rule = replace(Rule(), **found)
    if rule.empty_above <= rule.stocked_below:
        raise ConfigError(
            [
                f"decision: empty_above ({rule.empty_above}) must be above stocked_below "
                f"({rule.stocked_below}); what site.yaml does not say comes from the model"
            ]
        )
    return rule


def patient(rule: Rule, every_s: float) -> Rule:
    """Return the rule for looks each every_s: three of them may fail before that means anything."""
    missed_s = 3 * every_s
    return replace(
        rule,
        max_gap_s=max(rule.max_gap_s, missed_s),
        stale_after_s=max(rule.stale_after_s, missed_s),
        unknown_after_s=max(rule.unknown_after_s, missed_s),
    )


def same_sight(before: Plan, after: Plan) -> set[str]:
    """Return the cameras that show in both what they may show, of the same place.

    Another password is no other place; another query may be another channel.
    """
    known, now = (
        {camera.id: (without_login(camera.url), camera.blackout) for camera in cameras}
        for cameras in (before.config.site.cameras, after.config.site.cameras)
    )
    return {camera_id for camera_id, sight in now.items() if known.get(camera_id) == sight}


def same_slots(before: Plan, after: Plan) -> set[str]:
    """Return the slots of which the same model is asked the same in both, of the same sight."""
    if before.classifier.info.digest != after.classifier.info.digest:
        return set()
    sights = same_sight(before, after)
    known = {_asked_about(slot) for slot in before.slots if slot.camera_id in sights}
    return {slot.slot_id for slot in after.slots if _asked_about(slot) in known}


def brought_slots(camera: CameraConfig) -> Sequence[Slot]:
    """Return the slots that a camera brings along: only the rendered store has any."""
    if not kind_of(camera.url).is_rendered:
        return ()
    from edge.cameras.demo import demo_slots

    return demo_slots(camera.url, camera.id)


def _asked_about(slot: Slot) -> tuple[object, ...]:
    return slot.slot_id, slot.camera_id, slot.quad, slot.sku, slot.name


def _slots(camera: CameraConfig, config: Config) -> Sequence[Slot]:
    """The planogram's slots of a camera; what it brings along where the planogram lacks it."""
    if camera.id in config.planogram.cameras:
        return config.planogram.slots_of(camera.id)
    return brought_slots(camera)


def _hidden(camera: CameraConfig, slots: Sequence[Slot]) -> str | None:
    shares = [(slot.slot_id, share_inside(slot.quad, camera.blackout)) for slot in slots]
    hidden = [f"{slot_id} ({share:.0%})" for slot_id, share in shares if share > MOST_HIDDEN]
    if not hidden:
        return None
    return (
        f"camera {camera.id}: its blackout hides what these slots are judged by: "
        f"{', '.join(hidden)}; draw them or the blackout anew"
    )


def _unique(slots: Sequence[Slot]) -> tuple[Slot, ...]:
    counts = Counter(slot.slot_id for slot in slots)
    twice = [slot_id for slot_id, count in counts.items() if count > 1]
    if twice:
        raise ConfigError(
            [f"slot {twice[0]} is seen by two cameras; of two demo: cameras one needs a planogram"]
        )
    return tuple(slots)
