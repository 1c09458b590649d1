"""A visit as a JUnit file, the form of test results that CI systems read: a case for each layer."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree

from wsdev.diagnosis.verdict import Verdict
from wsdev.layers import Layer
from wsdev.report import Report, interruption
from wsdev.sanitize import printable
from wsdev.token_format import without_tokens

SUITE: Final = "wsdev connect"


def junit(report: Report) -> str:
    """The XML document: one suite, a test case for each layer.

    A layer that was not reached is skipped; the broken one has failed; an interrupted one is an
    error. The form is that of the Ant task, as GitLab and others read it.
    """
    layers = _layers(report)
    suite = ElementTree.Element("testsuite", name=SUITE, tests=str(len(layers)))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("url", report.url), ("wsdev", report.wsdev)):
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
    for layer in layers:
        _add_case(suite, layer, report)
    for outcome, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{outcome}"))))
    suite.set("time", f"{sum(step.ms for step in report.steps) / 1000:.3f}")
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _layers(report: Report) -> list[Layer]:
    """Those that this visit is about: TLS only if it is used, quality only if it was asked for."""
    wanted = set(Layer)
    if not report.facts.tls:
        wanted.discard(Layer.TLS)
    if report.facts.quality.max_rtt is None and report.facts.quality.max_loss is None:
        wanted.discard(Layer.QUALITY)
    if report.verdict is not None:
        wanted.add(report.verdict.layer)
    return [layer for layer in Layer if layer in wanted]


def _add_case(suite: ElementTree.Element, layer: Layer, report: Report) -> None:
    step = next((step for step in report.steps if step.name is layer), None)
    case = ElementTree.SubElement(
        suite,
        "testcase",
        name=layer.value,
        classname=SUITE,
        time=f"{step.ms / 1000 if step else 0.0:.3f}",
    )
    if report.verdict is not None and layer is report.verdict.layer:
        _fail(case, report.verdict)
    elif layer is report.interrupted_in:
        told = _clean(interruption(report))
        ElementTree.SubElement(case, "error", message=told, type="interrupted")
    elif step is not None and step.ok:
        ElementTree.SubElement(case, "system-out").text = _clean(step.detail)
    elif layer is not Layer.QUALITY or not report.ok:
        ElementTree.SubElement(case, "skipped", message="not reached")


def _fail(case: ElementTree.Element, verdict: Verdict) -> None:
    failure = ElementTree.SubElement(
        case, "failure", message=_clean(verdict.what), type=verdict.code
    )
    lines = [f"seen: {line}" for line in verdict.evidence]
    failure.text = _clean("\n".join([*lines, f"why: {verdict.why}", f"try: {verdict.fix}"]))


def _clean(text: str) -> str:
    """Without tokens, and without what XML cannot hold."""
    lines = without_tokens(text).split("\n")
    return "\n".join(printable(line, limit=2000) for line in lines)
