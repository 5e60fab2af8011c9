"""Which jobs take a device: trained fits, and models in closed form where there is one and much to score."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from recspectra import devices, runtime
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.yaml_io import read_yaml

ROOT = Path(__file__).resolve().parents[3]
MUCH = (100_000, 1_000)
CODE = """
import sys
from pathlib import Path
from recspectra.config.catalog import Catalog
from recspectra.fitting.scoring import device_for
name, wanted, users, items = sys.argv[1:]
place = device_for(Catalog(Path({root!r})).model(name), wanted, (int(users), int(items)))
print(place, "torch" in sys.modules)
"""


def placed(
    tmp_path: Path, name: str, shape: tuple[int, int] = MUCH, wanted: str = "auto", **variables: str
) -> tuple[list[str], list[str]]:
    """Return where a job goes and whether it loaded PyTorch, and the devices that it locked."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "CUDA_", "RECSPECTRA_"))}
    kept |= {"PYTHONPATH": str(ROOT / "workflow"), devices.LOCKS: str(tmp_path), "PATH": str(tmp_path)}
    words = [name, wanted, *map(str, shape)]
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(root=str(ROOT)), *words],
        env=kept | variables, capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout.split() or [done.stderr.strip().splitlines()[-1]]
    return said, sorted(path.name for path in tmp_path.iterdir())


def test_without_a_device_no_closed_form_job_loads_torch(tmp_path: Path) -> None:
    assert placed(tmp_path, "gfcf") == (["cpu", "False"], [])
    assert placed(tmp_path, "gfcf", CUDA_VISIBLE_DEVICES="") == (["cpu", "False"], [])


def test_a_closed_form_job_locks_the_device_that_is_there(tmp_path: Path) -> None:
    # PyTorch for the CPU finds no CUDA on it, so the job goes on there: with the lock, as trained fits do.
    assert placed(tmp_path, "gfcf", CUDA_VISIBLE_DEVICES="3")[1] == ["3.0"]


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [("gfcf", (1_000, 800), "auto"), ("popularity", MUCH, "cuda"), ("gfcf", MUCH, "cpu")],
    ids=["little to score", "stays on the CPU", "told to"],
)
def test_jobs_that_gain_nothing_lock_no_device(
    tmp_path: Path, name: str, shape: tuple[int, int], wanted: str
) -> None:
    assert placed(tmp_path, name, shape, wanted, CUDA_VISIBLE_DEVICES="3") == (["cpu", "False"], [])


def test_in_a_slurm_job_a_device_counts_if_slurm_gave_it(tmp_path: Path) -> None:
    assert placed(tmp_path, "gfcf", SLURM_JOB_ID="7") == (["cpu", "False"], [])
    assert devices.given({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0"})
    assert not devices.given({"SLURM_JOB_ID": "7"})


def test_a_job_on_a_device_has_all_of_the_address_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA maps more of it than a machine has memory; jobs whose memory is limited could not start it."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(runtime.devices, "take", lambda: None)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    for there, place in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        with runtime.memory_budget(50.0):
            assert runtime.pick_device("auto") == place
            assert (resource.getrlimit(resource.RLIMIT_AS)[0] == hard) is there
        assert resource.getrlimit(resource.RLIMIT_AS) == (soft, hard)


def test_a_device_that_is_asked_for_and_missing_is_an_error(tmp_path: Path) -> None:
    said, _ = placed(tmp_path, "gfcf", (10, 10), "cuda", CUDA_VISIBLE_DEVICES="")
    assert "device: cuda was asked for" in said[0]


def test_a_trained_model_needs_no_key_to_take_a_gpu(project: Path) -> None:
    path = project / "config" / "models" / "mf.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "gpu: true\n", encoding="utf-8")
    assert read_yaml(path)["gpu"] is True
    with pytest.raises(ConfigError, match="gpu: is for models in closed form"):
        Catalog(project).model("mf")
