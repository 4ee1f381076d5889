"""The C test programs beside this file, case by case, plain and sanitized."""

import re
import subprocess

import pytest

from tests.support import SLOWER

from . import floors

PROGRAMS = sorted(path.name for path in floors.HERE.glob("*_test.c"))
CASES = [
    (program, case)
    for program in PROGRAMS
    for case in re.findall(
        r"^CASE\((\w+)\)", (floors.HERE / program).read_text(), re.MULTILINE
    )
]

# check_passed_over() of check.c ends a case so.
PASSED_OVER = 77


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="session")
def sanitizers(folder):
    return floors.has_sanitizers(folder)


@pytest.fixture(scope="session")
def programs(folder):
    """Built when first asked for, then kept: (source, variant) -> path."""
    objects, built = {}, {}

    def program(source, variant):
        if variant not in objects:
            objects[variant] = floors.compile_objects(folder / variant, variant)
        if (source, variant) not in built:
            built[source, variant] = floors.compile_program(
                floors.HERE / source,
                objects[variant],
                folder / variant / source.removesuffix(".c"),
                variant,
            )
        return built[source, variant]

    return program


@pytest.mark.parametrize("variant", ["plain", "sanitized"])
@pytest.mark.parametrize(
    ("source", "case"), CASES, ids=[f"{p.removesuffix('.c')}-{c}" for p, c in CASES]
)
def test_case(programs, sanitizers, source, case, variant):
    if variant == "sanitized" and not sanitizers:
        pytest.skip("the compiler has no AddressSanitizer or UBSan")
    done = subprocess.run(
        [programs(source, variant), case],
        capture_output=True,
        text=True,
        env=floors.environment(),
        stdin=subprocess.DEVNULL,
        timeout=30 * SLOWER,
    )
    if done.returncode == PASSED_OVER:
        pytest.skip(done.stderr.strip())
    assert (done.returncode, done.stderr) == (0, "")


def test_every_program_has_cases():
    assert {program for program, _ in CASES} == set(PROGRAMS)
    assert len(set(CASES)) == len(CASES)


def test_a_case_that_does_not_hold_fails(tmp_path):
    source = tmp_path / "wrong_test.c"
    source.write_text('#include "check.h"\nCASE(wrong)\n{\n    CHECK(1 == 2);\n}\n')
    program = floors.compile_program(
        source, [floors.HERE / "check.c"], tmp_path / "wrong", "plain"
    )
    done = subprocess.run([program, "wrong"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "wrong_test.c:4: not so: 1 == 2" in done.stderr
    unknown = subprocess.run([program, "other"], capture_output=True, text=True)
    assert unknown.returncode == 2
