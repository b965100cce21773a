"""Which kind of processor made a result, from what systems say of theirs."""

import pytest

from xr0_sim.record.processor import processor_kind

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Some Xeon 8480
flags\t\t: fpu avx avx2 avx512f amx_bf16 sse4_2

processor\t: 1
model name\t: Some Xeon 8480
flags\t\t: fpu avx avx2 avx512f amx_bf16 sse4_2
"""
ARM = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd sve
CPU part\t: 0xd40
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [(X86, "Some Xeon 8480, avx2, avx512f, amx_bf16"), (ARM, "0xd40, asimd, sve")],
)
def test_name_and_vector_instructions(text, expected, tmp_path):
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_kind(tmp_path / "cpuinfo") == expected


def test_a_system_without_a_description_is_told_by_python(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert processor_kind(tmp_path / "none") == "arm64"
