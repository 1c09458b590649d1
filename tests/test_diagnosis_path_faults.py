from __future__ import annotations

import ast
from pathlib import Path

import pytest
from proven_faults import PATH_PROVEN

from wsdev.diagnosis.path_faults import PATH_FAULTS
from wsdev.errors import ExitCode
from wsdev.layers import Layer

HERE = Path(__file__).parent

EXIT_CODES = {
    Layer.NAME: {ExitCode.NAME},
    Layer.ROUTE: {ExitCode.NO_ANSWER},
    Layer.TCP: {ExitCode.REFUSED, ExitCode.NO_ANSWER},
    Layer.TLS: {ExitCode.TLS},
}


@pytest.mark.parametrize("code", PATH_FAULTS)
def test_layer_goes_with_its_exit_code(code: str) -> None:
    fault = PATH_FAULTS[code]
    assert fault.exit_code in EXIT_CODES[fault.layer]


def test_faults_stand_in_the_order_of_their_layers() -> None:
    order = list(Layer)
    layers = [order.index(fault.layer) for fault in PATH_FAULTS.values()]
    assert layers == sorted(layers)


def test_each_fault_is_made_for_real() -> None:
    assert list(PATH_PROVEN) == list(PATH_FAULTS)


@pytest.mark.parametrize("code", PATH_PROVEN)
def test_proof_of_a_fault_is_a_test_that_asserts_it(code: str) -> None:
    path, _, name = PATH_PROVEN[code].partition("::")
    tree = ast.parse((HERE / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    (test,) = [node for node in tree.body if isinstance(node, kinds) and node.name == name]
    asserted = [
        argument.value
        for node in ast.walk(test)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "assert_fault"
        for argument in node.args[:1]
        if isinstance(argument, ast.Constant)
    ]
    assert code in asserted
